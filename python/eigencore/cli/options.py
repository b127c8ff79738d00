"""Options that several commands share, under the same names and with the same meaning."""

from __future__ import annotations

from typing import Annotated, Literal, TypeAlias

import typer


def _complete_model(incomplete: str) -> list[str]:
    return [name for name in ("tiny", "smollm2") if name.startswith(incomplete)]


Model: TypeAlias = Annotated[
    str,
    typer.Option(
        help="tiny, smollm2, a model folder or a hub id.", autocompletion=_complete_model, rich_help_panel="Model"
    ),
]
Dtype: TypeAlias = Annotated[
    Literal["float32", "float64", "bfloat16", "float16"],
    typer.Option(help="Of the weights.", rich_help_panel="Model"),
]
Device: TypeAlias = Annotated[str, typer.Option(help="auto, cpu, cuda or cuda:N.", rich_help_panel="Model")]
AsJson: TypeAlias = Annotated[
    bool, typer.Option("--json", help="One JSON object on stdout, all else on stderr.", rich_help_panel="Output")
]
Quiet: TypeAlias = Annotated[
    bool, typer.Option("--quiet", help="No progress, and only the path of what was made.", rich_help_panel="Output")
]
