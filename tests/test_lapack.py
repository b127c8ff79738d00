"""LAPACK for few matrices and large ones, through scipy's routines."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import numpy as np
import pytest

import eigencore as ec
from eigencore import _core
from tests.oracles import causal_softmax

EPS = np.finfo(np.float64).eps


@pytest.fixture(autouse=True)
def lapack() -> Iterator[None]:
    _core.allow_lapack(True)
    if not _core.has_lapack():
        pytest.skip("scipy's BLAS is not an OpenBLAS whose threads can be set")
    yield
    _core.allow_lapack(True)


def gaussian(count: int, n: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal((count, n, n))


@pytest.mark.parametrize("n", [32, 64, 129, 224, 257, 300])
@pytest.mark.parametrize("count", [1, 3])
def test_spectra_of_few_matrices_are_those_without_lapack(n: int, count: int) -> None:
    a = gaussian(count, n)
    with_lapack = ec.svdvals(a), np.abs(ec.eigvals(a))
    _core.allow_lapack(False)
    assert not _core.has_lapack()
    norm = np.linalg.norm(a, 2, axis=(-2, -1))[:, None]
    for found, expected in zip(with_lapack, (ec.svdvals(a), np.abs(ec.eigvals(a))), strict=True):
        assert np.all(np.abs(found - expected) <= 64 * n * EPS * norm)


@pytest.mark.parametrize("scale", [1e-300, 1.0, 1e300])
@pytest.mark.parametrize(("dtype", "tolerance"), [("float32", 1e-4), ("float64", 1e-11)])
def test_scale_and_compute_type_reach_lapack(dtype: str, tolerance: float, scale: float) -> None:
    a = gaussian(1, 80) * scale
    sigma = np.linalg.svd(a, compute_uv=False)
    metrics = ec.batch_metrics(a, spectrum="singular", dtype=dtype)
    np.testing.assert_allclose(metrics.dominant_ratio, sigma.max() / sigma.sum(), rtol=tolerance)
    magnitudes = np.abs(np.linalg.eigvals(a))
    metrics = ec.batch_metrics(a, dtype=dtype)
    np.testing.assert_allclose(metrics.dominant_ratio, magnitudes.max() / magnitudes.sum(), rtol=tolerance)


def test_a_reducible_matrix_keeps_its_diagonal_exactly() -> None:
    rng = np.random.default_rng(3)
    a = causal_softmax(4 * rng.standard_normal((280, 280)))
    order = rng.permutation(280)
    found = ec.eigvals(a[np.ix_(order, order)], structure="dense")
    np.testing.assert_array_equal(found.real, np.sort(np.diagonal(a))[::-1])


def test_a_bad_matrix_spoils_no_other() -> None:
    a = gaussian(3, 270)
    expected = ec.eigvals(a)
    a[1, 200, 3] = np.inf
    found = ec.eigvals(a)
    assert np.isnan(found[1]).all()
    np.testing.assert_array_equal(found[[0, 2]], expected[[0, 2]])


def test_results_do_not_depend_on_threads() -> None:
    a = gaussian(5, 280)
    before = ec.get_num_threads()
    try:
        ec.set_num_threads(1)
        alone = ec.svdvals(a), ec.eigvals(a)
        ec.set_num_threads(4)
        together = ec.svdvals(a), ec.eigvals(a)
    finally:
        ec.set_num_threads(before)
    np.testing.assert_array_equal(alone[0], together[0])
    np.testing.assert_array_equal(alone[1], together[1])


def test_two_callers_at_once_leave_blas_its_threads() -> None:
    threadpoolctl = pytest.importorskip("threadpoolctl")

    def blas_threads() -> list[int]:
        return [library["num_threads"] for library in threadpoolctl.threadpool_info() if library["user_api"] == "blas"]

    a = gaussian(2, 270)
    before, expected = blas_threads(), ec.svdvals(a)
    results: list[np.ndarray] = []
    callers = [threading.Thread(target=lambda: results.append(ec.svdvals(a))) for _ in range(4)]
    for caller in callers:
        caller.start()
    for caller in callers:
        caller.join()
    assert len(results) == 4
    for found in results:
        np.testing.assert_array_equal(found, expected)
    assert blas_threads() == before
