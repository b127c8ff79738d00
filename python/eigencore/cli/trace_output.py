"""What `eigencore trace` says: on the terminal, or as JSON."""

from __future__ import annotations

import sys
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from eigencore.cli.exit_codes import one_line
from eigencore.store import json_text

if TYPE_CHECKING:
    from eigencore.cli.trace_runs import Outcome, Run
    from eigencore.tracing import Trace

_COLUMNS = {
    "spectral_entropy": "spectral entropy",
    "effective_rank": "eff. rank",
    "singular.effective_rank": "singular eff. rank",
    "dominant_ratio": "dominant ratio",
    "row_entropy": "row entropy",
    "self_weight": "self weight",
    "sink_weight": "sink weight",
}
_FIRST_COPY = ("⟦", "⟧")


def print_outcome(outcome: Outcome, *, as_json: bool, quiet: bool) -> None:
    """Results on stdout, what went wrong on stderr."""
    console = Console(highlight=False, markup=False, emoji=False)
    if as_json:
        print(json_text(_as_json(outcome)))
    elif quiet and outcome.runs:
        print(outcome.folder)
    elif len(outcome.runs) == 1 and outcome.runs[0].folder == outcome.folder:
        _print_run(console, outcome.runs[0])
    elif outcome.runs:
        _print_runs(console, outcome)
    for number, prompt, error in outcome.failed:
        print(f"eigencore: no trace of prompt {number} ({_shortened(prompt)!r}): {one_line(error)}", file=sys.stderr)
    for run in outcome.runs:
        if run.page_error is not None:
            print(
                f"eigencore: the trace is in {run.folder}, but its page could not be made "
                f"({one_line(run.page_error)}); "
                f"eigencore report {run.folder} tries again",
                file=sys.stderr,
            )
    if outcome.not_attempted:
        first = _shortened(outcome.not_attempted[0])
        print(f"eigencore: {len(outcome.not_attempted)} prompts not attempted, from {first!r} on", file=sys.stderr)


def _as_json(outcome: Outcome) -> dict[str, Any]:
    return {
        "folder": str(outcome.folder),
        "runs": [_run_as_json(run) for run in outcome.runs],
        "failed": [
            {"number": number, "prompt": prompt, "error": one_line(error)} for number, prompt, error in outcome.failed
        ],
        "not_attempted": outcome.not_attempted,
        "interrupted": outcome.interrupted,
    }


def _run_as_json(run: Run) -> dict[str, Any]:
    trace = run.trace
    return {
        "folder": str(run.folder),
        "files": run.files,
        "model": trace.model,
        "settings": trace.settings,
        "prompt": trace.prompt,
        "text": trace.text,
        "num_steps": trace.num_steps,
        "stop_reason": trace.stop_reason,
        "loop": None if trace.loop is None else asdict(trace.loop),
        "layer_means": trace.layer_means(),
    }


def _print_run(console: Console, run: Run) -> None:
    """The text with its loop marked, a table per layer, and where the files are."""
    trace = run.trace
    console.print(_marked_text(trace), soft_wrap=True)
    console.print()
    console.print(_verdict(trace))
    console.print(_layer_table(trace))
    every = trace.settings["every"]
    if every > 1:
        console.print(f"spectral columns: of steps 0, {every}, {2 * every}, … alone")
    asked = trace.settings["overridden"]
    if asked:
        console.print("not as the model's generation_config has it: " + ", ".join(f"{k}={v}" for k, v in asked.items()))
    console.print(f"{run.folder}/: {', '.join(run.files)}", soft_wrap=True)


def _print_runs(console: Console, outcome: Outcome) -> None:
    table = Table(box=box.SIMPLE_HEAD)
    table.add_column("run")
    table.add_column("tokens", justify="right")
    table.add_column("loop")
    table.add_column("prompt", overflow="ellipsis", no_wrap=True)
    for run in outcome.runs:
        loop = run.trace.loop
        described = "-" if loop is None else f"{loop.period} tokens from step {loop.onset_step}"
        prompt = Text(_printable(run.trace.prompt.replace("\n", "⏎")))
        table.add_row(run.folder.name, str(run.trace.num_steps), described, prompt)
    console.print(table)
    runs = "1 run" if len(outcome.runs) == 1 else f"{len(outcome.runs)} runs"
    console.print(f"{runs} in {outcome.folder}/", soft_wrap=True)


def _marked_text(trace: Trace) -> Text:
    text = Text(_printable(trace.prompt), style="dim")
    tokens = [_printable(token) for token in trace.tokens]
    if trace.loop is None:
        return text.append("".join(tokens), style="not dim")
    first, onset = trace.loop.first_copy_step, trace.loop.onset_step
    opening, closing = _FIRST_COPY
    text.append("".join(tokens[:first]), style="not dim")
    text.append(opening + "".join(tokens[first:onset]) + closing, style="not dim black on yellow")
    return text.append("".join(tokens[onset:]), style="not dim yellow")


def _printable(text: str) -> str:
    """A model's text must not steer the terminal: control characters are shown, not sent."""
    return "".join(c if c in "\n\t" or c.isprintable() or ord(c) > 0x9F else "\ufffd" for c in text)


def _shortened(prompt: str) -> str:
    return prompt if len(prompt) <= 40 else prompt[:39] + "…"


def _verdict(trace: Trace) -> str:
    partial = " before the interruption" if trace.stop_reason == "interrupted" else ""
    if trace.loop is None:
        return f"{trace.num_steps} tokens{partial}, no loop at the end"
    loop = trace.loop
    return (
        f"{trace.num_steps} tokens{partial}; loop of {loop.period} tokens, {loop.copies} copies:\n"
        f"first (in {' '.join(_FIRST_COPY)}) from step {loop.first_copy_step}, repeating from step {loop.onset_step}"
    )


def _layer_table(trace: Trace) -> Table:
    title = "mean over steps and heads (entropies in bits)"
    table = Table(title=title, title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0))
    table.add_column("layer", justify="right")
    means = trace.layer_means()
    columns = {name: heading for name, heading in _COLUMNS.items() if name in means}
    for heading in columns.values():
        table.add_column(heading, justify="right")
    for layer in range(trace.model["num_hidden_layers"]):
        table.add_row(str(layer), *(f"{means[name][layer]:.3f}" for name in columns))
    return table
