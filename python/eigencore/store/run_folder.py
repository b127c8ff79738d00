"""A folder that appears under its name only when everything in it is written."""

from __future__ import annotations

import shutil
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from eigencore.errors import StoreError

if TYPE_CHECKING:
    from collections.abc import Iterator


@contextmanager
def new_run_folder(path: str | Path, *, overwrite: bool = False) -> Iterator[Path]:
    """Yields a folder to write into; renames it to `path` at the end, or removes it if the block raises.

    Args:
        path: where the run shall be; parents are made.
        overwrite: replace what is there, at the last moment.

    Raises:
        StoreError: something is there already, or the place cannot be written to.
    """
    final = Path(path)
    check_free(final, overwrite=overwrite)
    try:
        final.parent.mkdir(parents=True, exist_ok=True)
        work = Path(tempfile.mkdtemp(prefix=f".{final.name}.", dir=final.parent))
    except OSError as error:
        raise StoreError(f"cannot write to {final.parent}: {error.strerror or error}") from error
    try:
        yield work
        work.chmod(0o755)
        _move_into_place(work, final, overwrite)
    finally:
        shutil.rmtree(work, ignore_errors=True)


def check_free(path: Path, *, overwrite: bool = False) -> None:
    """Raises StoreError where something at `path` stands in the way."""
    if path.exists() and not overwrite:
        raise StoreError(f"{path} exists already; choose another folder or overwrite it (--overwrite)")
    if path.exists() and not path.is_dir():
        raise StoreError(f"{path} is a file; a run needs a folder")


def _move_into_place(work: Path, final: Path, overwrite: bool) -> None:
    if not overwrite or not final.exists():
        try:
            work.rename(final)
        except OSError as error:
            raise StoreError(f"{final} appeared meanwhile or cannot be made: {error.strerror or error}") from error
        return
    # A folder cannot be renamed onto one with files in it: the old one steps aside first, and back if that fails.
    aside = Path(tempfile.mkdtemp(prefix=f".{final.name}.old.", dir=final.parent))
    final.rename(aside / final.name)
    try:
        work.rename(final)
    except OSError:
        (aside / final.name).rename(final)
        raise
    finally:
        shutil.rmtree(aside, ignore_errors=True)
