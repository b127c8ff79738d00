"""The text of each token, such that the texts joined are the text."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

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

    before = list(context[-1:])
    pending: list[int] = []
    texts = []
    for position, token_id in enumerate(token_ids):
        pending.append(int(token_id))
        known, text = _decode(tokenizer, before) if before else "", _decode(tokenizer, before + pending)
        if text.endswith(_BROKEN) and position + 1 < len(token_ids):
            texts.append("")
            continue
        texts.append(text[len(known) :])
        before, pending = pending, []
    return texts


def alternatives_texts(
    tokenizer: PreTrainedTokenizerBase, token_ids: Sequence[Sequence[int]], sequence: Sequence[int], first: int
) -> list[list[str]]:
    """The text that each of several candidates for a token would have added.

    Args:
        tokenizer: of the model.
        token_ids: (S, K) candidates at each step.
        sequence: all tokens of prompt and text.
        first: position, in `sequence`, of the first step's token.
    """
    known: dict[tuple[int, int], str] = {}

    def text(before: int, candidate: int) -> str:
        # A token's text depends on the one before it only in whether it begins a text; a byte of a character stays one.
        if (before, candidate) not in known:
            known[before, candidate] = _decode(tokenizer, [before, candidate])[len(_decode(tokenizer, [before])) :]
        return known[before, candidate]

    return [
        [text(sequence[first + step - 1], candidate) for candidate in candidates]
        for step, candidates in enumerate(token_ids)
    ]


def _decode(tokenizer: PreTrainedTokenizerBase, ids: list[int]) -> str:
    return str(tokenizer.decode(ids, skip_special_tokens=False, clean_up_tokenization_spaces=False))
