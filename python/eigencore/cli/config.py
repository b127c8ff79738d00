"""`--config FILE.yaml`: options of a command from a file. What is on the command line wins."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, TypeAlias

import typer


def _apply(context: typer.Context, path: Path | None) -> Path | None:
    """Makes what the file says the defaults of the command, before its other options are read."""
    if path is None or context.resilient_parsing:
        return path
    names = sorted(p.name for p in context.command.params if p.name not in (None, "config", "help"))
    settings = _read(path)
    for key in settings:
        if key not in names:
            raise typer.BadParameter(f"{path}: unknown key {key!r}; known are {', '.join(map(str, names))}")
    context.default_map = {**(context.default_map or {}), **settings}
    return path


def _read(path: Path) -> dict[str, Any]:
    import yaml

    try:
        settings = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise typer.BadParameter(f"cannot read {path}: {error.strerror or error}") from error
    except (UnicodeDecodeError, yaml.YAMLError) as error:
        raise typer.BadParameter(f"{path} is no YAML: {' '.join(str(error).split())}") from error
    if settings is None:
        return {}
    if not isinstance(settings, dict):
        raise typer.BadParameter(f"{path}: expected keys and values, got {type(settings).__name__}")
    named = {str(key).replace("-", "_"): value for key, value in settings.items()}
    for key, value in named.items():
        if not isinstance(value, (str, int, float, bool)):
            raise typer.BadParameter(f"{path}: expected one value for {key!r}, got {value!r}")
    return named


Config: TypeAlias = Annotated[
    Path | None,
    typer.Option(
        "--config",
        callback=_apply,
        is_eager=True,
        show_default=False,
        metavar="FILE.yaml",
        help="Options from a file, by their names; the command line wins.",
        rich_help_panel="Output",
    ),
]
