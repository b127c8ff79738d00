"""`eigencore trace`: generate from a prompt, and leave a run folder of what attention did."""

from __future__ import annotations

from datetime import datetime
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from eigencore.tracing import Trace


def trace(
    prompt: Annotated[str, typer.Argument(help="Text to go on from.", show_default=False)],
    model: Annotated[str, typer.Option(help="tiny, smollm2, a model folder or a hub id.")] = "tiny",
    max_new_tokens: Annotated[int, typer.Option(min=1, help="Tokens to generate at most.")] = 200,
    do_sample: Annotated[
        bool | None,
        typer.Option("--do-sample/--greedy", help="Sample or not. [default: as the model says]", show_default=False),
    ] = None,
    temperature: Annotated[float | None, typer.Option(help="Sampling temperature; implies --do-sample.")] = None,
    top_k: Annotated[int | None, typer.Option(help="Sample among the k most probable; implies --do-sample.")] = None,
    top_p: Annotated[float | None, typer.Option(help="Sample in the nucleus p; implies --do-sample.")] = None,
    seed: Annotated[int, typer.Option(help="Seed of the sampling.")] = 0,
    dtype: Annotated[str, typer.Option(help="float32, float64, bfloat16 or float16.")] = "float32",
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or cuda:N.")] = "auto",
    out: Annotated[
        Path | None, typer.Option(help="Run folder to make. [default: runs/MODEL-TIME]", show_default=False)
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace a run folder that is there.")] = False,
) -> None:
    """Trace a generation: spectra of attention at every step, layer and head.

    Leaves a run folder with trace.parquet, summary.json and report.html.
    """
    from eigencore.cli.trace_output import print_trace
    from eigencore.store import new_run_folder

    folder = out if out is not None else _default_folder(model)
    sampling = {"do_sample": do_sample, "temperature": temperature, "top_k": top_k, "top_p": top_p}
    generation = {name: value for name, value in sampling.items() if value is not None}
    options = {"seed": seed, "dtype": dtype, "device": device, **generation}
    # The folder is opened first: a place that cannot be written to should cost no generation.
    with new_run_folder(folder, overwrite=overwrite) as work:
        result = _traced_with_progress(model, prompt, max_new_tokens, **options)
        result.write_into(work)
        from eigencore.report import trace_page

        (work / "report.html").write_text(trace_page(result), encoding="utf-8")
    print_trace(result, folder)


def _traced_with_progress(model: str, prompt: str, max_new_tokens: int, **options: Any) -> Trace:
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (TextColumn("{task.description}", markup=False), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    console = Console(stderr=True)
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bars:
        bar = bars.add_task(f"loading {model}", total=max_new_tokens)
        from eigencore.tracing import trace_generation

        def advance(steps: int) -> None:
            bars.update(bar, completed=steps, description=f"tracing {model}")

        return trace_generation(model, prompt, max_new_tokens=max_new_tokens, progress=advance, **options)


def _default_folder(model: str) -> Path:
    base = f"{Path(model).name or 'model'}-{datetime.now():%Y%m%d-%H%M%S}"
    names = (base if attempt == 1 else f"{base}-{attempt}" for attempt in count(1))
    return next(folder for name in names if not (folder := Path("runs") / name).exists())
