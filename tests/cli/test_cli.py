from __future__ import annotations

import errno
import json
import math
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest

from eigencore.cli.app import main
from eigencore.tracing import load_trace
from eigencore.version import __version__
from tests.synthetic_trace import synthetic_trace

PROGRAM = "from eigencore.cli.app import main; main()"
PROMPT = "Once upon a time"
HOT = ("--temperature", "1.5", "--max-new-tokens", "12")


class Finished(NamedTuple):
    """A run of the program that has come to its end."""

    code: int
    stdout: str
    stderr: str


def run_program(*arguments: str, code: str = PROGRAM) -> Finished:
    """In a process of its own, which reaches no hub."""
    environment = os.environ | {"HF_HUB_OFFLINE": "1", "COLUMNS": "200", "NO_COLOR": "1"}
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments],
        env=environment,
        capture_output=True,
        text=True,
        encoding="utf-8",
        timeout=120,
    )
    return Finished(done.returncode, done.stdout, done.stderr)


@pytest.fixture
def run_here(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., Finished]:
    """Runs the program in this process, where torch is loaded already, in an empty folder."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "200")

    def run(*arguments: str) -> Finished:
        monkeypatch.setattr(sys, "argv", ["eigencore", *arguments])
        capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            main()
        return Finished(int(ended.value.code or 0), *capsys.readouterr())

    return run


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


@pytest.fixture(scope="module")
def sampled(tmp_path_factory: pytest.TempPathFactory) -> tuple[Finished, Path]:
    """A sampled trace of tiny, and its run folder."""
    folder = tmp_path_factory.mktemp("cli") / "runs" / "sampled"
    options = ("--model", "tiny", *HOT, "--seed", "7", "--out", str(folder))
    return run_program("trace", PROMPT, *options), folder


def test_trace_leaves_a_run_folder(sampled: tuple[Finished, Path]) -> None:
    finished, folder = sampled
    assert (finished.code, finished.stderr) == (0, "")
    assert sorted(path.name for path in folder.iterdir()) == ["report.html", "summary.json", "trace.parquet"]
    assert list(folder.parent.iterdir()) == [folder]


def test_trace_leaves_a_trace_that_can_be_loaded(sampled: tuple[Finished, Path]) -> None:
    trace = load_trace(sampled[1])
    assert trace.prompt == PROMPT
    assert 1 <= trace.num_steps <= 12
    shape = (trace.num_steps, trace.model["num_hidden_layers"], trace.model["num_attention_heads"])
    assert all(values.shape == shape for values in trace.metrics.values())
    assert (trace.settings["seed"], trace.settings["max_new_tokens"]) == (7, 12)


def test_trace_lists_the_temperature_as_overridden(sampled: tuple[Finished, Path]) -> None:
    finished, folder = sampled
    assert summary_of(folder)["settings"]["overridden"]["temperature"] == 1.5
    assert summary_of(folder)["settings"]["generation"]["temperature"] == 1.5
    assert "temperature=1.5" in finished.stdout


def test_trace_prints_the_text_and_the_folder(sampled: tuple[Finished, Path]) -> None:
    finished, folder = sampled
    assert without_spaces(PROMPT + summary_of(folder)["text"]) in without_spaces(finished.stdout)
    assert str(folder) in finished.stdout
    assert "\x1b" not in finished.stdout


def test_trace_with_the_same_seed_gives_the_same_text(
    sampled: tuple[Finished, Path], run_here: Callable[..., Finished]
) -> None:
    assert_done(run_here, "trace", PROMPT, *HOT, "--seed", "7", "--out", "again")
    first, again = load_trace(sampled[1]), load_trace("again")
    assert (again.token_ids, again.text) == (first.token_ids, first.text)


def test_trace_with_another_seed_gives_another_text(
    sampled: tuple[Finished, Path], run_here: Callable[..., Finished]
) -> None:
    assert_done(run_here, "trace", PROMPT, *HOT, "--seed", "8", "--out", "other")
    assert load_trace("other").text != load_trace(sampled[1]).text


def test_trace_with_greedy_takes_the_most_probable_token(run_here: Callable[..., Finished]) -> None:
    assert_done(run_here, "trace", PROMPT, "--greedy", "--max-new-tokens", "12", "--out", "run")
    signals = load_trace("run").signals
    np.testing.assert_allclose(signals["surprisal"], -np.log2(signals["top1_probability"]), rtol=1e-12, atol=1e-12)


def test_trace_makes_a_folder_of_its_own_by_default(run_here: Callable[..., Finished], tmp_path: Path) -> None:
    assert_done(run_here, "trace", "Hi", "--max-new-tokens", "1")
    (folder,) = (tmp_path / "runs").iterdir()
    assert re.fullmatch(r"tiny-\d{8}-\d{6}", folder.name)
    assert (folder / "report.html").is_file()


def test_trace_with_overwrite_replaces_the_folder(run_here: Callable[..., Finished], tmp_path: Path) -> None:
    for text in ("Hi", "Ho"):
        assert_done(run_here, "trace", text, "--max-new-tokens", "1", "--out", "run", "--overwrite")
    assert summary_of(tmp_path / "run")["prompt"] == "Ho"
    assert [path.name for path in tmp_path.iterdir()] == ["run"]


@pytest.mark.parametrize("name", ["a[bold]b", "a:smile:b"])
def test_trace_prints_a_folder_whose_name_looks_like_markup(run_here: Callable[..., Finished], name: str) -> None:
    finished = assert_done(run_here, "trace", "Hi", "--max-new-tokens", "1", "--out", name)
    assert name in finished.stdout


def test_trace_refuses_a_folder_that_exists(tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    finished = run_program("trace", PROMPT, "--out", str(tmp_path / "mine"))
    assert finished.code == 1
    assert_one_line_that_names("mine exists already", finished)
    assert list((tmp_path / "mine").iterdir()) == []


def test_trace_refuses_a_folder_that_exists_before_it_generates(
    run_here: Callable[..., Finished], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("eigencore.tracing.trace_generation", failing(AssertionError("generated in vain")))
    (tmp_path / "mine").mkdir()
    finished = run_here("trace", PROMPT, "--out", "mine")
    assert finished.code == 1
    assert_one_line_that_names("mine exists already", finished)


def test_trace_refuses_a_path_through_a_file(run_here: Callable[..., Finished], tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    finished = run_here("trace", PROMPT, "--max-new-tokens", "1", "--out", "file/run")
    assert finished.code == 1
    assert_one_line_that_names("file", finished)


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (("trace", PROMPT, "--no-such-flag"), "--no-such-flag"),
        (("trace", PROMPT, "--max-new-tokens", "0"), "--max-new-tokens"),
        (("trace", PROMPT, "--max-new-tokens", "many"), "--max-new-tokens"),
        (("trace", PROMPT, "--temperature", "warm"), "--temperature"),
        (("trace",), "prompt"),
        (("no-such-command",), "no-such-command"),
    ],
)
def test_program_ends_with_2_where_the_command_line_is_wrong(
    run_here: Callable[..., Finished], tmp_path: Path, arguments: tuple[str, ...], named: str
) -> None:
    finished = run_here(*arguments)
    assert_usage_error_that_names(named, finished)
    assert list(tmp_path.iterdir()) == []


def test_program_ends_with_2_in_a_process_of_its_own(tmp_path: Path) -> None:
    finished = run_program("trace", PROMPT, "--max-new-tokens", "0", "--out", str(tmp_path / "run"))
    assert_usage_error_that_names("--max-new-tokens", finished)
    assert list(tmp_path.iterdir()) == []


def test_program_ends_with_3_where_the_prompt_is_empty(run_here: Callable[..., Finished], tmp_path: Path) -> None:
    finished = run_here("trace", "", "--out", "run")
    assert finished.code == 3
    assert_one_line_that_names("the prompt is empty", finished)
    assert list(tmp_path.iterdir()) == []


def test_program_ends_with_3_where_there_is_no_such_model(tmp_path: Path) -> None:
    options = ("--model", "eigencore/no-such-model", "--out", str(tmp_path / "run"))
    finished = run_program("trace", PROMPT, *options)
    assert finished.code == 3
    assert_one_line_that_names("eigencore/no-such-model", finished)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("options", "named"),
    [
        (("--model", "./no-such-folder"), "no-such-folder"),
        (("--max-new-tokens", "100000"), "100000"),
        (("--temperature", "0"), "0.0"),
        (("--temperature", "-1"), "-1.0"),
        (("--top-k", "-3"), "-3"),
        (("--dtype", "int7"), "int7"),
        (("--device", "abacus"), "abacus"),
        (("--seed", str(2**70)), str(2**70)),
    ],
)
def test_program_ends_with_3_where_a_value_cannot_be_used(
    run_here: Callable[..., Finished], tmp_path: Path, options: tuple[str, ...], named: str
) -> None:
    finished = run_here("trace", PROMPT, *options, "--out", "run")
    assert finished.code == 3
    assert_one_line_that_names(named, finished)
    assert list(tmp_path.iterdir()) == []


def test_program_ends_with_3_where_the_prompt_is_no_text(run_here: Callable[..., Finished], tmp_path: Path) -> None:
    # What Python makes of an argument that is not UTF-8.
    finished = run_here("trace", "caf\udce9", "--max-new-tokens", "1", "--out", "run")
    assert finished.code == 3
    assert_one_line_that_names("prompt", finished)
    assert list(tmp_path.iterdir()) == []


def test_program_ends_with_130_when_interrupted(
    run_here: Callable[..., Finished], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("eigencore.tracing.trace_generation", failing(KeyboardInterrupt()))
    finished = run_here("trace", PROMPT, "--out", "run")
    assert finished.code == 130
    assert "Traceback" not in finished.stderr
    assert list(tmp_path.iterdir()) == []


def test_program_ends_with_1_where_the_disk_is_full(
    run_here: Callable[..., Finished], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    error = OSError(errno.ENOSPC, "No space left on device", "run")
    monkeypatch.setattr("eigencore.tracing.trace_generation", lambda *args, **kwargs: synthetic_trace())
    monkeypatch.setattr(Path, "write_text", failing(error))
    finished = run_here("trace", PROMPT, "--out", "run")
    assert finished.code == 1
    assert_one_line_that_names("No space left on device", finished)
    assert list(tmp_path.iterdir()) == []


def test_program_prints_the_layer_means(run_here: Callable[..., Finished], monkeypatch: pytest.MonkeyPatch) -> None:
    trace = synthetic_trace()
    monkeypatch.setattr("eigencore.tracing.trace_generation", lambda *args, **kwargs: trace)
    lines = assert_done(run_here, "trace", PROMPT, "--out", "run").stdout.splitlines()
    names = ["spectral_entropy", "effective_rank", "dominant_ratio"]
    for layer in (0, 1):
        expected = [trace.metrics[name][:, layer].mean() for name in names]
        (found,) = [line.split() for line in lines if re.match(rf" +{layer}  ", line)]
        assert [float(x) for x in found[1:4]] == pytest.approx(expected, abs=5.1e-4)
    loop = trace.loop
    assert loop is not None
    assert any(f"loop of {loop.period} tokens" in line and f"{loop.copies} copies" in line for line in lines)


def test_program_prints_numbers_where_nothing_is_finite(
    run_here: Callable[..., Finished], monkeypatch: pytest.MonkeyPatch
) -> None:
    trace = synthetic_trace(loop=False)
    trace.metrics["spectral_entropy"][:, 1] = math.nan
    monkeypatch.setattr("eigencore.tracing.trace_generation", lambda *args, **kwargs: trace)
    assert "nan" in assert_done(run_here, "trace", PROMPT, "--out", "run").stdout


def test_help_names_the_commands_and_their_flags(run_here: Callable[..., Finished]) -> None:
    assert "trace" in assert_done(run_here, "--help").stdout
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
