"""`eigvals` and `svdvals` as operators of torch, for tensors that autograd or torch.compile follows.

The gradients are operators too: what they refuse depends on numbers, which a compiler does not have.
Importing this module registers the operators.
"""

from __future__ import annotations

from typing import Any

import torch

from eigencore.arrays import as_array, check_cost, check_square, compute_dtype, scalar_name
from eigencore.errors import GradientError
from eigencore.solvers import core_structure, eigenvalues, singular_values
from eigencore.spectrum_gradients import gradient_through_eigenvalues, gradient_through_singular_values


def eigvals(a: torch.Tensor, structure: str, dtype: object) -> torch.Tensor:
    """As `eigencore.eigvals`, by its operator."""
    as_array(a)
    values: torch.Tensor = torch.ops.eigencore.eigvals(a, structure, compute_dtype(dtype))
    return values


def svdvals(a: torch.Tensor, dtype: object) -> torch.Tensor:
    """As `eigencore.svdvals`, by its operator."""
    as_array(a)
    values: torch.Tensor = torch.ops.eigencore.svdvals(a, compute_dtype(dtype))
    return values


def differentiate_once(operator: Any, name: str) -> None:
    """Registers for the operator that computes the gradient of `name` that it has no gradient itself."""

    def refuse(_ctx: Any, *_: Any) -> None:
        raise GradientError(f"{name} has no second derivatives here: leave out create_graph=True, or detach the first")

    operator.register_autograd(refuse)


@torch.library.custom_op(
    "eigencore::eigvals", mutates_args=(), schema="(Tensor a, str structure, str compute) -> Tensor"
)
def _eigvals(a: Any, structure: Any, compute: Any) -> Any:
    return eigenvalues(a, structure, compute)


@_eigvals.register_fake
def _(a: torch.Tensor, structure: str, compute: str) -> torch.Tensor:
    scalar_name(a)
    check_square(a)
    core_structure(structure)
    check_cost(a.shape[-1], diagonal_only=structure == "causal")
    return a.new_empty(a.shape[:-1], dtype=torch.complex128 if compute == "float64" else torch.complex64)


@torch.library.custom_op(
    "eigencore::eigvals_backward",
    mutates_args=(),
    schema="(Tensor grad, Tensor a, Tensor values, str structure) -> Tensor",
)
def _eigvals_backward(grad: Any, a: Any, values: Any, structure: Any) -> Any:
    return gradient_through_eigenvalues(grad, a, values, structure)


@_eigvals_backward.register_fake
def _(grad: torch.Tensor, a: torch.Tensor, values: torch.Tensor, structure: str) -> torch.Tensor:
    return a.new_empty(a.shape)


def _keep_for_eigvals(ctx: Any, inputs: Any, output: Any) -> None:
    a, ctx.structure, _ = inputs
    ctx.save_for_backward(a, output)


def _eigvals_gradient(ctx: Any, grad: torch.Tensor) -> Any:
    return torch.ops.eigencore.eigvals_backward(grad, *ctx.saved_tensors, ctx.structure), None, None


_eigvals.register_autograd(_eigvals_gradient, setup_context=_keep_for_eigvals)
differentiate_once(_eigvals_backward, "eigvals")


@torch.library.custom_op("eigencore::svdvals", mutates_args=(), schema="(Tensor a, str compute) -> Tensor")
def _svdvals(a: Any, compute: Any) -> Any:
    return singular_values(a, compute)


@_svdvals.register_fake
def _(a: torch.Tensor, compute: str) -> torch.Tensor:
    scalar_name(a)
    check_square(a)
    check_cost(a.shape[-1], diagonal_only=False)
    return a.new_empty(a.shape[:-1], dtype=torch.float64 if compute == "float64" else torch.float32)


@torch.library.custom_op(
    "eigencore::svdvals_backward", mutates_args=(), schema="(Tensor grad, Tensor a, Tensor values) -> Tensor"
)
def _svdvals_backward(grad: Any, a: Any, values: Any) -> Any:
    return gradient_through_singular_values(grad, a, values)


@_svdvals_backward.register_fake
def _(grad: torch.Tensor, a: torch.Tensor, values: torch.Tensor) -> torch.Tensor:
    return a.new_empty(a.shape)


def _keep_for_svdvals(ctx: Any, inputs: Any, output: Any) -> None:
    ctx.save_for_backward(inputs[0], output)


def _svdvals_gradient(ctx: Any, grad: torch.Tensor) -> Any:
    return torch.ops.eigencore.svdvals_backward(grad, *ctx.saved_tensors), None


_svdvals.register_autograd(_svdvals_gradient, setup_context=_keep_for_svdvals)
differentiate_once(_svdvals_backward, "svdvals")
