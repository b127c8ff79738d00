"""The definitions written down once more, plainly, in NumPy float64. Nothing here is shared with the package."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

EIGEN_METRICS = (
    "spectral_entropy",
    "normalized_entropy",
    "effective_rank",
    "dominant_ratio",
    "condition_number",
    "degeneracy",
    "phi_proximity",
    "spectral_gap",
    "participation_ratio",
    "log_abs_det",
)


def spectrum_metrics(magnitudes: Any, *, resolution: float = 0.0, singular: bool = False) -> dict[str, np.ndarray]:
    """Every metric of spectra (n, ...) along the first axis.

    resolution: the relative size under which a magnitude that came from a solver is zero.
    """
    m = -np.sort(-np.abs(np.asarray(magnitudes)).astype(np.float64), axis=0)
    n, S, first, last = len(m), m.sum(0), m[0], m[-1]
    phi = (1 + math.sqrt(5)) / 2
    out = {}
    with np.errstate(divide="ignore", invalid="ignore"):
        p = m / S
        out["spectral_entropy"] = np.where(S > 0, -np.where(p > 0, p * np.log2(p), 0.0).sum(0), np.nan)
        out["normalized_entropy"] = out["spectral_entropy"] / (math.log2(n) if n > 1 else np.nan)
        out["effective_rank"] = 2 ** out["spectral_entropy"]
        out["dominant_ratio"] = first / S
        zero = (last == 0) | (last <= resolution * first)
        out["condition_number"] = np.where(first == 0, np.nan, np.where(zero, np.inf, first / last))
        out["degeneracy"] = 1 - m.std(0) / (m.mean(0) * (math.sqrt(n - 1) if n > 1 else np.nan))
        scores = np.maximum(0.0, 1 - np.abs(m[:-1] / m[1:] - phi) / phi)
        out["phi_proximity"] = np.where(m[1:] > 1e-10, scores, 0.0).max(0, initial=0.0)
        out["spectral_gap"] = 1 - m[1] / first if n > 1 else np.full(S.shape, np.nan)
        out["participation_ratio"] = S**2 / (m**2).sum(0)
        out["log_abs_det"] = np.where(zero, -np.inf, np.log(m).sum(0))
        if singular:
            out["stable_rank"] = (m**2).sum(0) / first**2
    return out


def row_metrics(a: Any) -> dict[str, np.ndarray]:
    """Every row metric of one attention matrix, row by row."""
    a = np.asarray(a, dtype=np.float64)
    n = len(a)
    entropies, received = [], []
    for i, row in enumerate(a):
        q = row / row.sum()
        entropies.append(-sum(x * math.log2(x) for x in q if x > 0))
        received.append(a[i:, i].sum() / (n - i))
    return {
        "row_entropy": np.array(entropies),
        "row_mass": a.sum(1),
        "self_weight": np.diag(a).copy(),
        "sink_weight": a[:, 0].copy(),
        "row_participation": 1 / (a**2).sum(1),
        "max_weight": a.max(1),
        "laplacian": np.array(received) - np.diag(a),
    }


def assert_metrics_match(got: Any, expected: Any, name: str = "", *, rtol: float = 1e-6, atol: float = 1e-12) -> None:
    """Equal within 1e-6 relative or 1e-12 absolute; NaN and infinities in the same places."""
    np.testing.assert_allclose(np.asarray(got, np.float64), np.asarray(expected, np.float64), rtol, atol, err_msg=name)


def causal_softmax(logits: np.ndarray) -> np.ndarray:
    """Rows of exp over the keys up to the diagonal, normalised: exactly zero above it."""
    n = logits.shape[-1]
    e = np.where(np.tril(np.ones((n, n), bool)), np.exp(logits - logits.max(-1, keepdims=True)), 0.0)
    return np.asarray(e / e.sum(-1, keepdims=True))
