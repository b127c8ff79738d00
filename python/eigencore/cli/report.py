"""`eigencore report`: the page of a run, made again; or several runs side by side."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from eigencore.cli.config import Config
from eigencore.cli.options import AsJson, Quiet


def report(
    runs: Annotated[list[Path], typer.Argument(help="Run folders.", metavar="RUN", show_default=False)],
    out: Annotated[
        Path | None,
        typer.Option(
            help="File to write. [default: RUN/report.html; of several runs comparison.html]",
            show_default=False,
            rich_help_panel="Output",
        ),
    ] = None,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace a file that is there.", rich_help_panel="Output")
    ] = False,
    as_json: AsJson = False,
    quiet: Quiet = False,
    config: Config = None,
) -> None:
    """Make the page of a run again; of two or more runs, one page with all of them side by side."""
    from eigencore.errors import RunExistsError
    from eigencore.report import comparison_page, trace_page
    from eigencore.store import json_text, replace_text
    from eigencore.tracing import load_trace

    # A run's own page may always be made anew.
    own_page = out is None and len(runs) == 1
    target = out or (runs[0] / "report.html" if own_page else Path("comparison.html"))
    if target.exists() and not (overwrite or own_page):
        raise RunExistsError(f"{target} exists already; choose another file (--out) or overwrite it (--overwrite)")
    traces = [load_trace(run) for run in runs]
    page = trace_page(traces[0]) if len(runs) == 1 else comparison_page(traces, _names(runs))
    replace_text(target, page)
    if as_json:
        print(json_text({"page": str(target), "runs": [str(run) for run in runs]}))
    else:
        print(target)


def _names(runs: list[Path]) -> list[str]:
    """The folders' own names where they tell the runs apart, else their paths."""
    names = [run.resolve().name for run in runs]
    return names if len(set(names)) == len(names) else [str(run) for run in runs]
