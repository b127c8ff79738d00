"""Prompt files: text, one prompt a line, or JSON lines."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

from eigencore.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Callable


_NO_LINES_OF_TEXT = (".json", ".csv", ".tsv", ".parquet", ".yaml", ".yml", ".xlsx", ".gz", ".zip")


def read_prompts(path: str | Path) -> list[str]:
    """The prompts of a file, in its order.

    Args:
        path: a text file, each line that is not blank a prompt, as it stands; or *.jsonl, each
            line an object whose "prompt" is the prompt, which may then hold line breaks. UTF-8.

    Raises:
        InputError: not there, not readable, no prompt in it, or a malformed line, which it numbers.
    """
    path = Path(path)
    if path.suffix.lower() in _NO_LINES_OF_TEXT:
        raise InputError(f'{path}: expected plain text with a prompt on each line, or *.jsonl with {{"prompt": "…"}}')
    try:
        lines = path.read_bytes().split(b"\n")
    except OSError as error:
        raise InputError(f"cannot read prompts from {path}: {error.strerror or error}") from error
    read: Callable[[str], str] = _of_json if path.suffix == ".jsonl" else str
    prompts = []
    for number, line in enumerate(lines, 1):
        try:
            text = line.decode("utf-8-sig" if number == 1 else "utf-8").removesuffix("\r")
            if text.strip():
                prompts.append(read(text))
        except UnicodeDecodeError as error:
            raise InputError(f"{path}, line {number}: not UTF-8 (byte {error.start + 1}: {error.reason})") from error
        except ValueError as error:
            raise InputError(f"{path}, line {number}: {error}") from error
    if not prompts:
        raise InputError(f"{path} holds no prompt; expected one on each line")
    return prompts


def _of_json(line: str) -> str:
    try:
        document = json.loads(line)
    except json.JSONDecodeError as error:
        raise ValueError(f'not JSON ({error.msg} at column {error.colno}); expected {{"prompt": "…"}}') from error
    except RecursionError:
        raise ValueError('nested too deeply; expected {"prompt": "…"}') from None
    prompt = document.get("prompt") if isinstance(document, dict) else None
    if not isinstance(prompt, str) or not prompt:
        raise ValueError('expected an object with a text under "prompt", {"prompt": "…"}')
    try:
        prompt.encode()
    except UnicodeEncodeError as error:
        raise ValueError(f"the prompt is no valid Unicode text: {error.reason} at position {error.start}") from error
    return prompt
