"""Spectra that need the whole attention matrix, one layer at a time."""

from __future__ import annotations

from dataclasses import fields
from typing import TYPE_CHECKING

import numpy as np

from eigencore.metrics import SpectralMetrics, batch_metrics

if TYPE_CHECKING:
    import torch

    from eigencore.capture.record import AttentionRecord


def singular_metrics(record: AttentionRecord) -> SpectralMetrics:
    """Metrics (L, B, H), as numpy, of the singular values of a record that keeps its weights; padding left out."""
    is_token = record.is_token.cpu()
    measured = []
    for layer in range(record.num_layers):
        weights = record.weights(layer).cpu()
        packed, lengths = _tokens_first(weights, is_token)
        measured.append(batch_metrics(packed.numpy(), spectrum="singular", structure="causal", lengths=lengths))
    names = [f.name for f in fields(SpectralMetrics) if f.name != "spectrum"]
    return SpectralMetrics("singular", **{name: np.stack([getattr(m, name) for m in measured]) for name in names})


def _tokens_first(weights: torch.Tensor, is_token: torch.Tensor) -> tuple[torch.Tensor, object]:
    """The weights with rows and columns of padding moved behind all others, and (B, H) how many are no padding."""
    if bool(is_token.all()):
        return weights, None
    order = is_token.logical_not().byte().argsort(dim=-1, stable=True)
    T = order.shape[-1]
    rows = weights.gather(2, order[:, None, :, None].expand(-1, weights.shape[1], -1, T))
    packed = rows.gather(3, order[:, None, None, :].expand(-1, weights.shape[1], T, -1))
    return packed, is_token.sum(-1).clamp(min=1)[:, None].expand(weights.shape[:2]).numpy()
