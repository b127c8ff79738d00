"""When LAPACK, one matrix at a time, beats a group of lanes: what the table in cpp/src/plan.cpp was made from.

    python benchmarks/few_matrices.py

A group of lanes takes as long for one matrix as for all that it holds. Prints for each size how many matrices LAPACK
solves in that time, on one thread.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable

import numpy as np

import eigencore as ec
from eigencore import _core

SIZES = (32, 48, 64, 96, 128, 192, 256)
GROUP = 8
"""Matrices that one register of float64 lanes holds on x86-64-v4."""


def attention(n: int) -> np.ndarray:
    x = np.exp(np.random.default_rng(n).standard_normal((GROUP, n, n)))
    return np.asarray(x / x.sum(-1, keepdims=True))


def seconds(call: Callable[[], object]) -> float:
    begin = time.thread_time()
    call()
    return time.thread_time() - begin


def ratio(solve: Callable[[np.ndarray], np.ndarray], a: np.ndarray) -> float:
    """The time of a group in lanes over that of one matrix by LAPACK, both taking turns."""
    _core.allow_lapack(True)
    by_lapack = np.abs(solve(a[:1]))
    _core.allow_lapack(False)
    np.testing.assert_allclose(by_lapack, np.abs(solve(a))[:1], rtol=0, atol=1e-11)
    ratios = []
    for _ in range(max(5, 2000 // len(a[0]))):
        in_lanes = seconds(lambda: solve(a))
        _core.allow_lapack(True)
        alone = seconds(lambda: solve(a[:1]))
        _core.allow_lapack(False)
        ratios.append(in_lanes / alone)
    return statistics.median(ratios)


def main() -> None:
    ec.set_num_threads(1)
    _core.allow_lapack(True)
    if not _core.has_lapack():
        raise SystemExit("scipy's BLAS is not an OpenBLAS whose threads can be set; Eigen serves in its place")
    print(f"level {ec.active_arch()}, float64: matrices that LAPACK solves in the time of {GROUP} in lanes")
    print("    n  eigvals  svdvals")
    for n in SIZES:
        a = attention(n)
        print(f"{n:5}  {ratio(lambda x: ec.eigvals(x, structure='dense'), a):7.2f}  {ratio(ec.svdvals, a):7.2f}")


if __name__ == "__main__":
    main()
