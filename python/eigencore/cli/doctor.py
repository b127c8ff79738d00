"""`eigencore doctor`: what is installed here, and whether the core computes what it must."""

from __future__ import annotations

import platform
from collections.abc import Callable
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import typer

from eigencore.cli.config import Config
from eigencore.cli.exit_codes import one_line
from eigencore.cli.options import AsJson
from eigencore.models.smollm2 import cache_folder
from eigencore.models.smollm2 import state as smollm2_state

_PACKAGES = ("numpy", "scipy", "pandas", "pyarrow", "torch", "transformers", "plotly", "gguf", "accelerate")


def doctor(as_json: AsJson = False, config: Config = None) -> None:
    """Versions, instruction set, threads, CUDA, models at hand, cache folder, and a self-test of the core."""
    from eigencore.store import json_text

    findings = examine()
    if as_json:
        print(json_text(findings))
    else:
        _print(findings)
    sound = all(passed is True for passed in findings["self_test"].values()) and "error" not in findings["machine"]
    raise typer.Exit(0 if sound else 1)


def examine() -> dict[str, Any]:
    """Everything that doctor reports, by section. What is broken is reported as "error", and hides nothing else."""
    from eigencore.version import __version__

    return {
        "versions": {
            "eigencore": __version__,
            "python": platform.python_version(),
            **{name: _version(name) for name in _PACKAGES},
        },
        "machine": {"platform": platform.platform(), **_examined(_core_facts), **_examined(_torch_facts)},
        "models": {"tiny": "bundled", **_examined(_smollm2)},
        "cache_folder": str(cache_folder()),
        "self_test": _examined(_self_test),
    }


def _examined(section: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    try:
        return section()
    except Exception as error:  # whatever is broken here is what doctor was called for
        return {"error": one_line(error)}


def _core_facts() -> dict[str, Any]:
    from eigencore.machine import active_arch, available_arches, get_num_threads

    return {
        "instruction_set": active_arch(),
        "instruction_sets_available": available_arches(),
        "core_threads": get_num_threads(),
    }


def _torch_facts() -> dict[str, Any]:
    from eigencore.models.torch_facts import torch_facts

    return torch_facts()


def _smollm2() -> dict[str, Any]:
    return {"smollm2": smollm2_state()}


def _self_test() -> dict[str, Any]:
    from eigencore.metrics.self_test import self_test

    return {**self_test()}


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _print(findings: dict[str, Any]) -> None:
    from rich.console import Console
    from rich.table import Table

    console = Console(highlight=False, markup=False, emoji=False)
    table = Table(box=None, show_header=False, pad_edge=False)
    for name, found in findings["versions"].items():
        table.add_row(name, found or "not installed")
    machine = findings["machine"]
    for name, value in machine.items():
        shown = ", ".join(value) or "none" if isinstance(value, list) else str(value)
        table.add_row(name.replace("_", " "), shown)
    for name, state in findings["models"].items():
        table.add_row(f"model {name}", state)
    table.add_row("cache folder", findings["cache_folder"])
    for name, passed in findings["self_test"].items():
        table.add_row("self-test", f"{'passed' if passed is True else 'FAILED'}: {name}")
    console.print(table)
