"""What is measured: operations, the matrices that they get, who else can do them, and when an answer is right."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt
import scipy.linalg
import torch

import eigencore as ec
from eigencore import _core
from spectra.numpy_metrics import metrics_in_a_loop, metrics_of_diagonals
from spectra.timing import Timed

Array = npt.NDArray[Any]

SIZES = {6: 20160, 16: 4096, 32: 1024, 64: 256, 128: 64, 256: 32}
"""n -> matrices in a batch."""
THREADS = sorted({1, ec.get_num_threads()})
VARIANTS = 3
OURS = "eigencore"


def attention(batch: int, n: int, seed: int) -> Array:
    """Softmax of normal logits of scales 0.5, 1, 2 and 4."""
    rng = np.random.default_rng((seed, n))
    x = rng.standard_normal((batch, n, n)) * rng.choice([0.5, 1.0, 2.0, 4.0], (batch, 1, 1))
    e = np.exp(x - x.max(-1, keepdims=True))
    return np.asarray(e / e.sum(-1, keepdims=True))


def causal_attention(batch: int, n: int, seed: int) -> Array:
    a = np.tril(attention(batch, n, seed))
    return np.asarray(a / a.sum(-1, keepdims=True))


@dataclass(frozen=True)
class Solver:
    run: Callable[[Array], Any]
    one_by_one: bool = False
    """A loop, which costs the same for each matrix: a part of the batch tells."""
    float64_only: bool = False
    missing: str | None = None
    """Why this build cannot run it."""


@dataclass(frozen=True)
class Operation:
    title: str
    matrices: Callable[[int, int, int], Array]
    """(batch, n, seed) -> (batch, n, n) float64."""
    dtypes: tuple[str, ...]
    solvers: Mapping[str, Solver]
    check: Callable[[Any, Array], None]
    """Raises AssertionError where an answer for some matrices is not NumPy's, computed in float64."""


def check_eigvals(found: Any, a: Array) -> None:
    """Close eigenvalues lose up to half of their digits in any solver; the sums of them and of their squares do not."""
    eps, n = np.finfo(a.dtype).eps, a.shape[-1]
    exact, values = a.astype(np.float64), np.asarray(found).astype(np.complex128)
    norm = np.linalg.norm(exact, axis=(-2, -1))
    expected = np.linalg.eigvals(exact)
    error = np.abs(np.sort(np.abs(values), -1) - np.sort(np.abs(expected), -1)).max(-1)
    assert (error <= 2 * np.sqrt(eps) * norm).all()
    for power, exact_sum in ((1, np.trace(exact, axis1=-2, axis2=-1)), (2, np.einsum("bij,bji->b", exact, exact))):
        assert (np.abs((values**power).sum(-1) - exact_sum) <= 16 * n * eps * norm**power).all()


def check_svdvals(found: Any, a: Array) -> None:
    expected = np.linalg.svd(a.astype(np.float64), compute_uv=False)
    error = np.abs(np.asarray(found) - expected).max(-1)
    assert (error <= 16 * a.shape[-1] * np.finfo(a.dtype).eps * expected[:, 0]).all()


def check_causal_eigvals(found: Any, a: Array) -> None:
    expected = np.sort(np.diagonal(a, axis1=-2, axis2=-1), -1)
    values = np.asarray(found)
    np.testing.assert_allclose(np.sort(values.real, -1), expected, rtol=0, atol=16 * np.finfo(a.dtype).eps)
    assert not values.imag.any()


def check_causal_metrics(found: Any, a: Array) -> None:
    for name, expected in metrics_of_diagonals(a).items():
        np.testing.assert_allclose(np.asarray(found[name]), expected, rtol=1e-9, atol=1e-12, err_msg=name)


def our_causal_metrics(a: Array) -> dict[str, Any]:
    found = ec.batch_metrics(a, structure="causal")
    return {name: getattr(found, name) for name in _core.METRIC_NAMES if name != "stable_rank"}


def eigen_per_matrix(name: str, *arguments: Any) -> Solver:
    """Eigen, one matrix after the other inside the core."""
    solve = getattr(_core, name, None)
    if solve is None:
        return Solver(lambda a: None, missing=f"this build of the core has no {name}")
    return Solver(lambda a: solve(a, _core.Scalar.float64, *arguments)[0], one_by_one=True, float64_only=True)


