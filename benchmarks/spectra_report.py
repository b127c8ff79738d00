"""How the kernels of spectra compare and grow: a table, a plot and the raw numbers, under benchmarks/results/.

    python benchmarks/spectra_report.py [--quick] [--rounds N] [--out FOLDER]

Ratios of both sides taking turns in this process, against a SciPy loop, batched NumPy, batched torch and Eigen for each
matrix; dense and causal; one thread and all; instruction-set levels; growth over n and over the batch. Some ten
minutes on two quiet cores, and a few seconds with --quick, whose numbers mean nothing. Wants the extra `dev`.
"""

from __future__ import annotations

import argparse
import json
import time
from dataclasses import asdict, replace
from pathlib import Path

from spectra import machine, measurements, plot, tables
from spectra.timing import FEWEST_ROUNDS
from spectra.workloads import OPERATIONS, THREADS, threads

SCHEMA = "eigencore.benchmark.spectra/1"


def measure(scope: measurements.Scope) -> list[measurements.Comparison]:
    began = time.monotonic()

    def say(what: str) -> None:
        print(f"{time.monotonic() - began:6.0f} s  {what}", flush=True)

    for name, operation in OPERATIONS.items():
        for solver_name, solver in operation.solvers.items():
            if solver.missing:
                print(f"{name} without {solver_name}: {solver.missing}")
    found: list[measurements.Comparison] = []
    for question in (
        measurements.against_baselines,
        measurements.one_call,
        measurements.across_levels,
        measurements.across_threads,
        measurements.over_batches,
    ):
        found.extend(question(scope, say))
    return found


def facts() -> dict[str, object]:
    """Of the machine, with what threadpoolctl says at each number of threads."""
    pools = {}
    for count in THREADS:
        with threads(count):
            pools[str(count)] = machine.threadpools()
    return machine.facts() | {"threadpools": pools}


def as_json(
    about: dict[str, object], comparisons: list[measurements.Comparison], growths: list[measurements.Growth]
) -> str:
    """One record on a line."""
    parts = [f'"schema": {json.dumps(SCHEMA)}', f'"machine": {json.dumps(about, indent=1, ensure_ascii=False)}']
    for name, records in (("comparisons", comparisons), ("growth", growths)):
        lines = ",\n".join(json.dumps(asdict(record)) for record in records)
        parts.append(f'"{name}": [\n{lines}\n]')
    return "{\n" + ",\n".join(parts) + "\n}\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="small batches and few rounds: whether it works")
    parser.add_argument("--rounds", type=int, help="rounds for each pair, at least 3")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results", help="a folder")
    arguments = parser.parse_args()
    scope = measurements.QUICK if arguments.quick else measurements.FULL
    if arguments.rounds is not None:
        if arguments.rounds < FEWEST_ROUNDS:
            parser.error(f"quartiles want at least {FEWEST_ROUNDS} rounds, got {arguments.rounds}")
        scope = replace(scope, pace=replace(scope.pace, rounds=arguments.rounds))
    about = facts()
    comparisons = measure(scope)
    growths = [*measurements.growth_over_n(comparisons), *measurements.growth_over_batches(comparisons)]
    arguments.out.mkdir(parents=True, exist_ok=True)
    (arguments.out / "spectra.json").write_text(as_json(about, comparisons, growths), encoding="utf-8")
    plot.draw(comparisons, growths, f"{about['cpu']}, {about['level']}, 1 thread", arguments.out / "spectra.svg")
    text = tables.markdown(about, comparisons, growths, "spectra.svg")
    (arguments.out / "spectra.md").write_text(text, encoding="utf-8")
    print(f"wrote {', '.join(str(arguments.out / f'spectra.{kind}') for kind in ('md', 'json', 'svg'))}")


if __name__ == "__main__":
    main()
