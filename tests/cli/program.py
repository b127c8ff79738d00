"""Running the program, in this process or in one of its own, and what it is held to."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

PROGRAM = "from eigencore.cli.app import main; main()"
PROMPT = "Once upon a time"


class Finished(NamedTuple):
    """A run of the program that has come to its end."""

    code: int
    stdout: str
    stderr: str


def run_program(
    *arguments: str,
    code: str = PROGRAM,
    stdout: Any = subprocess.PIPE,
    environment: dict[str, str] | None = None,
    **options: Any,
) -> Finished:
    """In a process of its own, which reaches no hub."""
    quiet_and_offline = {"HF_HUB_OFFLINE": "1", "COLUMNS": "200", "NO_COLOR": "1"}
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments],
        env=os.environ | quiet_and_offline | (environment or {}),
        stdout=stdout,
        stderr=subprocess.PIPE,
        text=True,
        encoding="utf-8",
        timeout=120,
        **options,
    )
    return Finished(done.returncode, done.stdout or "", done.stderr)


def summary_of(folder: Path) -> Any:
    return json.loads((folder / "summary.json").read_text(encoding="utf-8"))


def without_spaces(text: str) -> str:
    return "".join(text.split())


def assert_one_line_that_names(value: str, finished: Finished) -> None:
    assert finished.stdout == ""
    assert re.fullmatch(r"eigencore: .+\n", finished.stderr)
    assert value in finished.stderr


def assert_usage_error_that_names(value: str, finished: Finished) -> None:
    assert finished.code == 2
    assert finished.stdout == ""
    assert value in finished.stderr
    assert "Traceback" not in finished.stderr


def assert_done(run_here: Callable[..., Finished], *arguments: str) -> Finished:
    finished = run_here(*arguments)
    assert (finished.code, finished.stderr) == (0, "")
    return finished


def failing(error: BaseException) -> Callable[..., Any]:
    def trace_generation(*args: Any, **kwargs: Any) -> Any:
        raise error

    return trace_generation
