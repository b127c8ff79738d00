"""Loops: texts that end in copies of a pattern."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from eigencore.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Sequence

MAX_PATTERN_SIZE = 100
MIN_PATTERN_SIZE = 1
MIN_COUNT = 3
MIN_COUNT_SIMPLE = 8


@dataclass(frozen=True)
class LoopEvent:
    """A text that ends in copies of a pattern. Steps count generated tokens from 0."""

    first_copy_step: int
    """Where the first copy starts: the period holds from here to the end."""
    onset_step: int
    """Where the second copy starts: from here on, every token repeats the one a period before."""
    period: int
    """Length of the pattern in tokens, the smallest that holds."""
    copies: int
    """Complete copies; the last one may be followed by the beginning of another."""
    text: str
    """One copy, from `first_copy_step` on."""


def find_loop(
    token_ids: Sequence[int],
    tokens: Sequence[str],
    *,
    max_pattern_size: int = MAX_PATTERN_SIZE,
    min_pattern_size: int = MIN_PATTERN_SIZE,
    min_count: int = MIN_COUNT,
    min_count_simple: int = MIN_COUNT_SIMPLE,
) -> LoopEvent | None:
    """The loop that a generated text ends in, if it does.

    Args:
        token_ids: (S,) generated tokens, the prompt left out.
        tokens: (S,) their texts.
        max_pattern_size: longest pattern looked for, in tokens.
        min_pattern_size: shortest pattern looked for, in tokens.
        min_count: complete copies that make a loop.
        min_count_simple: the same for patterns of a single token, or without a letter or digit: "....", rules and the
            borders of tables are no loops before that.

    Raises:
        InputError: sizes or counts out of order.
    """
    if not 1 <= min_pattern_size <= max_pattern_size:
        raise InputError(
            f"expected 1 <= min_pattern_size <= max_pattern_size, got {min_pattern_size} and {max_pattern_size}"
        )
    if min_count < 2 or min_count_simple < 2:
        raise InputError(
            f"a loop has at least 2 copies, got min_count={min_count}, min_count_simple={min_count_simple}"
        )
    if len(token_ids) != len(tokens):
        raise InputError(f"expected as many texts as tokens, got {len(tokens)} for {len(token_ids)}")
    token_ids = [int(token_id) for token_id in token_ids]
    S = len(token_ids)
    for period in range(min_pattern_size, min(max_pattern_size, S // 2) + 1):
        first = _start_of_period(token_ids, period)
        copies = (S - first) // period
        if copies < 2 or _repeats_itself(token_ids[first : first + period]):
            continue
        pattern = "".join(tokens[first : first + period])
        simple = period == 1 or not any(character.isalnum() for character in pattern)
        if copies >= (min_count_simple if simple else min_count):
            return LoopEvent(first, first + period, period, copies, pattern)
    return None


def _start_of_period(token_ids: Sequence[int], period: int) -> int:
    """The smallest s such that token_ids[s:] has this period."""
    start = len(token_ids) - period
    while start > 0 and token_ids[start - 1] == token_ids[start - 1 + period]:
        start -= 1
    return start


def _repeats_itself(pattern: Sequence[int]) -> bool:
    """Whether a pattern is copies of a shorter one, whose own count decides ("haha" is not a pattern beside "ha")."""
    size = len(pattern)
    return any(size % p == 0 and pattern[p:] == pattern[:-p] for p in range(1, size // 2 + 1))
