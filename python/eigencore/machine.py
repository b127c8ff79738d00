"""What the core makes of this machine: the instruction-set level in force, and its threads."""

from __future__ import annotations

from eigencore import _core
from eigencore._core import active_arch, available_arches, get_num_threads
from eigencore.errors import InputError

__all__ = ["active_arch", "available_arches", "get_num_threads", "set_num_threads"]


def set_num_threads(count: int) -> None:
    """How many threads the core uses at most, the calling one among them; results do not depend on it.

    At first EIGENCORE_NUM_THREADS, or as many as this process may run on. Work of less than about half a millisecond
    stays on the calling thread.

    Raises:
        InputError: not a whole number of at least 1.
    """
    if isinstance(count, bool) or not isinstance(count, int) or count < 1:
        raise InputError(f"expected a whole number of threads, at least 1, got {count!r}")
    _core.set_num_threads(min(count, 1024))
