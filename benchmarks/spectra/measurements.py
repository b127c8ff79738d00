"""The measurements of the report: which pairs are timed, at which sizes, and the record that each leaves."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import eigencore as ec
from eigencore import _core
from spectra.timing import Pace, Paired, Timed, growth_exponent, paired
from spectra.workloads import OPERATIONS, OURS, SIZES, THREADS, Problem, problem, solvers_of, threads

ASYMPTOTIC_FROM = 64


@dataclass(frozen=True)
class Scope:
    """How much is measured."""

    sizes: dict[int, int]
    """n -> matrices in a batch."""
    batch_sizes: dict[int, int]
    """n -> the largest batch, for the growth over batches."""
    call_batch: int
    """Matrices of 6 x 6 in the call whose duration is reported."""
    pace: Pace


FULL = Scope(SIZES, {6: 16384, 32: 1024, 128: 64}, 336, Pace(rounds=7, sample_s=0.02))
QUICK = Scope({6: 256, 16: 32}, {6: 16}, 32, Pace(rounds=3, sample_s=0.001))


@dataclass(frozen=True)
class Comparison:
    """One pair. `paired` is per matrix, and its ratio says how many times as long `theirs` takes as `ours`."""

    question: str
    """"baseline": eigencore against others; "level": the best instruction-set level against lower ones; "threads": all
    threads against one; "batch": eigencore against the first baseline at several batch sizes; "call": a small batch in
    one call."""
    operation: str
    n: int
    batch: int
    dtype: str
    threads: int
    ours: str
    theirs: str
    paired: Paired


@dataclass(frozen=True)
class Growth:
    """Time ~ size ** exponent, by least squares on logarithms."""

    over: str
    """"n": of the time for each matrix; "batch": of the time of a call."""
    operation: str
    dtype: str
    threads: int
    implementation: str
    n: int | None
    """The size of the matrices where the batch grows."""
    exponent: float
    exponent_from_64: float | None
    """From the sizes n >= 64 alone."""
    sizes: list[int]
    times_ns: list[float]


Say = Callable[[str], None]


def against_baselines(scope: Scope, say: Say) -> Iterator[Comparison]:
    for name, operation in OPERATIONS.items():
        for dtype in operation.dtypes:
            for n, batch in scope.sizes.items():
                work = problem(name, n, batch, dtype)
                for count in THREADS:
                    say(f"{operation.title}, {dtype}, n = {n}, {threads_text(count)}")
                    with threads(count):
                        yield from _against_each(work, name, n, batch, dtype, count, scope.pace)


def _against_each(
    work: Problem, name: str, n: int, batch: int, dtype: str, count: int, pace: Pace
) -> Iterator[Comparison]:
    for theirs, solver in solvers_of(name, dtype).items():
        if theirs != OURS and not solver.missing:
            measured = _against(work, theirs, pace)
            yield Comparison("baseline", name, n, batch, dtype, count, OURS, theirs, measured)


def _against(work: Problem, theirs: str, pace: Pace) -> Paired:
    """Ours on the whole batch, theirs on as much of it as tells, both checked."""
    for solver in (OURS, theirs):
        work.check(solver, work.part_for(solver))
    return paired(work.timed(OURS, work.part_for(OURS)), work.timed(theirs, work.part_for(theirs)), pace)


def one_call(scope: Scope, say: Say) -> Iterator[Comparison]:
    """What a step of a trace would ask for: few small matrices, at once."""
    say(f"causal metrics of {scope.call_batch} matrices of 6 x 6 in one call")
    work = problem("causal_metrics", 6, scope.call_batch, "float64")
    with threads(1):
        for theirs in ("scipy", "diagonal"):
            measured = _against(work, theirs, scope.pace)
            yield Comparison("call", "causal_metrics", 6, scope.call_batch, "float64", 1, OURS, theirs, measured)


def across_levels(scope: Scope, say: Say) -> Iterator[Comparison]:
    best = ec.active_arch()
    others = [level for level in ec.available_arches() if level != best]

    def at(level: str, timed: Timed) -> Timed:
        def run(turn: int) -> object:
            _core.use_arch(level)
            return timed.run(turn)

        return Timed(run, timed.matrices)

    try:
        for name, n, batch, dtype in _ours_everywhere(scope):
            say(f"instruction-set levels, {OPERATIONS[name].title}, {dtype}, n = {n}")
            work = problem(name, n, batch, dtype)
            timed = work.timed(OURS, batch)
            for level in others:
                _core.use_arch(level)
                work.check(OURS, batch)
                with threads(1):
                    measured = paired(at(best, timed), at(level, timed), scope.pace)
                yield Comparison("level", name, n, batch, dtype, 1, best, level, measured)
    finally:
        _core.use_arch(best)


def across_threads(scope: Scope, say: Say) -> Iterator[Comparison]:
    most = THREADS[-1]
    if most == 1:
        return

    def on(count: int, timed: Timed) -> Timed:
        def run(turn: int) -> object:
            ec.set_num_threads(count)
            return timed.run(turn)

        return Timed(run, timed.matrices)

    with threads(most):
        for name, n, batch, dtype in _ours_everywhere(scope):
            say(f"{most} threads over one, {OPERATIONS[name].title}, {dtype}, n = {n}")
            timed = problem(name, n, batch, dtype).timed(OURS, batch)
            measured = paired(on(most, timed), on(1, timed), scope.pace)
            yield Comparison("threads", name, n, batch, dtype, most, threads_text(most), threads_text(1), measured)


def _ours_everywhere(scope: Scope) -> Iterator[tuple[str, int, int, str]]:
    """(operation, n, batch, dtype) of all but the causal eigenvalues, which are copies of diagonals."""
    for name, operation in OPERATIONS.items():
        if name != "causal_eigvals":
            for dtype in operation.dtypes:
                for n, batch in scope.sizes.items():
                    yield name, n, batch, dtype


def over_batches(scope: Scope, say: Say) -> Iterator[Comparison]:
    with threads(1):
        for name, theirs in (("eigvals", "numpy"), ("svdvals", "numpy"), ("causal_metrics", "diagonal")):
            for n, largest in scope.batch_sizes.items():
                for batch in powers_of_4(largest):
                    say(f"{OPERATIONS[name].title}, n = {n}, {batch} in a batch")
                    work = problem(name, n, batch, "float64")
                    measured = _against(work, theirs, scope.pace)
                    yield Comparison("batch", name, n, batch, "float64", 1, OURS, theirs, measured)


def powers_of_4(largest: int) -> list[int]:
    return [4**i for i in range(largest.bit_length()) if 4**i <= largest]


def threads_text(count: int) -> str:
    return "1 thread" if count == 1 else f"{count} threads"


def growth_over_n(comparisons: list[Comparison]) -> Iterator[Growth]:
    """Ours as timed beside the first baseline, and every baseline."""
    series: dict[tuple[str, str, int, str], dict[int, float]] = {}
    for c in comparisons:
        if c.question == "baseline":
            key = (c.operation, c.dtype, c.threads)
            series.setdefault((*key, c.ours), {}).setdefault(c.n, c.paired.ours_ns)
            series.setdefault((*key, c.theirs), {})[c.n] = c.paired.theirs_ns
    for (operation, dtype, count, implementation), times in series.items():
        large = {n: t for n, t in times.items() if n >= ASYMPTOTIC_FROM}
        yield Growth(
            "n",
            operation,
            dtype,
            count,
            implementation,
            None,
            growth_exponent(list(times), list(times.values())),
            growth_exponent(list(large), list(large.values())) if len(large) > 1 else None,
            list(times),
            list(times.values()),
        )


def growth_over_batches(comparisons: list[Comparison]) -> Iterator[Growth]:
    series: dict[tuple[str, int, str], dict[int, float]] = {}
    for c in comparisons:
        if c.question == "batch":
            series.setdefault((c.operation, c.n, c.ours), {})[c.batch] = c.batch * c.paired.ours_ns
            series.setdefault((c.operation, c.n, c.theirs), {})[c.batch] = c.batch * c.paired.theirs_ns
    for (operation, n, implementation), times in series.items():
        exponent = growth_exponent(list(times), list(times.values()))
        yield Growth(
            "batch", operation, "float64", 1, implementation, n, exponent, None, list(times), list(times.values())
        )
