"""The metrics of causal matrices as one writes them without eigencore: in a loop, and on all diagonals at once."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import scipy.linalg

Array = npt.NDArray[Any]
PHI = (1 + 5**0.5) / 2
PHI_FLOOR = 1e-10


def metrics_of_one(a: Array) -> dict[str, float]:
    """What a loop over heads computes: eigenvalues by SciPy, then one number after the other."""
    m = np.sort(np.abs(scipy.linalg.eigvals(a)))[::-1]
    n = len(m)
    p = m / m.sum()
    entropy = -(p[p > 0] * np.log2(p[p > 0])).sum()
    above_floor = m[1:] > PHI_FLOOR
    ratios = m[:-1][above_floor] / m[1:][above_floor]
    return {
        "spectral_entropy": entropy,
        "normalized_entropy": entropy / np.log2(n),
        "effective_rank": 2**entropy,
        "dominant_ratio": p[0],
        "condition_number": m[0] / m[-1],
        "degeneracy": 1 - m.std() / (m.mean() * np.sqrt(n - 1)),
        "phi_proximity": np.maximum(0, 1 - np.abs(ratios - PHI) / PHI).max(initial=0),
        "spectral_gap": 1 - m[1] / m[0],
        "participation_ratio": m.sum() ** 2 / (m**2).sum(),
        "log_abs_det": np.log(m).sum(),
    }


def metrics_in_a_loop(matrices: Array) -> dict[str, Array]:
    found = [metrics_of_one(a) for a in matrices]
    return {name: np.array([one[name] for one in found]) for name in found[0]}


def metrics_of_diagonals(matrices: Array) -> dict[str, Array]:
    """The same of (batch, n, n), where one knows that the diagonal is the spectrum and vectorises by hand."""
    m = -np.sort(-np.abs(np.diagonal(matrices, axis1=-2, axis2=-1)), axis=-1)
    n = m.shape[-1]
    total = m.sum(-1)
    p = m / total[..., None]
    entropy = -np.where(p > 0, p * np.log2(np.where(p > 0, p, 1)), 0).sum(-1)
    ratios = m[..., :-1] / np.where(m[..., 1:] > PHI_FLOOR, m[..., 1:], np.inf)
    return {
        "spectral_entropy": entropy,
        "normalized_entropy": entropy / np.log2(n),
        "effective_rank": 2**entropy,
        "dominant_ratio": p[..., 0],
        "condition_number": m[..., 0] / m[..., -1],
        "degeneracy": 1 - m.std(-1) / (m.mean(-1) * np.sqrt(n - 1)),
        "phi_proximity": np.maximum(0, 1 - np.abs(ratios - PHI) / PHI).max(-1),
        "spectral_gap": 1 - m[..., 1] / m[..., 0],
        "participation_ratio": total**2 / (m**2).sum(-1),
        "log_abs_det": np.log(m).sum(-1),
    }
