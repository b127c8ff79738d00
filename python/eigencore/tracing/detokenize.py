"""The text of each token, such that the texts joined are the text."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from transformers import PreTrainedTokenizerBase

_BROKEN = "\ufffd"


def token_texts(tokenizer: PreTrainedTokenizerBase, token_ids: Sequence[int], context: Sequence[int] = ()) -> list[str]:
    """The text that each token adds; special tokens are shown.

    A token that ends inside a character adds nothing, and the one that completes it adds the whole character. Each
    token is decoded behind the one before it, since tokenizers drop a leading space at the beginning of a text.

    Args:
        tokenizer: of the model.
        token_ids: (S,) tokens wanted.
        context: tokens that stand before them.
    """
    return [text for _, text in _walk(tokenizer, token_ids, context)]


def alternatives_texts(
    tokenizer: PreTrainedTokenizerBase,
    token_ids: Sequence[int],
    context: Sequence[int],
    candidates: Sequence[Sequence[int]],
) -> list[list[str]]:
    """The text that each of several candidates for a token would have added in its place.

    Args:
        tokenizer: of the model.
        token_ids: (S,) the tokens that were written.
        context: tokens that stand before them.
        candidates: (S, K) tokens that could have been written at each step. One that ends inside a character is shown
            as U+FFFD.
    """
    known: dict[tuple[tuple[int, ...], int], str] = {}

    def text(before: list[int], pending: list[int], candidate: int) -> str:
        key = (tuple(before + pending), candidate)
        if key not in known:
            known[key] = _added(tokenizer, before, [*pending, candidate])
        return known[key]

    walk = _walk(tokenizer, token_ids, context)
    return [
        [text(before, pending, candidate) for candidate in row]
        for ((before, pending), _), row in zip(walk, candidates, strict=True)
    ]


def _walk(
    tokenizer: PreTrainedTokenizerBase, token_ids: Sequence[int], context: Sequence[int]
) -> Iterator[tuple[tuple[list[int], list[int]], str]]:
    """For each token: what it is decoded behind, the tokens of a character begun before it; and the text it adds."""
    before, pending = list(context[-1:]), []  # type: tuple[list[int], list[int]]
    for position, token_id in enumerate(token_ids):
        place = (before, pending)
        pending = [*pending, int(token_id)]
        text = _added(tokenizer, before, pending)
        if text.endswith(_BROKEN) and position + 1 < len(token_ids):
            yield place, ""
            continue
        yield place, text
        before, pending = pending, []


def _added(tokenizer: PreTrainedTokenizerBase, before: list[int], ids: list[int]) -> str:
    known = _decode(tokenizer, before) if before else ""
    return _decode(tokenizer, before + ids)[len(known) :]


def _decode(tokenizer: PreTrainedTokenizerBase, ids: list[int]) -> str:
    return str(tokenizer.decode(ids, skip_special_tokens=False, clean_up_tokenization_spaces=False))
