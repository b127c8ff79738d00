"""A self-test of the compiled core: closed forms, in well under a second."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from eigencore.linalg import eigvals, svdvals
from eigencore.metrics.spectra import batch_metrics

if TYPE_CHECKING:
    from collections.abc import Callable


def self_test() -> dict[str, bool]:
    """What was tested -> whether the core gave the closed form."""
    return {name: _passes(test) for name, test in _TESTS.items()}


def _passes(test: Callable[[], bool]) -> bool:
    try:
        return bool(test())
    except Exception:  # a core that raises on a closed form is as wrong as one that errs
        return False


def _uniform_causal(n: int) -> np.ndarray:
    """Attention with zero logits: row i is 1 / (i + 1) up to the diagonal."""
    return np.tril(np.ones((n, n))) / np.arange(1, n + 1)[:, None]


def _eigenvalues_of_uniform_attention() -> bool:
    return np.array_equal(eigvals(_uniform_causal(60)).real, 1 / np.arange(1, 61))


def _largest_singular_value_of_uniform_attention() -> bool:
    return math.isclose(float(svdvals(_uniform_causal(60))[0]), 1.592873, abs_tol=1e-6)


def _eigenvalues_of_a_circulant() -> bool:
    row = np.random.default_rng(0).dirichlet(np.ones(16))
    circulant = np.stack([np.roll(row, shift) for shift in range(16)])
    expected = np.sort(np.abs(np.fft.fft(row)))
    return np.allclose(np.sort(np.abs(np.asarray(eigvals(circulant)))), expected, atol=1e-12)


def _metrics_of_the_identity() -> bool:
    metrics = batch_metrics(np.eye(8))
    return float(metrics.effective_rank) == 8.0 and float(metrics.degeneracy) == 1.0  # type: ignore[arg-type]


def _a_bad_matrix_beside_a_good_one() -> bool:
    batch = np.stack([np.eye(4), np.full((4, 4), np.nan)])
    return batch_metrics(batch, structure="dense").status.tolist() == [0, 1]


_TESTS: dict[str, Callable[[], bool]] = {
    "eigenvalues of uniform causal attention": _eigenvalues_of_uniform_attention,
    "singular values of uniform causal attention": _largest_singular_value_of_uniform_attention,
    "eigenvalues of a circulant": _eigenvalues_of_a_circulant,
    "metrics of the identity": _metrics_of_the_identity,
    "a matrix of NaN keeps to itself": _a_bad_matrix_beside_a_good_one,
}
