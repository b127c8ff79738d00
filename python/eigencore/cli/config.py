"""`--config FILE.yaml`: options of a command from a file. What is on the command line wins."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, TypeAlias

import typer


def _apply(context: typer.Context, path: Path | None) -> Path | None:
    """Makes what the file says the defaults of the command, before its other options are read."""
    if path is None or context.resilient_parsing:
        return path
    known = _keys(context)
    settings = {}
    for key, value in _read(path).items():
        if key not in known:
            raise typer.BadParameter(f"{path}: unknown key {key!r}; known are {', '.join(sorted(known))}")
        parameter, negated = known[key]
        settings[parameter.name] = _checked(path, key, value, parameter, negated)
    context.default_map = {**(context.default_map or {}), **settings}
    return path


def came_from_config(context: typer.Context, name: str) -> bool:
    """Whether an option has its value from the file."""
    source = context.get_parameter_source(name)
    return source is not None and source.name == "DEFAULT_MAP"


def _keys(context: typer.Context) -> dict[str, tuple[Any, bool]]:
    """Key in a file -> the option it sets, and whether it sets a flag to no (as --greedy does to --do-sample)."""
    keys = {}
    for parameter in context.command.params:
        if parameter.name in ("config", "help"):
            continue
        if parameter.param_type_name == "argument":
            keys[str(parameter.name)] = (parameter, False)
            continue
        for names, negated in ((parameter.opts, False), (getattr(parameter, "secondary_opts", []), True)):
            for name in names:
                keys[name.removeprefix("--").replace("-", "_")] = (parameter, negated)
    return keys


def _checked(path: Path, key: str, value: Any, parameter: Any, negated: bool) -> Any:
    """A value as the option takes it; YAML reads `no` as false and 1 as a number, and an option must be meant."""
    if parameter.nargs == -1 and isinstance(value, list) and all(isinstance(item, str) for item in value):
        return value
    is_flag = getattr(parameter, "is_flag", False)
    if is_flag and isinstance(value, bool):
        return value != negated
    if is_flag:
        raise typer.BadParameter(f"{path}: expected true or false for {key!r}, got {value!r}")
    if isinstance(value, bool) or not isinstance(value, (str, int, float)):
        raise typer.BadParameter(f"{path}: expected one value for {key!r}, got {value!r}; quote it if it is a text")
    return [str(value)] if parameter.nargs == -1 else str(value)


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
    return {str(key).replace("-", "_"): value for key, value in settings.items()}


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
