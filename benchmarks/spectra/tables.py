"""The measurements as Markdown."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from spectra.measurements import Comparison, Growth, threads_text
from spectra.workloads import OPERATIONS

HEADINGS = {
    "numpy": "numpy, batched",
    "torch": "torch, batched",
    "scipy": "scipy, a loop",
    "eigen": "Eigen, per matrix",
    "diagonal": "numpy.diagonal, vectorised",
}

QUIET_LOAD = 0.5


def table(headings: Sequence[str], rows: Iterable[Sequence[str]], names: int = 0) -> str:
    """The first `names` columns are words, the others numbers."""
    alignment = [":---" if i < names else "---:" for i in range(len(headings))]
    return "\n".join("| " + " | ".join(line) + " |" for line in (headings, alignment, *rows))


def ratio_text(ratio: float) -> str:
    """Three digits."""
    return f"{ratio:.0f}" if ratio >= 99.5 else f"{ratio:.1f}" if ratio >= 9.95 else f"{ratio:.2f}"


def time_text(ns: float) -> str:
    size, unit = (1.0, "ns") if ns < 999.5 else (1e3, "µs") if ns < 999.5e3 else (1e6, "ms")
    return f"{ns / size:.3g} {unit}"


def markdown(machine: dict[str, Any], comparisons: list[Comparison], growths: list[Growth], plot: str) -> str:
    rounds = max(c.paired.rounds for c in comparisons)
    parts = [
        "# Spectra: what the kernels reach",
        "Made by `python benchmarks/spectra_report.py`; all numbers are in `spectra.json`. Ratios: how many times as "
        f"long others take. Both sides take turns in one process, and the median over {rounds} rounds counts (fewer "
        "where calls take seconds), with its quartiles where there is room. Answers were compared before anything was "
        "timed. NumPy computes in float64 whatever its input; the others in the type named.",
        machine_table(machine),
        load_warning(machine),
        f"![ratios and growth]({plot})",
        "## In short",
        in_short(comparisons),
    ]
    for operation in OPERATIONS:
        parts += baseline_tables(operation, [c for c in comparisons if c.question == "baseline"])
    parts += pivot("level", "Lower instruction-set levels, in multiples of the time at the best", comparisons)
    parts += pivot("threads", "All threads over one", comparisons)
    parts += batch_table([c for c in comparisons if c.question == "batch"])
    parts += growth_tables(growths)
    return "\n\n".join(part for part in parts if part) + "\n"


def machine_table(machine: dict[str, Any]) -> str:
    versions = ", ".join(f"{name} {found}" for name, found in machine["versions"].items() if found)
    rows = [
        ("processor", f"{machine['cpu']}, {machine['cpus_usable']} usable"),
        ("level", f"{machine['level']} of {', '.join(machine['levels'])}"),
        ("compiler", machine["compiler"] or "unknown"),
        ("commit", machine["commit"] or "unknown"),
        ("versions", versions),
        ("load when it began", f"{machine['load_average_1min']:.1f}"),
        ("unset before NumPy loaded", ", ".join(machine["unset"]) or "nothing was set"),
    ]
    for count, pools in machine["threadpools"].items():
        named = (
            " ".join(
                str(pool[key]) for key in ("internal_api", "version", "architecture", "num_threads") if pool.get(key)
            )
            for pool in pools
        )
        rows.append((f"threadpoolctl, {threads_text(int(count))}", "; ".join(sorted(named))))
    rows.append(("measured at", machine["measured_at"]))
    return "| | |\n|---|---|\n" + "\n".join(f"| {name} | {value} |" for name, value in rows)


def load_warning(machine: dict[str, Any]) -> str:
    load = machine["load_average_1min"]
    if load < QUIET_LOAD:
        return ""
    return (
        f"**The machine was at work already** (load {load:.1f}). Ratios of one thread are rough, those of several mean "
        "nothing: threads of a BLAS spin while they wait."
    )


def in_short(comparisons: list[Comparison]) -> str:
    """The few figures that others quote."""
    lines = []
    for c in comparisons:
        if c.operation != "causal_metrics" or c.n != 6 or c.threads != 1 or c.question not in ("baseline", "call"):
            continue
        slower = f"{HEADINGS[c.theirs]}, takes {with_quartiles(c)} times as long."
        if c.question == "baseline":
            ours = time_text(c.paired.ours_ns)
            lines.append(f"- Causal metrics of {c.batch:,} matrices of 6 × 6: {ours} each; {slower}")
        else:
            lines.append(f"- {c.batch} of them in one call: {time_text(c.batch * c.paired.ours_ns)}; {slower}")
    return "\n".join(lines)


def with_quartiles(c: Comparison) -> str:
    low, high = ratio_text(c.paired.ratio_q1), ratio_text(c.paired.ratio_q3)
    return f"{ratio_text(c.paired.ratio)} ({low} to {high})"


def baseline_tables(operation: str, comparisons: list[Comparison]) -> list[str]:
    """One table for each type and number of threads."""
    parts = []
    for dtype in OPERATIONS[operation].dtypes:
        for count in sorted({c.threads for c in comparisons}):
            here = [c for c in comparisons if (c.operation, c.dtype, c.threads) == (operation, dtype, count)]
            others = list(dict.fromkeys(c.theirs for c in here))
            rows = []
            for n in sorted({c.n for c in here}):
                cells = {c.theirs: c for c in here if c.n == n}
                first = next(iter(cells.values()))
                row = [str(n), f"{first.batch:,}", time_text(first.paired.ours_ns)]
                rows.append(row + [with_quartiles(cells[name]) for name in others])
            title = OPERATIONS[operation].title
            parts.append(f"## {title[0].upper()}{title[1:]}, {dtype}, {threads_text(count)}")
            headings = ["n", "batch", "eigencore, each", *(HEADINGS[name] for name in others)]
            parts.append(table(headings, rows))
    return parts


def pivot(question: str, title: str, comparisons: list[Comparison]) -> list[str]:
    """Rows by operation, type and other side; columns by n."""
    here = [c for c in comparisons if c.question == question]
    sizes = sorted({c.n for c in here})
    found = {(c.operation, c.dtype, c.theirs, c.n): ratio_text(c.paired.ratio) for c in here}
    rows = [
        [OPERATIONS[operation].title, dtype, theirs, *(found[operation, dtype, theirs, n] for n in sizes)]
        for operation, dtype, theirs in dict.fromkeys((c.operation, c.dtype, c.theirs) for c in here)
    ]
    if not rows:
        return []
    return [f"## {title}", table(["", "type", here[0].ours + " over", *(f"n = {n}" for n in sizes)], rows, names=3)]


def batch_table(comparisons: list[Comparison]) -> list[str]:
    """Rows by operation and n; columns by batch."""
    batches = sorted({c.batch for c in comparisons})
    cells = {(c.operation, c.n, c.batch): ratio_text(c.paired.ratio) for c in comparisons}
    rows = [
        [OPERATIONS[operation].title, HEADINGS[theirs], str(n), *(cells.get((operation, n, b), "") for b in batches)]
        for operation, theirs, n in dict.fromkeys((c.operation, c.theirs, c.n) for c in comparisons)
    ]
    headings = ["", "over eigencore", "n", *(f"{b:,}" for b in batches)]
    return ["## Ratios by matrices in a batch, float64, 1 thread", table(headings, rows, names=2)]


def growth_tables(growths: list[Growth]) -> list[str]:
    parts = []
    for over, title, lead in (
        ("n", "Growth over n", "Time for each matrix ~ n to the power of (in brackets: from n = 64 on)"),
        ("batch", "Growth over the batch", "Time of a call ~ matrices in it to the power of"),
    ):
        here = [g for g in growths if g.over == over]
        cells = {(row_of(g), g.implementation): exponents_text(g) for g in here}
        names = list(dict.fromkeys(g.implementation for g in here))
        rows = [[*row, *(cells.get((row, name), "") for name in names)] for row in dict.fromkeys(map(row_of, here))]
        parts += [f"## {title}", lead, table(["", "", "", *names], rows, names=3)]
    return parts


def row_of(g: Growth) -> tuple[str, str, str]:
    last = threads_text(g.threads) if g.n is None else f"n = {g.n}, {g.sizes[0]} to {g.sizes[-1]:,}"
    return OPERATIONS[g.operation].title, g.dtype, last


def exponents_text(g: Growth) -> str:
    return f"{g.exponent:.2f}" + ("" if g.exponent_from_64 is None else f" ({g.exponent_from_64:.2f})")
