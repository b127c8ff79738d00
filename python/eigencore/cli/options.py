"""Options that several commands share, under the same names and with the same meaning."""

from __future__ import annotations

from typing import Annotated, TypeAlias

import typer

_DTYPES = ("float32", "float64", "bfloat16", "float16")


def _matching(known: tuple[str, ...], incomplete: str) -> list[str]:
    return [name for name in known if name.startswith(incomplete)]


def _complete_model(incomplete: str) -> list[str]:
    return _matching(("tiny", "smollm2"), incomplete)


def _complete_dtype(incomplete: str) -> list[str]:
    return _matching(_DTYPES, incomplete)


Model: TypeAlias = Annotated[
    str,
    typer.Option(
        help="tiny, smollm2, a model folder or a hub id.", autocompletion=_complete_model, rich_help_panel="Model"
    ),
]
Dtype: TypeAlias = Annotated[
    str,
    typer.Option(help=f"{', '.join(_DTYPES)}.", autocompletion=_complete_dtype, rich_help_panel="Model"),
]
Device: TypeAlias = Annotated[str, typer.Option(help="auto, cpu, cuda or cuda:N.", rich_help_panel="Model")]
AsJson: TypeAlias = Annotated[
    bool, typer.Option("--json", help="One JSON object on stdout, all else on stderr.", rich_help_panel="Output")
]
Quiet: TypeAlias = Annotated[
    bool, typer.Option("--quiet", help="No progress, and only the path of what was made.", rich_help_panel="Output")
]
