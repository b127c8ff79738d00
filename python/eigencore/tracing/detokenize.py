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

    def decode(ids: list[int]) -> str:
        return str(tokenizer.decode(ids, skip_special_tokens=False, clean_up_tokenization_spaces=False))

    before = list(context[-1:])
    pending: list[int] = []
    texts = []
    for position, token_id in enumerate(token_ids):
        pending.append(int(token_id))
        known, text = decode(before) if before else "", decode(before + pending)
        if text.endswith(_BROKEN) and position + 1 < len(token_ids):
            texts.append("")
            continue
        texts.append(text[len(known) :])
        before, pending = pending, []
    return texts
