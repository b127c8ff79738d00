"""Ways in which the program can be held wrong: one line that names value and cure, its code, nothing left behind."""

from __future__ import annotations

import errno
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from eigencore.models.loading import TINY_FOLDER
from eigencore.store import new_run_folder
from eigencore.tracing import load_trace
from tests.cli.program import (
    PROGRAM,
    PROMPT,
    Finished,
    assert_one_line_that_names,
    assert_usage_error_that_names,
    failing,
    run_program,
)
from tests.synthetic_trace import synthetic_trace


def test_trace_refuses_a_folder_that_exists(tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    finished = run_program("trace", PROMPT, "--out", str(tmp_path / "mine"))
    assert finished.code == 3
    assert_one_line_that_names("mine exists already", finished)
    assert list((tmp_path / "mine").iterdir()) == []


def test_trace_refuses_a_folder_that_exists_before_it_generates(
    run_here: Callable[..., Finished], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("eigencore.tracing.trace_generation", failing(AssertionError("generated in vain")))
    (tmp_path / "mine").mkdir()
    finished = run_here("trace", PROMPT, "--out", "mine")
    assert finished.code == 3
    assert_one_line_that_names("mine exists already", finished)


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (("trace", PROMPT, "--no-such-flag"), "--no-such-flag"),
        (("trace", PROMPT, "--max-new-tokens", "0"), "--max-new-tokens"),
        (("trace", PROMPT, "--max-new-tokens", "many"), "--max-new-tokens"),
        (("trace", PROMPT, "--max-new-tokens", "-5"), "--max-new-tokens"),
        (("trace", PROMPT, "--temperature", "warm"), "--temperature"),
        (("trace", PROMPT, "--top-k", "0"), "--top-k"),
        (("trace", PROMPT, "--top-p", "2"), "--top-p"),
        (("trace", PROMPT, "--every", "0"), "--every"),
        (("trace", PROMPT, "--dtype", "int7"), "--dtype"),
        (("trace", PROMPT, "--spectrum", "golden"), "--spectrum"),
        (("trace",), "PROMPT"),
        (("trace", PROMPT, "--prompts", "p.txt"), "PROMPT"),
        (("report",), "RUN"),
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
        (("--temperature", "0"), "temperature 0"),
        (("--temperature", "-1"), "-1.0"),
        (("--every", str(10**30)), "every"),
        (("--device", "meta"), "meta"),
        (("--temperature", "1e-45"), "larger temperature"),
        (("--apply-chat-template",), "chat template"),
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


def model_folder(tmp_path: Path) -> Path:
    folder = tmp_path / "model"
    shutil.copytree(TINY_FOLDER, folder)
    return folder


def test_program_ends_with_3_where_a_model_folder_has_no_weights(
    run_here: Callable[..., Finished], tmp_path: Path
) -> None:
    folder = model_folder(tmp_path)
    (folder / "model.safetensors").unlink()
    finished = run_here("trace", PROMPT, "--model", str(folder), "--out", "run")
    assert finished.code == 3
    assert_one_line_that_names("no *.safetensors", finished)
    assert list(tmp_path.iterdir()) == [folder]


def test_program_ends_with_3_where_weights_are_pickled(run_here: Callable[..., Finished], tmp_path: Path) -> None:
    folder = model_folder(tmp_path)
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")
    finished = run_here("trace", PROMPT, "--model", str(folder), "--out", "run")
    assert finished.code == 3
    assert_one_line_that_names("pytorch_model.bin) can run code and are not loaded", finished)
    assert list(tmp_path.iterdir()) == [folder]


@pytest.mark.parametrize("kept", [0, 5, 1000, 2_000_000])
def test_program_ends_with_3_where_weights_are_truncated(
    run_here: Callable[..., Finished], tmp_path: Path, kept: int
) -> None:
    folder = model_folder(tmp_path)
    weights = folder / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:kept])
    finished = run_here("trace", PROMPT, "--model", str(folder), "--out", "run")
    assert finished.code == 3
    assert_one_line_that_names(str(folder), finished)
    assert list(tmp_path.iterdir()) == [folder]


