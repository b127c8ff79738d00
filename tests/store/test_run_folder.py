from __future__ import annotations

import errno
import os
import signal
import stat
import subprocess
import sys
import threading
from collections.abc import Container
from pathlib import Path
from typing import Any

import pytest

from eigencore.errors import RunExistsError, StoreError
from eigencore.store import Schema, new_folder, new_run_folder, write_summary


def contents(folder: Path) -> dict[str, str | None]:
    """Every path below a folder, hidden ones too -> the text of a file, None for a folder."""
    return {
        str(path.relative_to(folder)): path.read_text() if path.is_file() else None
        for path in sorted(folder.rglob("*"))
    }


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def write_run(path: Path, text: str = "new", **options: bool) -> None:
    with new_run_folder(path, **options) as folder:
        (folder / "data.txt").write_text(text)


def earlier_run(path: Path) -> dict[str, str | None]:
    """Makes a run folder, and returns what then lies beside and in it."""
    path.mkdir()
    (path / "data.txt").write_text("old")
    write_summary(path / "summary.json", {"extra": "old too"}, Schema("eigencore.example", 1, 0))
    return contents(path.parent)


def refusing(monkeypatch: pytest.MonkeyPatch, name: str, below: Path, code: int, calls: Container[int]) -> None:
    """Makes the numbered calls of os.<name> for paths below a folder fail with an error code."""
    plain, seen = getattr(os, name), []

    def call(path: Any, *args: Any, **kwargs: Any) -> Any:
        if str(path).startswith(str(below)):
            seen.append(path)
            if len(seen) in calls:
                raise OSError(code, os.strerror(code), str(path))
        return plain(path, *args, **kwargs)

    monkeypatch.setattr(os, name, call)


def test_new_run_folder_appears_with_everything_in_it(tmp_path: Path) -> None:
    with new_run_folder(tmp_path / "run") as folder:
        (folder / "inner").mkdir()
        (folder / "inner" / "data.txt").write_text("new")
        assert not (tmp_path / "run").exists()
    assert contents(tmp_path) == {"run": None, "run/inner": None, "run/inner/data.txt": "new"}


def test_new_run_folder_makes_parents_and_takes_text(tmp_path: Path) -> None:
    write_run(str(tmp_path / "a" / "b" / "run"))  # type: ignore[arg-type]
    assert (tmp_path / "a" / "b" / "run" / "data.txt").read_text() == "new"


def test_new_run_folder_takes_a_relative_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    write_run(Path("run"))
    assert contents(tmp_path) == {"run": None, "run/data.txt": "new"}


@pytest.mark.parametrize(("umask", "mode"), [(0o022, 0o755), (0o077, 0o700)])
def test_new_run_folder_can_be_read_by_whom_the_umask_lets(tmp_path: Path, umask: int, mode: int) -> None:
    before = os.umask(umask)
    try:
        write_run(tmp_path / "run")
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "run").stat().st_mode) == mode


@pytest.mark.parametrize(
    ("error", "seen"),
    [
        (ValueError, ValueError),
        (KeyboardInterrupt, KeyboardInterrupt),
        (SystemExit, SystemExit),
        pytest.param(OSError, StoreError, id="disk full"),
    ],
)
def test_new_run_folder_leaves_nothing_when_the_block_raises(
    tmp_path: Path, error: type[BaseException], seen: type[BaseException]
) -> None:
    def fail() -> None:
        with new_run_folder(tmp_path / "run") as folder:
            (folder / "data.txt").write_text("half")
            raise error("no more")

    with pytest.raises(seen, match="no more"):
        fail()
    assert contents(tmp_path) == {}


@pytest.mark.parametrize("overwrite", [False, True])
def test_new_run_folder_does_not_touch_an_earlier_run_before_the_end(tmp_path: Path, overwrite: bool) -> None:
    before = earlier_run(tmp_path / "run")

    def fail() -> None:
        with new_run_folder(tmp_path / "run", overwrite=overwrite) as folder:
            (folder / "data.txt").write_text("half")
            assert (tmp_path / "run" / "data.txt").read_text() == "old"
            raise ValueError("no more")

    with pytest.raises(ValueError if overwrite else StoreError):
        fail()
    assert contents(tmp_path) == before


def test_new_run_folder_refuses_an_earlier_run(tmp_path: Path) -> None:
    before = earlier_run(tmp_path / "run")
    with pytest.raises(StoreError, match=r"run exists already.*overwrite"):
        write_run(tmp_path / "run")
    assert contents(tmp_path) == before


