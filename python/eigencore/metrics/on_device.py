"""Metrics of causal tensors by torch operations, where the tensor lies: nothing but the result leaves the device."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import torch

if TYPE_CHECKING:
    from eigencore.arrays import ComputeDtype

PHI = (1 + 5**0.5) / 2
PHI_FLOOR = 1e-10


def is_causal(a: torch.Tensor, lengths: npt.NDArray[np.int64] | None) -> bool:
    """Whether every entry above a diagonal, within its matrix's length, is exactly zero. One host synchronisation."""
    n = a.shape[-1]
    upper = torch.ones(n, n, dtype=torch.bool, device=a.device).triu(1)
    outside = (a != 0) & upper
    if lengths is not None:
        outside &= _within(lengths, n, a.device)[..., None, :]
    return not bool(outside.any())


def diagonal_metrics(
    a: torch.Tensor, lengths: npt.NDArray[np.int64] | None, dtype: ComputeDtype
) -> tuple[dict[str, torch.Tensor], torch.Tensor]:
    """Eigen metrics of causal matrices (..., n, n): metric name -> (...) float64, and the status (...) uint8."""
    diagonal = a.detach().diagonal(dim1=-2, dim2=-1).to(getattr(torch, dtype)).to(torch.float64)
    n = diagonal.shape[-1]
    valid = torch.ones_like(diagonal, dtype=torch.bool)
    if lengths is not None:
        valid = _within(lengths, n, a.device)
    finite = (torch.isfinite(diagonal) | ~valid).all(-1)
    usable = valid & finite[..., None]
    # Padding sorts to the end as zero and is left out of every sum by its weight of zero.
    m = torch.where(usable, diagonal.abs(), 0.0).sort(-1, descending=True).values
    in_spectrum = torch.arange(n, device=a.device) < valid.sum(-1, keepdim=True)
    table = _metrics(m, in_spectrum)
    nan = torch.full_like(m[..., 0], torch.nan)
    table = {name: torch.where(finite, values, nan) for name, values in table.items()}
    return table, (~finite).to(torch.uint8)


def _metrics(m: torch.Tensor, in_spectrum: torch.Tensor) -> dict[str, torch.Tensor]:
    size = in_spectrum.sum(-1).to(m.dtype)
    largest = m[..., 0]
    smallest = m.masked_fill(~in_spectrum, torch.inf).amin(-1)
    r = m / largest[..., None]
    total, squares = r.sum(-1), (r * r).sum(-1)
    p = r / total[..., None]
    entropy = -torch.special.xlogy(p, p).sum(-1).clamp(max=0) / np.log(2)
    mean = total / size
    deviation = torch.where(in_spectrum, r - mean[..., None], 0.0)
    std = ((deviation * deviation).sum(-1) / size).sqrt()
    alone = size == 1
    gap = 1 - r[..., 1] if m.shape[-1] > 1 else torch.full_like(total, torch.nan)
    nan = torch.full_like(total, torch.nan)
    return {
        "spectral_entropy": entropy,
        "normalized_entropy": torch.where(alone, nan, entropy / size.log2()),
        "effective_rank": entropy.exp2(),
        "dominant_ratio": 1 / total,
        "condition_number": largest / smallest,
        "degeneracy": torch.where(alone, nan, 1 - std / (mean * (size - 1).sqrt())),
        "phi_proximity": _phi_proximity(m, in_spectrum),
        "spectral_gap": torch.where(alone, nan, gap),
        "participation_ratio": total * total / squares,
        "log_abs_det": torch.where(in_spectrum, m, 1.0).log().sum(-1),
    }


def _phi_proximity(m: torch.Tensor, in_spectrum: torch.Tensor) -> torch.Tensor:
    if m.shape[-1] == 1:
        return torch.zeros_like(m[..., 0])
    counts = in_spectrum[..., 1:] & (m[..., 1:] > PHI_FLOOR)
    score = (1 - (m[..., :-1] / m[..., 1:] - PHI).abs() / PHI).clamp(min=0)
    return torch.where(counts, score, 0.0).amax(-1)


def _within(lengths: npt.NDArray[np.int64], n: int, device: Any) -> torch.Tensor:
    return torch.arange(n, device=device) < torch.from_numpy(lengths).to(device)[..., None]