def eigenvalue_solvers(ours: Callable[[Array], Any]) -> dict[str, Solver]:
    return {
        OURS: Solver(ours),
        "numpy": Solver(np.linalg.eigvals),
        "torch": Solver(lambda a: torch.linalg.eigvals(torch.from_numpy(a))),
        "scipy": Solver(lambda a: [scipy.linalg.eigvals(one) for one in a], one_by_one=True),
        "eigen": eigen_per_matrix("reference_eigvals_f64", _core.Structure.dense),
    }


OPERATIONS = {
    "eigvals": Operation(
        "dense eigenvalues",
        attention,
        ("float64", "float32"),
        eigenvalue_solvers(lambda a: ec.eigvals(a, dtype=str(a.dtype))),
        check_eigvals,
    ),
    "svdvals": Operation(
        "dense singular values",
        attention,
        ("float64", "float32"),
        {
            OURS: Solver(lambda a: ec.svdvals(a, dtype=str(a.dtype))),
            "numpy": Solver(lambda a: np.linalg.svd(a, compute_uv=False)),
            "torch": Solver(lambda a: torch.linalg.svdvals(torch.from_numpy(a))),
            "scipy": Solver(lambda a: [scipy.linalg.svdvals(one) for one in a], one_by_one=True),
            "eigen": eigen_per_matrix("reference_svdvals_f64"),
        },
        check_svdvals,
    ),
    "causal_eigvals": Operation(
        "causal eigenvalues",
        causal_attention,
        ("float64",),
        eigenvalue_solvers(lambda a: ec.eigvals(a, structure="causal")),
        check_causal_eigvals,
    ),
    "causal_metrics": Operation(
        "causal metrics",
        causal_attention,
        ("float64",),
        {
            OURS: Solver(our_causal_metrics),
            "scipy": Solver(metrics_in_a_loop, one_by_one=True),
            "diagonal": Solver(metrics_of_diagonals),
        },
        check_causal_metrics,
    ),
}


@dataclass(frozen=True)
class Problem:
    """An operation on batches of one size and type. Calls take turns on `variants`, so that none is learnt by heart."""

    operation: Operation
    variants: tuple[Array, ...]

    def part_for(self, solver: str) -> int:
        """How many matrices are enough to know what this solver takes for each."""
        n, batch = self.variants[0].shape[-1], len(self.variants[0])
        return min(batch, max(8, 2048 // n)) if self.operation.solvers[solver].one_by_one else batch

    def check(self, solver: str, matrices: int) -> None:
        """Runs the whole call once and compares up to 16 of its answers, the first and the last among them."""
        a = self.variants[0][:matrices]
        answer = self.operation.solvers[solver].run(a)
        chosen = np.unique(np.linspace(0, len(a) - 1, 16).astype(int))
        if isinstance(answer, dict):
            self.operation.check({name: np.asarray(values)[chosen] for name, values in answer.items()}, a[chosen])
        else:
            self.operation.check(np.asarray(answer)[chosen], a[chosen])

    def timed(self, solver: str, matrices: int) -> Timed:
        run = self.operation.solvers[solver].run
        return Timed(lambda turn: run(self.variants[turn % VARIANTS][:matrices]), matrices)


@lru_cache(maxsize=2)
def problem(operation: str, n: int, batch: int, dtype: str) -> Problem:
    chosen = OPERATIONS[operation]
    variants = (chosen.matrices(batch, n, seed).astype(dtype, copy=False) for seed in range(VARIANTS))
    return Problem(chosen, tuple(variants))


def solvers_of(operation: str, dtype: str) -> dict[str, Solver]:
    """Those that compute in `dtype`."""
    found = OPERATIONS[operation].solvers.items()
    return {name: solver for name, solver in found if dtype == "float64" or not solver.float64_only}


@contextmanager
def threads(count: int) -> Iterator[None]:
    """eigencore, torch and every BLAS on as many threads."""
    from threadpoolctl import threadpool_limits

    before = ec.get_num_threads(), torch.get_num_threads()
    ec.set_num_threads(count)
    torch.set_num_threads(count)
    try:
        with threadpool_limits(count):
            yield
    finally:
        ec.set_num_threads(before[0])
        torch.set_num_threads(before[1])
