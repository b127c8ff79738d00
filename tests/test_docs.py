"""Every command and every Python block in README.md and docs/ runs as it stands."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from eigencore.cli.app import main

ROOT = Path(__file__).parents[1]
DOCUMENTS = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]


def blocks(document: Path, language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", document.read_text(encoding="utf-8"), re.DOTALL)


def commands(document: Path) -> list[str]:
    """Shell commands in order; of "a && b" both."""
    lines = [line for block in blocks(document, "sh") for line in block.splitlines()]
    return [command.strip() for line in lines for command in line.split("&&") if command.strip()]


def needs_smollm2(command: str) -> bool:
    return "smollm2" in command


def exit_code(command: str, monkeypatch: pytest.MonkeyPatch) -> int:
    if not command.startswith("eigencore "):
        return subprocess.run(["bash", "-c", command], check=False).returncode
    monkeypatch.setattr(sys, "argv", shlex.split(command))
    with pytest.raises(SystemExit) as ended:
        main()
    return int(ended.value.code or 0)


def documents_with(what: Any) -> list[Any]:
    return [pytest.param(document, id=document.name) for document in DOCUMENTS if what(document)]


def own_commands(document: Path) -> list[str]:
    # .ci/run is what runs pip and pytest.
    return [c for c in commands(document) if not c.startswith(("pip ", "pytest")) and not needs_smollm2(c)]


@pytest.mark.parametrize("document", documents_with(own_commands))
def test_commands_run(document: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for command in own_commands(document):
        assert exit_code(command, monkeypatch) == 0, command


@pytest.mark.smollm2
@pytest.mark.parametrize("document", documents_with(lambda d: any(map(needs_smollm2, commands(d)))))
def test_commands_of_smollm2_run(document: Path, smollm2: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for command in filter(needs_smollm2, commands(document)):
        assert exit_code(command, monkeypatch) == 0, command


@pytest.mark.parametrize("document", documents_with(lambda d: blocks(d, "python")))
def test_python_runs(document: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {}
    for block in blocks(document, "python"):
        exec(compile(block, document.name, "exec"), names)


def test_the_readme_says_what_its_python_prints(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    test_python_runs(ROOT / "README.md", tmp_path, monkeypatch)
    printed = capsys.readouterr().out
    assert (tmp_path / "runs" / "morrow" / "trace.parquet").is_file()
    for shape in ("(200, 6, 6)", "first_copy_step=125", "(12, 8)", "[6, 1, 6, "):
        assert shape in printed


def test_links_lead_somewhere() -> None:
    for document in DOCUMENTS:
        for link in re.findall(r"\]\(([^)#]+)\)", document.read_text(encoding="utf-8")):
            assert (document.parent / link).exists(), f"{document.name}: {link}"


def test_ci_runs_the_second_command_of_the_readme() -> None:
    second = blocks(ROOT / "README.md", "sh")[1].strip()
    install, test = second.split(" && ")
    script = (ROOT / ".ci" / "run").read_text(encoding="utf-8").splitlines()
    assert any(line.replace("-q ", "") == install for line in script)
    assert test in script