def test_new_run_folder_refuses_an_empty_folder(tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    with pytest.raises(StoreError, match="exists already"):
        write_run(tmp_path / "run")


@pytest.mark.parametrize("overwrite", [False, True])
def test_new_run_folder_refuses_a_file(tmp_path: Path, overwrite: bool) -> None:
    (tmp_path / "run").write_text("mine")
    with pytest.raises(StoreError, match="run"):
        write_run(tmp_path / "run", overwrite=overwrite)
    assert contents(tmp_path) == {"run": "mine"}


def test_new_run_folder_replaces_an_earlier_run_when_asked(tmp_path: Path) -> None:
    earlier_run(tmp_path / "run")
    write_run(tmp_path / "run", overwrite=True)
    assert contents(tmp_path) == {"run": None, "run/data.txt": "new"}


def test_new_run_folder_replaces_an_empty_folder_when_asked(tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    write_run(tmp_path / "run", overwrite=True)
    assert contents(tmp_path) == {"run": None, "run/data.txt": "new"}


def test_new_run_folder_replaces_a_link_to_an_earlier_run_and_not_the_run(tmp_path: Path) -> None:
    before = earlier_run(tmp_path / "original")
    (tmp_path / "run").symlink_to("original", target_is_directory=True)
    write_run(tmp_path / "run", overwrite=True)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["original", "run"]
    assert (tmp_path / "run" / "data.txt").read_text() == "new"
    assert {name: text for name, text in contents(tmp_path).items() if name.startswith("original")} == before


@pytest.mark.parametrize(
    "files",
    [
        {"thesis.txt": "mine"},
        {"summary.json": "{}"},
        {"summary.json": "[]"},
        {"summary.json": "not JSON"},
        {"summary.json": '{"schema": {"name": "somebody.else", "version": "1.0"}}'},
        {"summary.json": '{"schema": null}'},
        {".hidden": "mine"},
    ],
)
def test_new_run_folder_never_replaces_what_is_no_run_folder(tmp_path: Path, files: dict[str, str]) -> None:
    (tmp_path / "run").mkdir()
    for name, text in files.items():
        (tmp_path / "run" / name).write_text(text)
    before = contents(tmp_path)
    with pytest.raises(StoreError, match="run"):
        write_run(tmp_path / "run", overwrite=True)
    assert contents(tmp_path) == before


@pytest.mark.parametrize("overwrite", [False, True])
def test_new_run_folder_refuses_a_link_that_leads_nowhere(tmp_path: Path, overwrite: bool) -> None:
    (tmp_path / "run").symlink_to("nowhere")
    with pytest.raises(StoreError, match="run"):
        write_run(tmp_path / "run", overwrite=overwrite)
    assert [path.name for path in tmp_path.iterdir()] == ["run"]


def test_new_run_folder_with_overwrite_needs_nothing_to_replace(tmp_path: Path) -> None:
    write_run(tmp_path / "run", overwrite=True)
    assert contents(tmp_path) == {"run": None, "run/data.txt": "new"}


def test_new_run_folder_refuses_what_appeared_meanwhile(tmp_path: Path) -> None:
    def race() -> None:
        with new_run_folder(tmp_path / "run") as folder:
            (folder / "data.txt").write_text("new")
            earlier_run(tmp_path / "run")

    with pytest.raises(StoreError, match="run"):
        race()
    assert [path.name for path in tmp_path.iterdir()] == ["run"]
    assert (tmp_path / "run" / "data.txt").read_text() == "old"


@pytest.mark.parametrize("tail", ["run", "deeper/run"])
def test_new_run_folder_refuses_a_path_through_a_file(tmp_path: Path, tail: str) -> None:
    (tmp_path / "file").write_text("mine")
    with pytest.raises(StoreError, match="file"):
        write_run(tmp_path / "file" / tail)
    assert contents(tmp_path) == {"file": "mine"}


@pytest.mark.parametrize("tail", ["run", "new/parent/run"])
@pytest.mark.parametrize("code", [errno.EACCES, errno.EROFS, errno.ENOSPC])
def test_new_run_folder_refuses_a_parent_that_cannot_be_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tail: str, code: int
) -> None:
    refusing(monkeypatch, "mkdir", tmp_path, code, calls=range(1, 9))
    with pytest.raises(StoreError, match=f"cannot write.*{os.strerror(code)}"):
        write_run(tmp_path / tail)
    assert contents(tmp_path) == {}


def test_new_run_folder_leaves_nothing_when_it_cannot_be_renamed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    refusing(monkeypatch, "rename", tmp_path, errno.EACCES, calls=(1,))
    with pytest.raises(StoreError, match="run"):
        write_run(tmp_path / "run")
    assert contents(tmp_path) == {}


@pytest.mark.parametrize("failing_call", [1, 2])
def test_new_run_folder_keeps_the_earlier_run_when_it_cannot_be_replaced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, failing_call: int
) -> None:
    before = earlier_run(tmp_path / "run")
    refusing(monkeypatch, "rename", tmp_path, errno.EACCES, calls=(failing_call,))
    with pytest.raises(StoreError, match="run"):
        write_run(tmp_path / "run", overwrite=True)
    assert contents(tmp_path) == before


