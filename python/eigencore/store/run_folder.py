"""Folders that appear under their name only when everything in them is written."""

from __future__ import annotations

import errno
import fcntl
import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from eigencore.errors import RunExistsError, StoreError

SUMMARY_NAME = "summary.json"


@contextmanager
def new_folder(path: Path, *, wait: bool = False) -> Iterator[Path]:
    """Yields a hidden folder beside `path`; renames it to `path` at the end, or removes it if the block raises.

    Of several processes that make the same folder one does; what a killed one left behind is cleared away.

    Args:
        path: where the folder shall be; parents are made, and go again if the block raises.
        wait: wait for another process that is writing `path`, instead of raising.

    Raises:
        RunExistsError: something is there already, or another process is writing it.
        StoreError: the place cannot be written to, or writing failed (disk full).
    """
    with _workspace(path, wait=wait) as work:
        check_free(path)
        yield work
        with _os_errors_of("write", path):
            work.rename(path)


@contextmanager
def new_run_folder(path: str | Path, *, overwrite: bool = False) -> Iterator[Path]:
    """As `new_folder`, and with `overwrite` in the place of a run folder that is there, at the last moment.

    Args:
        path: where the run shall be; parents are made.
        overwrite: replace a run folder or an empty folder. Anything else is never replaced.

    Raises:
        RunExistsError: something stands at `path`, or another process is writing it.
        StoreError: the place cannot be written to, or writing failed.
    """
    final = Path(path)
    check_free(final, overwrite=overwrite)
    with _workspace(final, wait=False) as work:
        check_free(final, overwrite=overwrite)
        replaces = final.exists()
        yield work
        with _os_errors_of("write", final):
            if replaces:
                _exchange(work, final)
            else:
                work.rename(final)


def check_free(path: Path, *, overwrite: bool = False) -> None:
    """Raises RunExistsError where something at `path` stands in the way, StoreError where no folder can ever be."""
    with _os_errors_of("use", path):
        for parent in path.parents:
            if parent.exists() and not parent.is_dir():
                raise StoreError(f"cannot make {path}: {parent} is a file; choose another folder")
            if is_run_folder(parent):
                raise RunExistsError(f"{path} is inside a run, {parent}; choose another folder")
        if not path.exists() and not path.is_symlink():
            return
        if not path.is_dir():
            raise RunExistsError(f"{path} is a file; a run needs a folder")
        if not overwrite:
            raise RunExistsError(
                f"{path} exists already; choose another folder, or overwrite it (overwrite=True, --overwrite)"
            )
        if path.resolve() in (here := Path.cwd().resolve(), *here.parents):
            raise StoreError(f"{path} is where you are, and cannot be replaced; choose another folder")
        if any(path.iterdir()) and not is_run_folder(path):
            raise RunExistsError(
                f"{path} is no run folder of eigencore and will not be overwritten; choose another folder"
            )


def is_run_folder(path: Path) -> bool:
    """Whether a summary in `path` names a schema of eigencore."""
    try:
        with (path / SUMMARY_NAME).open(encoding="utf-8") as file:
            schema = json.load(file)["schema"]["name"]
    except (OSError, ValueError, KeyError, TypeError):
        return False
    return str(schema).startswith("eigencore.")


def _exchange(work: Path, final: Path) -> None:
    """A folder cannot be renamed onto one with files in it: the old one steps aside, and back if that fails."""
    aside = _aside(final)
    try:
        final.rename(aside)
        work.rename(final)
    finally:
        # Also after a signal between the two.
        _settle(final)


def _settle(final: Path) -> None:
    """Ends an exchange that was cut short: what stepped aside comes back, or goes where the new one has its place."""
    aside = _aside(final)
    if not aside.exists():
        return
    if final.exists():
        _remove(aside)
    else:
        aside.rename(final)


def _aside(final: Path) -> Path:
    return final.parent / f".{final.name}.replaced"


@contextmanager
def _os_errors_of(deed: str, path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise StoreError(f"cannot {deed} {path}: {error.strerror or error}") from error


_FULL_OR_BROKEN = (None, errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EIO)


def _is_about(error: OSError, work: Path) -> bool:
    """Whether an error that a caller's block raised is one of writing into `work`."""
    if isinstance(error.filename, (str, Path)):
        return Path(os.path.abspath(work)) in Path(os.path.abspath(error.filename)).parents
    return error.errno in _FULL_OR_BROKEN  # pyarrow names no file


@contextmanager
def _workspace(final: Path, *, wait: bool) -> Iterator[Path]:
    """A hidden folder beside `final`, empty and this process's alone until it is renamed or the block ends."""
    missing = [parent for parent in (final.parent, *final.parent.parents) if not parent.exists()]
    work = final.parent / f".{final.name}.writing"
    lock = None
    try:
        with _os_errors_of("write", final):
            final.parent.mkdir(parents=True, exist_ok=True)
            lock = _lock_folder(work, final, wait=wait)
            _settle(final)
            for left_over in work.iterdir():
                _remove(left_over)
        try:
            yield work
        except OSError as error:
            if not _is_about(error, work):
                raise
            raise StoreError(f"cannot write {final}: {error.strerror or error}") from error
    finally:
        if lock is not None:
            if _is_folder_of(lock, work):
                _remove(work)
            os.close(lock)
        for parent in missing:
            with suppress(OSError):
                parent.rmdir()


def _lock_folder(work: Path, final: Path, *, wait: bool) -> int:
    """Makes `work` where it is not, and returns a descriptor that holds its lock until closed, or the process ends."""
    while True:
        with suppress(FileExistsError):
            work.mkdir()
        try:
            lock = os.open(work, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
        except FileNotFoundError:
            continue  # its owner has come to its end just now
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        except OSError as error:
            if error.errno in (errno.EWOULDBLOCK, errno.EACCES):
                os.close(lock)
                raise RunExistsError(
                    f"{final} is being written by another process; choose another folder, or wait for its end"
                ) from error
            # A file system without locks: one process at a time is then the user's affair.
        if _is_folder_of(lock, work):
            return lock
        os.close(lock)


def _is_folder_of(descriptor: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(descriptor), path.stat())
    except FileNotFoundError:
        return False


def _remove(path: Path) -> None:
    if path.is_symlink() or not path.is_dir():
        path.unlink(missing_ok=True)
    else:
        shutil.rmtree(path, ignore_errors=True)
