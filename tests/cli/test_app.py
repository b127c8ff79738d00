"""The program itself: its help, version, config files, completion, and doctor."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

import eigencore as ec
from eigencore.report import comparison_page, trace_page
from eigencore.tracing import load_trace
from eigencore.version import __version__
from tests.cli.program import PROGRAM, Finished, assert_done, assert_usage_error_that_names, run_program
from tests.synthetic_trace import synthetic_trace


def test_help_names_the_commands_and_their_flags(run_here: Callable[..., Finished]) -> None:
    listed = assert_done(run_here, "--help").stdout
    assert all(command in listed for command in ("trace", "report", "doctor", "Exit codes"))
    usage = assert_done(run_here, "trace", "--help").stdout
    for flag in ("--model", "--max-new-tokens", "--do-sample", "--greedy", "--temperature", "--seed", "--out"):
        assert flag in usage


def test_help_loads_no_torch() -> None:
    heavy = ("torch", "transformers", "plotly", "pandas", "pyarrow")
    code = f"import atexit, sys; atexit.register(lambda: print('HEAVY', [m for m in {heavy} if m in sys.modules])); "
    finished = run_program("--help", code=code + PROGRAM)
    assert (finished.code, finished.stderr) == (0, "")
    assert finished.stdout.splitlines()[-1] == "HEAVY []"


def test_version_is_the_version() -> None:
    assert run_program("--version") == Finished(0, f"{__version__}\n", "")


def test_program_without_a_command_shows_its_help(run_here: Callable[..., Finished]) -> None:
    finished = run_here()
    assert finished.code == 2
    assert "trace" in finished.stdout + finished.stderr


def test_options_come_from_a_config_file_and_the_command_line_wins(
    run_here: Callable[..., Finished], tmp_path: Path
) -> None:
    (tmp_path / "c.yaml").write_text("prompt: From the file\nmax-new-tokens: 2\nseed: 5\nno_report: true\nout: run\n")
    assert_done(run_here, "trace", "--config", "c.yaml", "--max-new-tokens", "3")
    trace = load_trace("run")
    assert (trace.prompt, trace.num_steps, trace.settings["seed"]) == ("From the file", 3, 5)
    assert not (tmp_path / "run" / "report.html").exists()


def test_config_keys_are_the_names_of_the_options(run_here: Callable[..., Finished], tmp_path: Path) -> None:
    (tmp_path / "c.yaml").write_text(
        "greedy: true\njson: true\nmax_new_tokens: 2\nno-report: yes\nprompts: absent.txt\n"
    )
    finished = assert_done(run_here, "trace", "Hi", "--config", "c.yaml", "--out", "run")
    (run,) = json.loads(finished.stdout)["runs"]
    assert (run["prompt"], run["num_steps"], run["settings"]["generation"]["do_sample"]) == ("Hi", 2, False)


def test_config_of_report_names_several_runs(run_here: Callable[..., Finished], tmp_path: Path) -> None:
    synthetic_trace().save("a")
    synthetic_trace().save("b")
    (tmp_path / "c.yaml").write_text("runs: [a, b]\nout: both.html\n")
    assert assert_done(run_here, "report", "--config", "c.yaml").stdout == "both.html\n"


@pytest.mark.parametrize(
    ("content", "named"),
    [
        ("max_tokens: 3", "unknown key 'max_tokens'"),
        ("config: other.yaml", "unknown key 'config'"),
        ("max_new_tokens: many", "--max-new-tokens"),
        ("max_new_tokens: 0", "--max-new-tokens"),
        ("seed: [1, 2]", "expected one value for 'seed'"),
        ("seed: true", "expected one value for 'seed'"),
        ("prompt: no", "quote it"),
        ("json: 1", "expected true or false for 'json'"),
        ("- seed", "expected keys and values"),
        ("seed: {", "no YAML"),
        (None, "No such file"),
    ],
)
def test_a_config_file_that_cannot_be_used_is_a_wrong_command_line(
    run_here: Callable[..., Finished], tmp_path: Path, content: str | None, named: str
) -> None:
    if content is not None:
        (tmp_path / "c.yaml").write_text(content)
    finished = run_here("trace", "Hi", "--config", "c.yaml", "--out", "run")
    assert_usage_error_that_names(named, finished)
    assert not (tmp_path / "run").exists()


def test_doctor_says_what_is_here_and_tests_the_core(run_here: Callable[..., Finished]) -> None:
    findings = json.loads(assert_done(run_here, "doctor", "--json").stdout)
    assert findings["versions"]["torch"] == torch.__version__
    assert findings["versions"]["eigencore"] == __version__
    assert findings["machine"]["instruction_set"] == ec.active_arch()
    assert findings["models"]["tiny"] == "bundled"
    assert findings["self_test"]
    assert all(findings["self_test"].values())
    stdout = assert_done(run_here, "doctor").stdout
    for word in (torch.__version__, ec.active_arch(), findings["cache_folder"], "self-test"):
        assert word in stdout


def test_doctor_ends_with_1_where_the_core_computes_wrongly(
    run_here: Callable[..., Finished], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("eigencore.metrics.self_test.eigvals", lambda a: np.zeros(len(a), complex))
    finished = run_here("doctor")
    assert finished.code == 1
    assert "FAILED: eigenvalues of uniform causal attention" in finished.stdout


def test_doctor_reports_what_is_broken_and_goes_on(
    run_here: Callable[..., Finished], monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*args: object) -> None:
        raise ImportError("libtorch_cpu.so: cannot open shared object file")

    monkeypatch.setattr("eigencore.models.torch_facts.torch_facts", broken)
    monkeypatch.setattr("eigencore.metrics.self_test.svdvals", broken)
    finished = run_here("doctor")
    assert finished.code == 1
    assert "libtorch_cpu.so" in finished.stdout
    assert "FAILED: singular values" in finished.stdout
    assert "passed: eigenvalues of a circulant" in finished.stdout


@pytest.mark.parametrize(
    ("words", "expected"),
    [("eigencore tr", "trace"), ("eigencore trace --mod", "--model"), ("eigencore trace --model sm", "smollm2")],
)
def test_the_shell_completes_commands_options_and_models(words: str, expected: str) -> None:
    typed = words.split()
    environment = {
        "_EIGENCORE_COMPLETE": "complete_bash",
        "COMP_WORDS": words,
        "COMP_CWORD": str(len(typed) - 1),
        "_TYPER_COMPLETE_ARGS": words,
    }
    finished = run_program(environment=environment)
    assert expected in finished.stdout.split()


def test_completion_installs_itself_in_the_shell_that_asks(tmp_path: Path) -> None:
    command = f'"{sys.executable}" -c "{PROGRAM}" --install-completion; true'
    subprocess.run(["bash", "-c", command], env=os.environ | {"HOME": str(tmp_path)}, check=True, capture_output=True)
    assert "eigencore.sh" in (tmp_path / ".bashrc").read_text()
    assert "_EIGENCORE_COMPLETE" in (tmp_path / ".bash_completions" / "eigencore.sh").read_text()


def test_report_makes_the_page_again(run_here: Callable[..., Finished], tmp_path: Path) -> None:
    synthetic_trace().save("run")
    assert assert_done(run_here, "report", "run").stdout == "run/report.html\n"
    assert (tmp_path / "run" / "report.html").read_text(encoding="utf-8") == trace_page(synthetic_trace())
    assert_done(run_here, "report", "run", "--quiet")


def test_report_puts_several_runs_on_one_page(run_here: Callable[..., Finished], tmp_path: Path) -> None:
    synthetic_trace().save("a")
    synthetic_trace(loop=False).save("b")
    document = json.loads(assert_done(run_here, "report", "a", "b", "--json").stdout)
    assert document == {"page": "comparison.html", "runs": ["a", "b"]}
    expected = comparison_page([synthetic_trace(), synthetic_trace(loop=False)], ["a", "b"])
    assert (tmp_path / "comparison.html").read_text(encoding="utf-8") == expected
    finished = run_here("report", "a", "b")
    assert finished.code == 3
    assert "comparison.html exists already" in finished.stderr
    assert_done(run_here, "report", "a", "b", "--overwrite")