def test_program_ends_with_3_where_a_model_has_no_tokenizer(run_here: Callable[..., Finished], tmp_path: Path) -> None:
    folder = model_folder(tmp_path)
    for path in folder.glob("*token*"):
        path.unlink()
    finished = run_here("trace", PROMPT, "--model", str(folder), "--out", "run")
    assert finished.code == 3
    assert_one_line_that_names(str(folder), finished)


@pytest.mark.parametrize(
    ("name", "content", "named"),
    [
        ("p.jsonl", '{"prompt": "fine"}\n{"prompt"\n', "p.jsonl, line 2: not JSON"),
        ("p.jsonl", '{"text": "fine"}', "p.jsonl, line 1: expected an object"),
        ("p.txt", "\n \n", "p.txt holds no prompt"),
        ("p.txt", None, "cannot read prompts from p.txt: No such file"),
    ],
)
def test_program_ends_with_3_where_a_prompts_file_is_malformed(
    run_here: Callable[..., Finished], tmp_path: Path, name: str, content: str | None, named: str
) -> None:
    if content is not None:
        (tmp_path / name).write_text(content)
    finished = run_here("trace", "--prompts", name, "--out", "many")
    assert finished.code == 3
    assert_one_line_that_names(named, finished)
    assert not (tmp_path / "many").exists()


def test_program_ends_with_1_where_the_folder_is_not_writable(run_here: Callable[..., Finished]) -> None:
    # Not even root makes folders in /proc.
    finished = run_here("trace", PROMPT, "--out", "/proc/run")
    assert finished.code == 1
    assert_one_line_that_names("cannot write /proc/run", finished)


def test_program_ends_with_1_where_the_file_system_is_read_only(
    run_here: Callable[..., Finished], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Path, "mkdir", failing(PermissionError(errno.EACCES, "Permission denied", "run")))
    finished = run_here("trace", PROMPT, "--out", "run")
    assert finished.code == 1
    assert_one_line_that_names("Permission denied", finished)


