"""Ratios that hold on a shared machine: both sides take turns in one process, and the median over the rounds counts."""

from __future__ import annotations

import math
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

FEWEST_ROUNDS = 3


@dataclass(frozen=True)
class Timed:
    run: Callable[[int], object]
    """Takes the number of the round, so that rounds can differ in their input."""
    matrices: int
    """What one call works through."""


@dataclass(frozen=True)
class Paired:
    ratio: float
    """Median over the rounds of the time of theirs over the time of ours, for each matrix."""
    ratio_q1: float
    ratio_q3: float
    ours_ns: float
    """Median for each matrix."""
    theirs_ns: float
    rounds: int


@dataclass(frozen=True)
class Pace:
    rounds: int
    sample_s: float
    """What one side's part of a round lasts at least; shorter calls are repeated, on input that is in cache by then."""
    budget_s: float = 10.0
    """A pair that has taken so long gets no more rounds, but three at least."""


def call_s(timed: Timed, turn: int, repeats: int = 1) -> float:
    """Seconds of one call. Of repeated calls the first is not counted."""
    if repeats > 1:
        timed.run(turn)
    begin = time.perf_counter()
    for _ in range(repeats):
        timed.run(turn)
    return (time.perf_counter() - begin) / repeats


def paired(ours: Timed, theirs: Timed, pace: Pace) -> Paired:
    sides = (ours, theirs)
    repeats = [max(1, math.ceil(pace.sample_s / max(call_s(side, 0), 1e-9))) for side in sides]
    times_ns: tuple[list[float], list[float]] = ([], [])
    began = time.perf_counter()
    for turn in range(pace.rounds):
        if turn >= FEWEST_ROUNDS and time.perf_counter() - began > pace.budget_s:
            break
        # Who goes first changes, so that neither side always runs on what the other left.
        for side in (0, 1) if turn % 2 == 0 else (1, 0):
            seconds = call_s(sides[side], turn, repeats[side])
            times_ns[side].append(1e9 * seconds / sides[side].matrices)
    ratios = [b / a for a, b in zip(*times_ns, strict=True)]
    q1, ratio, q3 = statistics.quantiles(ratios, n=4, method="inclusive")
    return Paired(ratio, q1, q3, statistics.median(times_ns[0]), statistics.median(times_ns[1]), len(ratios))


def growth_exponent(sizes: Sequence[float], times: Sequence[float]) -> float:
    """The least-squares slope of log time over log size."""
    return statistics.linear_regression([math.log(x) for x in sizes], [math.log(t) for t in times]).slope
