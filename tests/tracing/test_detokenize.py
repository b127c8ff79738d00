from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import Tokenizer, decoders, models
from transformers import PreTrainedTokenizerFast

from eigencore.tracing.detokenize import alternatives_texts, token_texts

TEXTS = (
    "Once upon a time",
    " starts with a space",
    "  two   and more spaces\n\n\tand a tab",
    "naïve café, größe, Ångström",
    "smile 😀 and family 👩‍👩‍👧 and flag 🇩🇪!",
    "漢字かな交じり文",
    "don't , stop . here ?",
    "<|endoftext|>mid<|endoftext|>",
    "a�b�",
)
EMOJI = "😀"


@pytest.fixture(scope="module")
def llama_like() -> Any:
    """A tokenizer of words and bytes, which drops the space at the beginning of a text as Llama's does."""
    words = ["<unk>", "▁", "▁the", "▁cat", "s", "▁é"]
    vocabulary = {name: i for i, name in enumerate([*words, *(f"<0x{byte:02X}>" for byte in range(256))])}
    tokenizer = Tokenizer(models.BPE(vocabulary, [], unk_token="<unk>", byte_fallback=True))
    tokenizer.decoder = decoders.Sequence(
        [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)]
    )
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer)


def named_ids(tokenizer: Any, *names: str) -> list[int]:
    return [tokenizer.convert_tokens_to_ids(name) for name in names]


def named_byte_ids(tokenizer: Any, text: str) -> list[int]:
    return named_ids(tokenizer, *(f"<0x{byte:02X}>" for byte in text.encode()))


def decoded(tokenizer: Any, ids: list[int]) -> str:
    return str(tokenizer.decode(ids, skip_special_tokens=False, clean_up_tokenization_spaces=False))


def byte_ids(tokenizer: Any, data: bytes) -> list[int]:
    """One token for each byte."""
    alphabet = byte_alphabet(tokenizer)
    return [alphabet[byte] for byte in data]


def byte_alphabet(tokenizer: Any) -> dict[int, int]:
    """Byte -> id of the token that is this byte alone; byte-level BPE writes it as one printable character."""
    printable = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = [byte for byte in range(256) if byte not in printable]
    names = {byte: chr(byte) for byte in printable} | {byte: chr(256 + i) for i, byte in enumerate(others)}
    return {byte: tokenizer.convert_tokens_to_ids(name) for byte, name in names.items()}


@pytest.mark.parametrize("text", TEXTS)
def test_token_texts_joined_are_the_text(tiny: Any, text: str) -> None:
    _, tokenizer = tiny
    ids = tokenizer(text)["input_ids"]
    texts = token_texts(tokenizer, ids)
    assert len(texts) == len(ids)
    assert "".join(texts) == decoded(tokenizer, ids) == text


@pytest.mark.parametrize("text", TEXTS)
def test_token_texts_behind_a_prompt_are_what_follows_it(tiny: Any, text: str) -> None:
    _, tokenizer = tiny
    prompt, ids = tokenizer("The end")["input_ids"], tokenizer(text)["input_ids"]
    assert "".join(token_texts(tokenizer, ids, prompt)) == decoded(tokenizer, prompt + ids).removeprefix("The end")


def test_token_texts_give_a_split_character_to_the_token_that_completes_it(tiny: Any) -> None:
    _, tokenizer = tiny
    ids = byte_ids(tokenizer, f"a{EMOJI}é!".encode())
    assert token_texts(tokenizer, ids) == ["a", "", "", "", EMOJI, "", "é", "!"]


def test_token_texts_of_tokens_that_cross_characters_join_to_the_text(tiny: Any) -> None:
    _, tokenizer = tiny
    first, second = EMOJI.encode(), "漢".encode()
    ids = [*byte_ids(tokenizer, first + second[:1]), *byte_ids(tokenizer, second[1:])]
    assert "".join(token_texts(tokenizer, ids)) == EMOJI + "漢"


