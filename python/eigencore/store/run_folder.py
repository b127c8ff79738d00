"""Folders that appear under their name only when everything in them is written."""

from __future__ import annotations

import json
import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from eigencore.errors import StoreError

SUMMARY_NAME = "summary.json"


@contextmanager
def new_folder(path: Path) -> Iterator[Path]:
    """Yields a hidden folder beside `path`; renames it to `path` at the end, or removes it if the block raises.

    Raises:
        StoreError: something is there already, the place cannot be written to, or writing failed (disk full).
    """
    work = _hidden_beside(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        work.mkdir()
        yield work
        work.rename(path)
    except OSError as error:
        raise StoreError(f"cannot write {path}: {error.strerror or error}") from error
    finally:
        _remove(work)


@contextmanager
def new_run_folder(path: str | Path, *, overwrite: bool = False) -> Iterator[Path]:
    """As `new_folder`, and with `overwrite` in the place of a run folder that is there, at the last moment.

    Args:
        path: where the run shall be; parents are made.
        overwrite: replace a run folder or an empty folder. Anything else is never replaced.

    Raises:
        StoreError: something stands at `path`, the place cannot be written to, or writing failed.
    """
    final = Path(path)
    check_free(final, overwrite=overwrite)
    if not final.exists():
        with new_folder(final) as work:
            yield work
        return
    work, aside = _hidden_beside(final), _hidden_beside(final)
    try:
        work.mkdir()
        yield work
        # A folder cannot be renamed onto one with files in it: the old one steps aside, and back if that fails.
        final.rename(aside)
        try:
            work.rename(final)
        except BaseException:
            aside.rename(final)
            raise
        _remove(aside)
    except OSError as error:
        raise StoreError(f"cannot replace {final}: {error.strerror or error}") from error
    finally:
        _remove(work)


def check_free(path: Path, *, overwrite: bool = False) -> None:
    """Raises StoreError where something at `path` stands in the way."""
    try:
        if not path.exists() and not path.is_symlink():
            return
        if not path.is_dir():
            raise StoreError(f"{path} is a file; a run needs a folder")
        if not overwrite:
            raise StoreError(f"{path} exists already; choose another folder or overwrite it (--overwrite)")
        if any(path.iterdir()) and not _is_run_folder(path):
            raise StoreError(f"{path} is no run folder of eigencore and will not be overwritten; choose another folder")
    except OSError as error:
        raise StoreError(f"cannot use {path}: {error.strerror or error}") from error


def _hidden_beside(path: Path) -> Path:
    return path.parent / f".{path.name}.{uuid.uuid4().hex[:12]}"


def _remove(path: Path) -> None:
    if path.is_symlink():
        path.unlink()
    else:
        shutil.rmtree(path, ignore_errors=True)


def _is_run_folder(path: Path) -> bool:
    try:
        schema = json.loads((path / SUMMARY_NAME).read_text(encoding="utf-8"))["schema"]["name"]
    except (OSError, ValueError, KeyError, TypeError):
        return False
    return str(schema).startswith("eigencore.")
