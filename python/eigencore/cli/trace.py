"""`eigencore trace`: generate from a prompt, or from many, and leave run folders of what attention did."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from eigencore.cli.config import Config, came_from_config
from eigencore.cli.options import AsJson, Device, Dtype, Model, Quiet

_GENERATION, _MEASURES, _OUTPUT = "Generation", "What is measured", "Output"


def trace(
    context: typer.Context,
    prompt: Annotated[str | None, typer.Argument(help="Text to go on from.", show_default=False)] = None,
    prompts: Annotated[
        Path | None,
        typer.Option(
            show_default=False, help='Instead of PROMPT: a file, one prompt a line, or *.jsonl with {"prompt": …}.'
        ),
    ] = None,
    apply_chat_template: Annotated[
        bool, typer.Option("--apply-chat-template", help="Put the prompt into the model's chat template.")
    ] = False,
    model: Model = "tiny",
    dtype: Dtype = "float32",
    device: Device = "auto",
    max_new_tokens: Annotated[
        int, typer.Option(min=1, help="Tokens to generate at most.", rich_help_panel=_GENERATION)
    ] = 200,
    do_sample: Annotated[
        bool | None,
        typer.Option(
            "--do-sample/--greedy",
            help="Sample or not. [default: as the model's generation_config says]",
            show_default=False,
            rich_help_panel=_GENERATION,
        ),
    ] = None,
    temperature: Annotated[
        float | None, typer.Option(help="Sampling temperature; implies --do-sample.", rich_help_panel=_GENERATION)
    ] = None,
    top_k: Annotated[
        int | None,
        typer.Option(min=1, help="Sample among the k most probable; implies --do-sample.", rich_help_panel=_GENERATION),
    ] = None,
    top_p: Annotated[
        float | None,
        typer.Option(min=0, max=1, help="Sample in the nucleus p; implies --do-sample.", rich_help_panel=_GENERATION),
    ] = None,
    seed: Annotated[int, typer.Option(help="Seed of the sampling.", rich_help_panel=_GENERATION)] = 0,
    spectrum: Annotated[
        Literal["eigen", "singular"],
        typer.Option(
            help="singular adds singular values, at O(n³) for each layer, head and step measured.",
            rich_help_panel=_MEASURES,
        ),
    ] = "eigen",
    every: Annotated[
        int, typer.Option(min=1, help="Spectral metrics at every K-th step only.", rich_help_panel=_MEASURES)
    ] = 1,
    out: Annotated[
        Path | None,
        typer.Option(
            help="Run folder to make. [default: runs/MODEL-TIME]", show_default=False, rich_help_panel=_OUTPUT
        ),
    ] = None,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace a run folder that is there.", rich_help_panel=_OUTPUT)
    ] = False,
    no_report: Annotated[
        bool, typer.Option("--no-report", help="Leave report.html out.", rich_help_panel=_OUTPUT)
    ] = False,
    as_json: AsJson = False,
    quiet: Quiet = False,
    config: Config = None,
) -> None:
    """Trace a generation: spectra of attention at every step, layer and head.

    Leaves a run folder with trace.parquet, summary.json and report.html; with --prompts, a folder of numbered ones.

    Ctrl-C ends a trace early: what was traced is saved, marked as partial.
    """
    if prompt is not None and prompts is not None:
        # The command line wins over the file.
        prompt = None if came_from_config(context, "prompt") else prompt
        prompts = None if came_from_config(context, "prompts") else prompts
    if (prompt is None) == (prompts is None):
        raise typer.BadParameter("give either PROMPT or --prompts FILE")
    from eigencore.cli.trace_output import print_outcome
    from eigencore.cli.trace_runs import TraceJob, check_path

    check_path(out)

    sampling = {"do_sample": do_sample, "temperature": temperature, "top_k": top_k, "top_p": top_p}
    job = TraceJob(
        model=model,
        dtype=dtype,
        device=device,
        options={
            "max_new_tokens": max_new_tokens,
            "seed": seed,
            "spectrum": spectrum,
            "every": every,
            "apply_chat_template": apply_chat_template,
            **{name: value for name, value in sampling.items() if value is not None},
        },
        overwrite=overwrite,
        with_report=not no_report,
        show_progress=not quiet,
    )
    outcome = job.trace_one(prompt, out) if prompt is not None else job.trace_file(prompts, out)  # type: ignore[arg-type]
    print_outcome(outcome, as_json=as_json, quiet=quiet)
    raise typer.Exit(outcome.exit_code)