def test_token_texts_show_a_character_that_the_end_cuts_off(tiny: Any) -> None:
    _, tokenizer = tiny
    ids = byte_ids(tokenizer, b"a" + EMOJI.encode()[:2])
    assert token_texts(tokenizer, ids) == ["a", "", "\ufffd"]


def test_token_texts_show_special_tokens(tiny: Any) -> None:
    _, tokenizer = tiny
    ids = [*tokenizer("end")["input_ids"], tokenizer.eos_token_id]
    assert token_texts(tokenizer, ids)[-1] == tokenizer.eos_token


def test_token_texts_keep_the_space_before_a_word(tiny: Any) -> None:
    _, tokenizer = tiny
    ids = tokenizer("the cat")["input_ids"]
    assert token_texts(tokenizer, ids[-1:], ids[:-1]) == [
        decoded(tokenizer, ids).removeprefix(decoded(tokenizer, ids[:-1]))
    ]


def test_token_texts_of_no_tokens_are_none(tiny: Any) -> None:
    _, tokenizer = tiny
    assert token_texts(tokenizer, []) == []


@given(data=st.data())
def test_token_texts_of_any_tokens_join_to_what_the_tokenizer_decodes(tiny: Any, data: st.DataObject) -> None:
    _, tokenizer = tiny
    ids = data.draw(st.lists(st.integers(0, len(tokenizer) - 1), max_size=30))
    assert "".join(token_texts(tokenizer, ids)) == decoded(tokenizer, ids)


@given(data=st.binary(max_size=24) | st.text(max_size=8).map(lambda text: text.encode()))
def test_token_texts_of_any_bytes_join_to_what_the_tokenizer_decodes(tiny: Any, data: bytes) -> None:
    _, tokenizer = tiny
    ids = byte_ids(tokenizer, data)
    assert "".join(token_texts(tokenizer, ids)) == decoded(tokenizer, ids)


def test_token_texts_join_to_the_text_after_a_run_of_broken_bytes(tiny: Any) -> None:
    _, tokenizer = tiny
    ids = byte_ids(tokenizer, b"\x80" * 6 + EMOJI.encode() + b"!")
    assert "".join(token_texts(tokenizer, ids)) == decoded(tokenizer, ids)


def test_token_texts_keep_the_space_that_a_tokenizer_drops_from_a_beginning(llama_like: Any) -> None:
    prompt, ids = named_ids(llama_like, "▁the", "▁cat"), named_ids(llama_like, "▁cat", "s", "▁", "▁the")
    assert decoded(llama_like, ids) == "cats  the"
    assert token_texts(llama_like, ids) == ["cat", "s", " ", " the"]
    assert token_texts(llama_like, ids, prompt) == [" cat", "s", " ", " the"]


@given(text=st.text(max_size=10))
def test_token_texts_of_bytes_between_words_join_to_the_text(llama_like: Any, text: str) -> None:
    prompt = named_ids(llama_like, "▁the")
    ids = [*named_byte_ids(llama_like, text), *named_ids(llama_like, "▁cat", "s")]
    assert "".join(token_texts(llama_like, ids, prompt)) == text + " cats"


def test_token_texts_give_a_character_of_named_bytes_to_the_last_of_them(llama_like: Any) -> None:
    ids = named_byte_ids(llama_like, "é" + EMOJI)
    assert token_texts(llama_like, ids, named_ids(llama_like, "s")) == ["", "é", "", "", "", EMOJI]


def test_alternatives_inside_a_character_are_decoded_behind_its_first_bytes(tiny: Any) -> None:
    _, tokenizer = tiny
    n, *accented = byte_ids(tokenizer, "né".encode())
    other = byte_ids(tokenizer, "ê".encode())[1]
    texts = alternatives_texts(tokenizer, [n, *accented], [], [[n], [accented[0], n], [accented[1], other]])
    assert texts == [["n"], ["\ufffd", "n"], ["é", "ê"]]
