"""Every solver on every workload, timed by pytest-benchmark; each first checks its answer against NumPy's.

    pytest benchmarks/bench_spectra.py --benchmark-json=spectra.json
    pytest benchmarks/bench_spectra.py -k "eigvals and n32 and float64"

Single timings drift on a shared machine. For ratios there is `python benchmarks/spectra_report.py`, which lets both
sides take turns on the same workloads.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from itertools import count
from typing import Any

import pytest
from spectra.workloads import OPERATIONS, SIZES, THREADS, problem, solvers_of, threads

BATCHES = {n: batch // 2 for n, batch in SIZES.items()}
"""The same for every solver, a loop included, so that times stand side by side."""
TARGET_S = 0.3


def cases() -> Iterator[Any]:
    """Solvers of one problem beside each other, so that its matrices are made once."""
    for operation, chosen in OPERATIONS.items():
        for dtype in chosen.dtypes:
            for n in SIZES:
                for solver, how in solvers_of(operation, dtype).items():
                    for thread_count in THREADS:
                        marks = pytest.mark.skipif(how.missing is not None, reason=how.missing or "")
                        yield pytest.param(
                            operation,
                            dtype,
                            n,
                            solver,
                            thread_count,
                            id=f"{operation}-{dtype}-n{n}-{solver}-{thread_count}t",
                            marks=marks,
                        )


@pytest.mark.parametrize(("operation", "dtype", "n", "solver", "thread_count"), list(cases()))
def test_spectra(benchmark: Any, operation: str, dtype: str, n: int, solver: str, thread_count: int) -> None:
    batch = BATCHES[n]
    work = problem(operation, n, batch, dtype)
    turns = count()
    benchmark.group = f"{operation} {dtype} n={n} batch={batch} threads={thread_count}"
    benchmark.extra_info |= {"batch": batch, "threads": thread_count, "n": n, "dtype": dtype}
    with threads(thread_count):
        begin = time.perf_counter()
        work.check(solver, batch)
        rounds = round(TARGET_S / (time.perf_counter() - begin))
        call = work.timed(solver, batch).run
        benchmark.pedantic(call, setup=lambda: ((next(turns),), {}), rounds=min(max(rounds, 3), 30))
