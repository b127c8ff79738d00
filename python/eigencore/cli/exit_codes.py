"""What an error is to a script.

0 done; 1 the machine failed us; 2 the command line is wrong; 3 the input cannot be used; 4 partly done, the rest
listed; 130 interrupted.
"""

from __future__ import annotations

from eigencore.errors import EigencoreError, RunExistsError, StoreError, UnreadableRunError


def code_of(error: BaseException) -> int | None:
    """1 or 3, or None for what is neither and so a defect of ours."""
    if isinstance(error, (RunExistsError, UnreadableRunError)):
        return 3
    if isinstance(error, (StoreError, OSError, MemoryError)):
        return 1
    if isinstance(error, EigencoreError):
        return 3
    return 1 if isinstance(error, RuntimeError) and _is_out_of_memory(error) else None


def _is_out_of_memory(error: RuntimeError) -> bool:
    """torch has a type for CUDA's memory alone."""
    text = str(error).lower()
    return any(words in text for words in ("out of memory", "can't allocate memory", "not enough memory"))


def one_line(error: BaseException) -> str:
    """An error's message, without line breaks."""
    return " ".join(str(error).split()) or type(error).__name__