def test_program_ends_with_1_where_the_path_leads_through_a_file(
    run_here: Callable[..., Finished], tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("mine")
    finished = run_here("trace", PROMPT, "--out", "file/run")
    assert finished.code == 1
    assert_one_line_that_names("cannot make file/run: file is a file", finished)
    assert (tmp_path / "file").read_text() == "mine"


def run_on_a_small_disk(tmp_path: Path, limit: int) -> Finished:
    """A limit on the size of files makes the kernel refuse a write in the middle, as a full disk does."""
    small_disk = f"import resource; resource.setrlimit(resource.RLIMIT_FSIZE, ({limit}, {limit})); "
    command = ("trace", PROMPT, "--max-new-tokens", "4", "--out", "new/run")
    return run_program(*command, cwd=tmp_path, code=small_disk + PROGRAM)


def test_program_ends_with_1_where_the_disk_is_full(tmp_path: Path) -> None:
    finished = run_on_a_small_disk(tmp_path, 1000)
    assert finished.code == 1
    assert_one_line_that_names("cannot write new/run: ", finished)
    assert list(tmp_path.iterdir()) == []


def test_program_keeps_the_trace_where_the_disk_is_full_for_the_page(tmp_path: Path) -> None:
    finished = run_on_a_small_disk(tmp_path, 1_000_000)
    assert finished.code == 1
    assert "eigencore report new/run tries again" in finished.stderr
    assert "Traceback" not in finished.stderr
    assert load_trace(tmp_path / "new" / "run").num_steps == 4
    assert sorted(path.name for path in (tmp_path / "new" / "run").iterdir()) == ["summary.json", "trace.parquet"]


def test_program_ends_with_1_where_memory_is_exhausted(
    run_here: Callable[..., Finished], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    exhausted = RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes")
    monkeypatch.setattr("eigencore.tracing.trace_generation", failing(exhausted))
    finished = run_here("trace", PROMPT, "--out", "run")
    assert finished.code == 1
    assert_one_line_that_names("can't allocate memory", finished)
    assert list(tmp_path.iterdir()) == []


def test_of_two_processes_that_write_one_folder_one_wins_and_the_other_says_so(
    run_here: Callable[..., Finished], tmp_path: Path
) -> None:
    with new_run_folder(tmp_path / "run") as work:
        finished = run_here("trace", PROMPT, "--out", "run")
        assert finished.code == 3
        assert_one_line_that_names("run is being written by another process", finished)
        (work / "mine").touch()
    assert [path.name for path in (tmp_path / "run").iterdir()] == ["mine"]


def test_program_ends_with_1_where_a_file_stands_at_the_default_place(
    run_here: Callable[..., Finished], tmp_path: Path
) -> None:
    (tmp_path / "runs").write_text("mine")
    (tmp_path / "p.txt").write_text("One")
    for what in ((PROMPT,), ("--prompts", "p.txt")):
        finished = run_here("trace", *what)
        assert finished.code == 1
        assert_one_line_that_names("runs", finished)


def test_program_ends_with_3_where_the_path_is_no_text(run_here: Callable[..., Finished], tmp_path: Path) -> None:
    finished = run_here("trace", PROMPT, "--out", "r\udce9")
    assert finished.code == 3
    assert_one_line_that_names("not UTF-8", finished)
    assert list(tmp_path.iterdir()) == []


def test_program_ends_with_1_where_it_would_replace_the_folder_it_is_in(
    run_here: Callable[..., Finished], tmp_path: Path
) -> None:
    finished = run_here("trace", PROMPT, "--out", ".", "--overwrite")
    assert finished.code == 1
    assert_one_line_that_names("is where you are", finished)


@pytest.fixture
def run_folder(tmp_path: Path) -> Path:
    synthetic_trace().save(tmp_path / "run")
    return tmp_path / "run"


def newer_schema(run: Path) -> str:
    text = (run / "summary.json").read_text(encoding="utf-8")
    (run / "summary.json").write_text(text.replace('"version": "2.0"', '"version": "3.0"'), encoding="utf-8")
    return "version 3.0; this eigencore reads version 2.x"


def half_a_table(run: Path) -> str:
    table = run / "trace.parquet"
    table.write_bytes(table.read_bytes()[: table.stat().st_size // 2])
    return "trace.parquet"


def flipped_bits(run: Path) -> str:
    table = run / "trace.parquet"
    content = bytearray(table.read_bytes())
    content[len(content) // 4] ^= 0xFF
    table.write_bytes(content)
    return "trace.parquet"


def no_table(run: Path) -> str:
    (run / "trace.parquet").unlink()
    return "trace.parquet"


def no_json(run: Path) -> str:
    (run / "summary.json").write_text("{")
    return "summary.json"


def no_folder(run: Path) -> str:
    shutil.rmtree(run)
    return "no run folder at run"


@pytest.mark.parametrize("damage", [newer_schema, half_a_table, flipped_bits, no_table, no_json, no_folder])
def test_program_ends_with_3_where_a_run_cannot_be_read(
    run_here: Callable[..., Finished], run_folder: Path, damage: Callable[[Path], str]
) -> None:
    named = damage(run_folder)
    before = sorted(run_folder.glob("*"))
    finished = run_here("report", "run")
    assert finished.code == 3
    assert_one_line_that_names(named, finished)
    assert sorted(run_folder.glob("*")) == before


def test_report_leaves_the_page_it_cannot_replace(
    run_here: Callable[..., Finished], run_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (run_folder / "report.html").write_text("the old page")
    monkeypatch.setattr(Path, "write_text", failing(OSError(errno.ENOSPC, "No space left on device")))
    finished = run_here("report", "run")
    assert finished.code == 1
    assert_one_line_that_names("cannot write run/report.html: No space left on device", finished)
    assert (run_folder / "report.html").read_text() == "the old page"
    assert len(list(run_folder.iterdir())) == 3
