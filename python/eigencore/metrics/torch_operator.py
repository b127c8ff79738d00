"""`batch_metrics` as an operator of torch, for tensors that autograd or torch.compile follows.

Importing this module registers the operator.
"""

from __future__ import annotations

from typing import Any

import torch

from eigencore.arrays import check_cost, check_square, like_source, scalar_name
from eigencore.errors import ShapeError
from eigencore.metrics.catalogue import select_metrics
from eigencore.metrics.matrix_gradients import gradient_through_metrics
from eigencore.metrics.measurement import measure
from eigencore.solvers import core_structure
from eigencore.torch_operators import differentiate_once


def measure_traced(
    a: torch.Tensor, spectrum: str, structure: str, lengths: object, compute: str, check: bool
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """As `measurement.measure`, by the operator: planes, status and sizes, all where the tensor lies."""
    sizes = None if lengths is None else torch.as_tensor(lengths)
    planes, status = torch.ops.eigencore.batch_metrics(a, spectrum, structure, sizes, compute, check)
    if sizes is None:
        return planes, status, torch.full(a.shape[:-2], a.shape[-1], dtype=torch.int64, device=a.device)
    # A copy: the caller may go on to change what was handed in.
    return planes, status, sizes.detach().to(a.device, torch.int64, copy=True)


@torch.library.custom_op(
    "eigencore::batch_metrics",
    mutates_args=(),
    schema="(Tensor a, str spectrum, str structure, Tensor? lengths, str compute, bool check) -> (Tensor, Tensor)",
)
def _batch_metrics(a: Any, spectrum: Any, structure: Any, lengths: Any, compute: Any, check: Any) -> Any:
    planes, status, _ = measure(a, spectrum, structure, lengths, compute, check)
    return like_source(planes[: _metric_count(spectrum)], a), like_source(status, a)


@_batch_metrics.register_fake
def _(
    a: torch.Tensor, spectrum: str, structure: str, lengths: torch.Tensor | None, compute: str, check: bool
) -> tuple[torch.Tensor, torch.Tensor]:
    scalar_name(a)
    check_square(a)
    core_structure(structure)
    check_cost(a.shape[-1], diagonal_only=structure == "causal" and spectrum == "eigen")
    leading_shape = a.shape[:-2]
    if lengths is not None and lengths.shape != leading_shape:
        raise ShapeError(
            f"expected lengths of shape {tuple(leading_shape)}, one per matrix, got {tuple(lengths.shape)}"
        )
    planes = a.new_empty((_metric_count(spectrum), *leading_shape), dtype=torch.float64)
    return planes, a.new_empty(leading_shape, dtype=torch.uint8)


def _metric_count(spectrum: str) -> int:
    return len(select_metrics(None, singular=spectrum == "singular"))


@torch.library.custom_op(
    "eigencore::batch_metrics_backward",
    mutates_args=(),
    schema="(Tensor grad, Tensor a, Tensor planes, Tensor? lengths, str spectrum, str structure, str compute)"
    " -> Tensor",
)
def _batch_metrics_backward(
    grad: Any, a: Any, planes: Any, lengths: Any, spectrum: Any, structure: Any, compute: Any
) -> Any:
    return gradient_through_metrics(grad, a, planes, lengths, spectrum, structure, compute)


@_batch_metrics_backward.register_fake
def _(grad: torch.Tensor, a: torch.Tensor, *_: Any) -> torch.Tensor:
    return a.new_empty(a.shape)


def _keep(ctx: Any, inputs: Any, output: Any) -> None:
    a, ctx.spectrum, ctx.structure, lengths, ctx.compute, _ = inputs
    planes, status = output
    ctx.save_for_backward(a, planes, lengths)
    ctx.mark_non_differentiable(status)


def _gradient(ctx: Any, grad: torch.Tensor, _: Any) -> Any:
    found = torch.ops.eigencore.batch_metrics_backward(
        grad, *ctx.saved_tensors, ctx.spectrum, ctx.structure, ctx.compute
    )
    return found, None, None, None, None, None


_batch_metrics.register_autograd(_gradient, setup_context=_keep)
differentiate_once(_batch_metrics_backward, "batch_metrics")
