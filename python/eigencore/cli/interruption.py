"""Ctrl-C and SIGTERM: asked for once, work comes to an orderly end; asked for twice, it ends at once."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType


class Interruption:
    """Whether the user, or the system, wants this process to end."""

    def __init__(self) -> None:
        self.requested = False
        self._deferred = False

    @contextmanager
    def watched(self) -> Iterator[None]:
        """Takes the two signals for as long as the block lasts. Until `defer` they raise KeyboardInterrupt."""
        before = {number: signal.signal(number, self._asked) for number in (signal.SIGINT, signal.SIGTERM)}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def defer(self) -> None:
        """From here on the first signal only sets `requested`, for the work to look at."""
        self._deferred = True

    def _asked(self, number: int, frame: FrameType | None) -> None:
        if self.requested or not self._deferred:
            raise KeyboardInterrupt
        self.requested = True
