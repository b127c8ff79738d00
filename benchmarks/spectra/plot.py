"""The measurements as one picture: ratios, time over n, time over the batch."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("svg")
matplotlib.rcParams.update({"svg.hashsalt": "eigencore", "svg.fonttype": "none", "font.family": "sans-serif"})

from matplotlib import pyplot  # noqa: E402

from spectra.measurements import Comparison, Growth  # noqa: E402
from spectra.tables import HEADINGS  # noqa: E402

COLOURS = {
    "eigencore": "#0b6e4f",
    "numpy": "#c1121f",
    "torch": "#e07a1f",
    "scipy": "#7b2d8b",
    "eigen": "#3a5a98",
    "diagonal": "#6b705c",
}


def draw(comparisons: list[Comparison], growths: list[Growth], title: str, path: Path) -> None:
    """One thread throughout."""
    figure, axes = pyplot.subplots(2, 3, figsize=(15, 9), layout="constrained")
    figure.suptitle(title)
    single = [c for c in comparisons if c.question == "baseline" and c.threads == 1]
    to_numpy(axes[0][0], [c for c in single if c.theirs == "numpy" and c.operation in ("eigvals", "svdvals")])
    to_others(axes[0][1], [c for c in single if c.operation == "eigvals" and c.dtype == "float64"], "dense eigenvalues")
    to_others(axes[0][2], [c for c in single if c.operation == "causal_metrics"], "causal metrics")
    over_n = [g for g in growths if g.over == "n" and g.threads == 1 and g.dtype == "float64"]
    times(axes[1][0], [g for g in over_n if g.operation == "eigvals"], "dense eigenvalues, each", "n")
    times(axes[1][1], [g for g in over_n if g.operation == "svdvals"], "dense singular values, each", "n")
    over_batch = [g for g in growths if g.over == "batch" and g.operation == "eigvals"]
    times(axes[1][2], over_batch, "dense eigenvalues, a call", "matrices in a batch")
    figure.savefig(path, metadata={"Date": None})
    pyplot.close(figure)


def to_numpy(axes: Any, comparisons: list[Comparison]) -> None:
    for operation in ("eigvals", "svdvals"):
        for dtype, style in (("float64", "-"), ("float32", "--")):
            here = [c for c in comparisons if (c.operation, c.dtype) == (operation, dtype)]
            colour = COLOURS["eigencore" if operation == "eigvals" else "eigen"]
            ratios(axes, here, f"{operation}, {dtype}", colour, style)
    finish(axes, "batched numpy.linalg over eigencore", "n", "ratio")


def to_others(axes: Any, comparisons: list[Comparison], title: str) -> None:
    for name in dict.fromkeys(c.theirs for c in comparisons):
        ratios(axes, [c for c in comparisons if c.theirs == name], HEADINGS[name], COLOURS[name], "-")
    finish(axes, f"{title}, float64: others over eigencore", "n", "ratio")


def ratios(axes: Any, comparisons: list[Comparison], label: str, colour: str, style: str) -> None:
    """Medians, with the quartiles as a band."""
    sizes = [c.n for c in comparisons]
    axes.plot(sizes, [c.paired.ratio for c in comparisons], style, color=colour, marker="o", markersize=4, label=label)
    low, high = [c.paired.ratio_q1 for c in comparisons], [c.paired.ratio_q3 for c in comparisons]
    axes.fill_between(sizes, low, high, color=colour, alpha=0.12, linewidth=0)


def times(axes: Any, growths: Iterable[Growth], title: str, size: str) -> None:
    for g in growths:
        style = {None: "-", 6: "-", 32: "--"}.get(g.n, ":")
        of = g.implementation if g.n is None else f"{g.implementation}, n = {g.n}"
        seconds = [t / 1e9 for t in g.times_ns]
        label = f"{of}: {size[0] if g.over == 'n' else 'batch'}^{g.exponent:.2f}"
        axes.plot(g.sizes, seconds, style, color=COLOURS[g.implementation], marker="o", markersize=4, label=label)
    finish(axes, f"{title}, float64", size, "seconds")


def finish(axes: Any, title: str, x: str, y: str) -> None:
    axes.set(title=title, xlabel=x, ylabel=y, xscale="log", yscale="log")
    if x == "n":
        sizes = sorted({n for drawn in axes.get_lines() for n in drawn.get_xdata()})
        axes.set_xticks(sizes, [f"{n:g}" for n in sizes])
        axes.minorticks_off()
    if y == "ratio":
        axes.axhline(1, color="black", linewidth=0.8)
        axes.yaxis.set_major_formatter("{x:g}")
    axes.grid(alpha=0.3, linewidth=0.5)
    axes.legend(fontsize="small")
