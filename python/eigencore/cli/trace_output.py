"""What a trace says on the terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

if TYPE_CHECKING:
    from pathlib import Path

    from eigencore.tracing import Trace

_COLUMNS = {
    "spectral_entropy": "spectral entropy",
    "effective_rank": "effective rank",
    "dominant_ratio": "dominant ratio",
    "row_entropy": "row entropy",
    "self_weight": "self weight",
    "sink_weight": "sink weight",
}


def print_trace(trace: Trace, folder: Path) -> None:
    """The text with its loop marked, a table per layer, and where the files are."""
    console = Console(highlight=False)
    console.print(_marked_text(trace))
    console.print()
    console.print(_loop_line(trace))
    console.print(_layer_table(trace))
    settings = trace.settings["overridden"]
    if settings:
        console.print("overridden in generation_config: " + ", ".join(f"{k}={v}" for k, v in settings.items()))
    console.print(f"{folder}/: trace.parquet, summary.json, report.html", soft_wrap=True)


def _marked_text(trace: Trace) -> Text:
    text = Text(trace.prompt, style="dim")
    if trace.loop is None:
        return text.append(trace.text, style="not dim")
    first, onset = trace.loop.first_copy_step, trace.loop.onset_step
    text.append("".join(trace.tokens[:first]), style="not dim")
    text.append("".join(trace.tokens[first:onset]), style="not dim black on yellow")
    return text.append("".join(trace.tokens[onset:]), style="not dim yellow")


def _loop_line(trace: Trace) -> str:
    if trace.loop is None:
        return f"{trace.num_steps} tokens, no loop at the end"
    loop = trace.loop
    return (
        f"{trace.num_steps} tokens; loop of {loop.period} tokens: first copy at step {loop.first_copy_step}, "
        f"repeating from step {loop.onset_step}, {loop.copies} copies"
    )


def _layer_table(trace: Trace) -> Table:
    table = Table(title="mean over steps and heads (entropies in bits)", title_justify="left", box=box.SIMPLE_HEAD)
    table.add_column("layer", justify="right")
    for heading in _COLUMNS.values():
        table.add_column(heading, justify="right")
    means = trace.layer_means()
    for layer in range(trace.model["num_hidden_layers"]):
        table.add_row(str(layer), *(f"{means[name][layer]:.3f}" for name in _COLUMNS))
    return table
