"""Progress bars on standard error."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager


@contextmanager
def progress_bar(title: str, total: int | None, show: bool) -> Iterator[Callable[[int], None]]:
    """A bar while the block lasts, if standard error is a terminal; yields what to call with the number of steps done.

    total: number of steps; None: not known.
    """
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    counted = () if total is None else (MofNCompleteColumn(),)
    columns = (TextColumn("{task.description}", markup=False), BarColumn(), *counted, TimeElapsedColumn())
    console = Console(stderr=True)
    with Progress(*columns, console=console, transient=True, disable=not (show and console.is_terminal)) as bars:
        bar = bars.add_task(title, total=total)
        yield lambda steps: bars.update(bar, completed=steps)