@pytest.mark.parametrize("overwrite", [False, True])
def test_new_run_folder_refuses_a_name_longer_than_the_file_system_takes(tmp_path: Path, overwrite: bool) -> None:
    with pytest.raises(StoreError, match="x" * 300):
        write_run(tmp_path / ("x" * 300), overwrite=overwrite)
    assert contents(tmp_path) == {}


def test_a_folder_that_is_being_written_is_refused_at_once(tmp_path: Path) -> None:
    with new_run_folder(tmp_path / "run") as work:
        with (
            pytest.raises(RunExistsError, match="run is being written by another process"),
            new_run_folder(work.parent / "run"),
        ):
            pass
        (work / "mine").touch()
    assert names(tmp_path / "run") == ["mine"]
    assert names(tmp_path) == ["run"]


def test_a_folder_that_is_being_replaced_is_refused_at_once(tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    with new_run_folder(tmp_path / "run", overwrite=True), pytest.raises(RunExistsError, match="another process"):
        write_run(tmp_path / "run", overwrite=True)


KILLED_WHILE_WRITING = """
import os, signal, sys
from pathlib import Path
from eigencore.store import new_run_folder
with new_run_folder(Path(sys.argv[1])) as work:
    (work / "half").touch()
    os.kill(os.getpid(), signal.SIGKILL)
"""


def test_what_a_killed_process_left_does_not_stand_in_the_way(tmp_path: Path) -> None:
    killed = subprocess.run([sys.executable, "-c", KILLED_WHILE_WRITING, str(tmp_path / "run")], check=False)
    assert killed.returncode == -signal.SIGKILL
    assert len(names(tmp_path)) == 1
    with new_run_folder(tmp_path / "run") as work:
        assert names(work) == []
        (work / "whole").touch()
    assert names(tmp_path) == ["run"]
    assert names(tmp_path / "run") == ["whole"]


def test_who_waits_for_a_folder_finds_what_the_other_made(tmp_path: Path) -> None:
    begun, found = threading.Event(), []

    def wait_for_it() -> None:
        begun.set()
        try:
            with new_folder(tmp_path / "model", wait=True):
                found.append("made it again")
        except RunExistsError as error:
            found.append(str(error))

    waiting = threading.Thread(target=wait_for_it)
    with new_folder(tmp_path / "model") as work:
        waiting.start()
        begun.wait()
        (work / "weights").touch()
    waiting.join()
    assert len(found) == 1
    assert "exists already" in found[0]
    assert names(tmp_path) == ["model"]


def test_parents_that_were_made_go_again_with_a_failure(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError), new_run_folder(tmp_path / "a" / "b" / "run"):
        raise RuntimeError
    assert names(tmp_path) == []
    with new_run_folder(tmp_path / "a" / "b" / "run"):
        pass
    assert names(tmp_path / "a" / "b") == ["run"]


def test_an_error_about_another_file_is_no_failure_to_write(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError), new_run_folder(tmp_path / "run"):
        (tmp_path.parent / "elsewhere").read_text()
    with pytest.raises(StoreError, match="cannot write"), new_run_folder(tmp_path / "run") as work:
        (work / "absent").read_text()


@pytest.mark.parametrize("renames", [1, 2])
def test_an_overwrite_cut_short_leaves_one_whole_run(tmp_path: Path, renames: int) -> None:
    # Killed behind the first or the second rename of the exchange.
    (tmp_path / "run").mkdir()
    write_summary(tmp_path / "run" / "summary.json", {"which": "old"}, Schema("eigencore.example", 1, 0))
    program = f"""
import os, signal, sys
from pathlib import Path
from eigencore.store import new_run_folder
plain, seen = os.rename, []
def rename(*args, **options):
    plain(*args, **options)
    seen.append(1)
    if len(seen) == {renames}:
        os.kill(os.getpid(), signal.SIGKILL)
os.rename = rename
with new_run_folder(Path(sys.argv[1]), overwrite=True) as work:
    (work / "summary.json").write_text((Path(sys.argv[1]) / "summary.json").read_text().replace("old", "new"))
"""
    subprocess.run([sys.executable, "-c", program, str(tmp_path / "run")], check=False)
    with pytest.raises(RuntimeError), new_run_folder(tmp_path / "run", overwrite=True):
        raise RuntimeError
    assert names(tmp_path) == ["run"]
    found = (tmp_path / "run" / "summary.json").read_text()
    assert ("old" in found, "new" in found) == (renames == 1, renames == 2)
