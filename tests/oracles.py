"""The definitions written down once more, plainly, in NumPy float64. Nothing here is shared with the package."""

from __future__ import annotations

import math
from typing import Any

import mpmath
import numpy as np
from scipy.optimize import linear_sum_assignment

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


def scaled_to_one(a: np.ndarray) -> tuple[np.ndarray, int]:
    """a / 2**e with its largest entry in [1/2, 1), where LAPACK and norms are at home, and e."""
    exponent = int(np.frexp(np.abs(a).max())[1])
    return np.ldexp(a, -exponent), exponent


def backward_errors(a: np.ndarray, values: np.ndarray) -> np.ndarray:
    """For each value the norm of the least change of `a` that makes it an eigenvalue: the smallest singular value
    of a - value I."""
    shifted = a - values[:, None, None] * np.eye(len(a))
    return np.asarray(np.linalg.svd(shifted, compute_uv=False)[:, -1])


def matching_distance(got: np.ndarray, expected: np.ndarray) -> float:
    """Largest distance when values are paired so that their distances add up to the least."""
    distances = np.abs(np.subtract.outer(got, expected))
    return float(distances[linear_sum_assignment(distances)].max())


def eigenvector_condition(a: np.ndarray) -> float:
    """By how much an error of `a` grows in its eigenvalues, at most (Bauer and Fike)."""
    return float(np.linalg.cond(np.linalg.eig(a)[1]))


def eigenvalues_to_60_digits(a: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Eigenvalues of distinct eigenvalues, and the condition number of each."""
    with mpmath.workdps(60):
        values, left, right = mpmath.eig(mpmath.matrix(a.tolist()), left=True, right=True)
        conditions = []
        for i in range(len(a)):
            row, column = left[i, :], right[:, i]
            conditions.append(float(mpmath.norm(row) * mpmath.norm(column) / abs((row * column)[0])))
        return np.array([complex(value) for value in values]), np.array(conditions)
