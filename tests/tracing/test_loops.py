from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eigencore.errors import InputError
from eigencore.tracing import LoopEvent, find_loop

TEXT_OF = {letter: f" {letter}" for letter in "abcdefgh"} | {"n": "\n"} | {mark: mark for mark in ".-|"}


def loop_of(letters: str, **options: int) -> LoopEvent | None:
    """The loop of a text with one token per letter."""
    return find_loop([ord(x) for x in letters], [TEXT_OF[x] for x in letters], **options)


def loop_by_the_definition(letters: str, low: int, high: int, count: int, count_simple: int) -> LoopEvent | None:
    """Tries every pattern length, and for each every place where its copies may start, leftmost first."""
    for size in range(low, high + 1):
        for start in range(len(letters) - 2 * size + 1):
            tail, pattern = letters[start:], letters[start : start + size]
            if (pattern * len(tail))[: len(tail)] != tail:
                continue
            text = "".join(TEXT_OF[x] for x in pattern)
            a_power = (pattern + pattern).find(pattern, 1) < size
            needed = count_simple if size == 1 or set(pattern) <= set(".-|n") else count
            if not a_power and len(tail) // size >= needed:
                return LoopEvent(start, start + size, size, len(tail) // size, text)
            break
    return None


@st.composite
def texts_with_a_tail(draw: st.DrawFn) -> str:
    letters = st.text("ab.n", max_size=8)
    pattern = draw(st.text("ab.n", min_size=1, max_size=6))
    return draw(letters) + pattern * draw(st.integers(1, 10)) + pattern[: draw(st.integers(0, 5))] + draw(letters)[:1]


@given(
    letters=texts_with_a_tail() | st.text("ab.n", max_size=30),
    sizes=st.tuples(st.integers(1, 8), st.integers(1, 30)).map(sorted),
    count=st.integers(2, 6),
    count_simple=st.integers(2, 10),
)
def test_find_loop_equals_the_definition(letters: str, sizes: list[int], count: int, count_simple: int) -> None:
    found = loop_of(
        letters,
        min_pattern_size=sizes[0],
        max_pattern_size=sizes[1],
        min_count=count,
        min_count_simple=count_simple,
    )
    assert found == loop_by_the_definition(letters, *sizes, count, count_simple)


@given(letters=texts_with_a_tail())
def test_find_loop_period_holds_from_the_first_copy_on_and_not_before(letters: str) -> None:
    loop = loop_of(letters, min_count=2, min_count_simple=2)
    if loop is None:
        return
    assert letters[loop.first_copy_step : -loop.period] == letters[loop.onset_step :]
    assert (
        letters[loop.first_copy_step - 1 : -loop.period] != letters[loop.onset_step - 1 :] or not loop.first_copy_step
    )


def test_find_loop_counts_steps_from_the_first_copy() -> None:
    assert loop_of("hgabcabcabc") == LoopEvent(first_copy_step=2, onset_step=5, period=3, copies=3, text=" a b c")


def test_find_loop_extends_the_period_to_the_left() -> None:
    # "c" before the first "abc" already has the period: the copies are of "cab".
    assert loop_of("hcabcabcabc") == LoopEvent(1, 4, 3, 3, " c a b")


def test_find_loop_leaves_a_partial_last_copy_out_of_the_count() -> None:
    assert loop_of("habcdabcdabcdabc") == LoopEvent(1, 5, 4, 3, " a b c d")
    assert loop_of("habcdabcdabc") is None


def test_find_loop_takes_the_smallest_period() -> None:
    loop = loop_of("h" + "ab" * 12)
    assert loop is not None
    assert (loop.period, loop.copies) == (2, 12)


def test_find_loop_needs_the_copies_to_reach_the_end() -> None:
    assert loop_of("abababababh") is None


def test_find_loop_of_a_text_that_is_nothing_but_loop_starts_at_zero() -> None:
    assert loop_of("abcabcabc") == LoopEvent(0, 3, 3, 3, " a b c")


def test_find_loop_looks_past_a_short_run_at_the_end_of_each_copy() -> None:
    assert loop_of("abbbabbbabbb") == LoopEvent(0, 4, 4, 3, " a b b b")


@pytest.mark.parametrize("letters", ["", "a", "ab", "abcdefgh"])
def test_find_loop_is_none_where_nothing_repeats(letters: str) -> None:
    assert loop_of(letters) is None


@pytest.mark.parametrize("letter", ["a", "."])
def test_find_loop_needs_more_copies_of_a_single_token(letter: str) -> None:
    assert loop_of("h" + letter * 7) is None
    assert loop_of("h" + letter * 8) == LoopEvent(1, 2, 1, 8, TEXT_OF[letter])


def test_find_loop_needs_more_copies_of_punctuation() -> None:
    assert loop_of("h" + "|-n" * 7) is None
    assert loop_of("h" + "|-n" * 8) == LoopEvent(1, 4, 3, 8, "|-\n")
    assert loop_of("h" + "|an" * 3) == LoopEvent(1, 4, 3, 3, "| a\n")


def test_find_loop_reads_letters_of_every_script() -> None:
    loop = find_loop([5, 6] * 3, ["漢", "字"] * 3)
    assert loop == LoopEvent(0, 2, 2, 3, "漢字")


def test_find_loop_takes_no_multiple_of_a_smaller_period() -> None:
    assert loop_of("h" + "." * 7, min_pattern_size=2) is None
    assert loop_of("h" + "ab" * 20, min_pattern_size=3) is None
    # Seven copies of "|-" are too few, and three of "|-|-" are no way around that.
    assert loop_of("h" + "|-" * 7, min_count=2) is None


@pytest.mark.parametrize(("size", "found"), [(1, False), (2, False), (3, True), (4, True)])
def test_find_loop_holds_to_max_pattern_size(size: int, found: bool) -> None:
    assert (loop_of("abcabcabc", max_pattern_size=size) is not None) == found


@pytest.mark.parametrize(("size", "found"), [(1, True), (3, True), (4, False)])
def test_find_loop_holds_to_min_pattern_size(size: int, found: bool) -> None:
    assert (loop_of("abcabcabc", min_pattern_size=size) is not None) == found


def test_find_loop_looks_for_a_hundred_tokens_and_no_more_by_default() -> None:
    ids = list(range(101))
    assert find_loop(ids[:100] * 3, ["x"] * 300) == LoopEvent(0, 100, 100, 3, "x" * 100)
    assert find_loop(ids * 3, ["x"] * 303) is None


def test_find_loop_compares_tokens_and_not_their_texts() -> None:
    assert find_loop(list(range(30)), ["x"] * 30) is None


@pytest.mark.parametrize(
    "options",
    [
        {"min_pattern_size": 0},
        {"min_pattern_size": 5, "max_pattern_size": 4},
        {"max_pattern_size": 0},
        {"min_count": 1},
        {"min_count_simple": 1},
    ],
)
def test_find_loop_refuses_options_that_make_no_loop(options: dict[str, int]) -> None:
    with pytest.raises(InputError, match=str(min(options.values()))):
        loop_of("ababab", **options)
