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
    console = Console(highlight=False, markup=False, emoji=False)
    console.print(_marked_text(trace), soft_wrap=True)
    console.print()
    console.print(_loop_line(trace))
    console.print(_layer_table(trace))
    settings = trace.settings["overridden"]
    if settings:
        console.print("overridden in generation_config: " + ", ".join(f"{k}={v}" for k, v in settings.items()))
    console.print(f"{folder}/: trace.parquet, summary.json, report.html", soft_wrap=True)


def _marked_text(trace: Trace) -> Text:
    text = Text(_printable(trace.prompt), style="dim")
    tokens = [_printable(token) for token in trace.tokens]
    if trace.loop is None:
        return text.append("".join(tokens), style="not dim")
    first, onset = trace.loop.first_copy_step, trace.loop.onset_step
    text.append("".join(tokens[:first]), style="not dim")
    text.append("".join(tokens[first:onset]), style="not dim black on yellow")
    return text.append("".join(tokens[onset:]), style="not dim yellow")


def _printable(text: str) -> str:
    """A model's text must not steer the terminal: control characters are shown, not sent."""
    return "".join(c if c in "\n\t" or c.isprintable() or ord(c) > 0x9F else "\ufffd" for c in text)


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
