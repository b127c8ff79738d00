"""Spectra of tensors on a device: there by torch, or by the core on a copy on the host. Needs the package alone."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import groupby
from typing import Any

import torch

import eigencore as ec
from eigencore.metrics.on_device import diagonal_metrics
from spectra.timing import Pace, Paired, Timed, call_s, paired
from spectra.workloads import OPERATIONS, VARIANTS

OPERATIONS_PLACED = ("eigvals", "svdvals", "causal_metrics")
LARGEST_BATCH_NBYTES = 512 * 2**20
LONGEST_CALL_S = 3.0
"""Once a call takes longer, larger batches are left out."""

Call = Callable[[torch.Tensor], Any]


@dataclass(frozen=True)
class Grid:
    sizes: tuple[int, ...]
    batches: tuple[int, ...]
    pace: Pace


FULL = Grid((6, 16, 32, 64, 128, 256, 512), (1, 16, 128, 1024, 8192, 65536), Pace(rounds=5, sample_s=0.01))
QUICK = Grid((6, 16), (1, 8), Pace(rounds=3, sample_s=0.0005))


@dataclass(frozen=True)
class Placement:
    """One operation, type, size and batch."""

    operation: str
    dtype: str
    n: int
    batch: int
    host_us: float
    """Median time of a call."""
    device_us: float
    device_over_host: float
    """Median over the rounds of the ratio of both times, with its quartiles."""
    ratio_q1: float
    ratio_q3: float
    faster: str


@dataclass(frozen=True)
class Rule:
    """Where matrices of one size are computed faster, by the batches measured."""

    operation: str
    dtype: str
    n: int
    device_at: list[int]
    host_at: list[int]


def on_device(operation: str) -> Call:
    if operation == "causal_metrics":
        return lambda a: diagonal_metrics(a, None, "float64")[0]
    solve: Call = getattr(torch.linalg, operation)
    return solve


def on_host(operation: str) -> Call:
    """A copy to the host, the core on all its threads, and the answer back where the input lies."""
    if operation == "causal_metrics":

        def measure(a: torch.Tensor) -> dict[str, torch.Tensor]:
            found = ec.batch_metrics(a.cpu(), structure="causal")
            return {name: getattr(found, name).to(a.device) for name in METRICS}

        return measure
    solve = getattr(ec, operation)
    return lambda a: solve(a.cpu(), dtype=str(a.dtype).removeprefix("torch.")).to(a.device)


METRICS = tuple(diagonal_metrics(torch.ones(1, 1), None, "float64")[0])


def check(operation: str, call: Call, a: torch.Tensor) -> None:
    """Compares up to 16 answers with NumPy's."""
    chosen = torch.linspace(0, len(a) - 1, min(len(a), 16)).long()
    answer, sample = call(a), a.cpu()[chosen].numpy()
    if isinstance(answer, dict):
        OPERATIONS[operation].check({name: values.cpu()[chosen].numpy() for name, values in answer.items()}, sample)
    else:
        OPERATIONS[operation].check(answer.cpu()[chosen].numpy(), sample)


def synchronise(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def measured(operation: str, variants: list[torch.Tensor], pace: Pace) -> tuple[Paired, float]:
    """Host and device in turns, and how long the slower call takes. Every call ends with an idle device."""

    def synchronised(call: Call) -> Timed:
        def run(turn: int) -> None:
            a = variants[turn % VARIANTS]
            call(a)
            synchronise(a.device)

        return Timed(run, len(variants[0]))

    for call in (on_device(operation), on_host(operation)):
        check(operation, call, variants[0])
    synchronise(variants[0].device)
    sides = synchronised(on_host(operation)), synchronised(on_device(operation))
    return paired(*sides, pace), max(call_s(side, 0) for side in sides)


def placements(grid: Grid, device: torch.device) -> Iterator[Placement]:
    for operation in OPERATIONS_PLACED:
        for dtype in OPERATIONS[operation].dtypes:
            for n in grid.sizes:
                for batch in grid.batches:
                    if batch * n * n * 8 > LARGEST_BATCH_NBYTES:
                        break
                    hosts = (OPERATIONS[operation].matrices(batch, n, seed) for seed in range(VARIANTS))
                    variants = [torch.from_numpy(a.astype(dtype, copy=False)).to(device) for a in hosts]
                    found, longest_s = measured(operation, variants, grid.pace)
                    yield Placement(
                        operation,
                        dtype,
                        n,
                        batch,
                        batch * found.ours_ns / 1e3,
                        batch * found.theirs_ns / 1e3,
                        found.ratio,
                        found.ratio_q1,
                        found.ratio_q3,
                        "device" if found.ratio < 1 else "host",
                    )
                    if longest_s > LONGEST_CALL_S:
                        break


def policy(found: list[Placement]) -> list[Rule]:
    rules = []
    for (operation, dtype, n), group in groupby(found, key=lambda p: (p.operation, p.dtype, p.n)):
        by_side: dict[str, list[int]] = {"device": [], "host": []}
        for p in group:
            by_side[p.faster].append(p.batch)
        rules.append(Rule(operation, dtype, n, by_side["device"], by_side["host"]))
    return rules


def placement_text(p: Placement) -> str:
    return (
        f"{p.operation:14}  {p.dtype}  n = {p.n:3}  batch {p.batch:6,}  host {p.host_us:12,.0f} us  "
        f"device {p.device_us:12,.0f} us  device over host {p.device_over_host:8.2f}  {p.faster}"
    )


def rule_text(rule: Rule) -> str:
    sides = (("device", rule.device_at), ("host", rule.host_at))
    where = "; ".join(f"{side} at a batch of {', '.join(f'{b:,}' for b in at)}" for side, at in sides if at)
    return f"{rule.operation:14}  {rule.dtype}  n = {rule.n:3}  {where}"
