"""Whether the files of a run are a whole trace. Everything here raises ValueError for what they lack."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from eigencore.capture.row_reduction import ROW_FIELDS
from eigencore.metrics.catalogue import select_metrics
from eigencore.tracing.signals import SIGNAL_DESCRIPTIONS

EIGEN_PREFIX, SINGULAR_PREFIX = "eigen.", "singular."
_TEXT, _NUMBER, _FLAG, _NONE = (str,), (int,), (bool,), type(None)
_MODEL = {
    "name": _TEXT,
    "weights_sha256": (str, _NONE),
    "model_type": _TEXT,
    "num_parameters": _NUMBER,
    "num_hidden_layers": _NUMBER,
    "num_attention_heads": _NUMBER,
    "dtype": _TEXT,
    "device": _TEXT,
    "attn_implementation": (str, _NONE),
}
_SETTINGS = {
    "max_new_tokens": _NUMBER,
    "seed": _NUMBER,
    "spectrum": _TEXT,
    "every": _NUMBER,
    "apply_chat_template": _FLAG,
    "generation": (dict,),
    "overridden": (dict,),
}
_LOOP = {"first_copy_step": _NUMBER, "onset_step": _NUMBER, "period": _NUMBER, "copies": _NUMBER, "text": _TEXT}


def check_summary(summary: dict[str, Any]) -> None:
    """Every key that a trace is made of, of its type, and lists as long as one another."""
    for name, keys in (("model", _MODEL), ("settings", _SETTINGS)):
        _check_keys(name, summary.get(name), keys)
    _check_keys("summary", summary, {"prompt": _TEXT, "stop_reason": _TEXT, "versions": (dict,), "signals": (dict,)})
    _check_texts("versions", list(summary["versions"].values()))
    for ids, texts in (("prompt_token_ids", "prompt_tokens"), ("token_ids", "tokens")):
        if not _is_list_of(summary.get(ids), int) or not summary[ids]:
            raise ValueError(f"{ids} are not token ids")
        _check_texts(texts, summary.get(texts))
        if len(summary[texts]) != len(summary[ids]):
            raise ValueError(f"{len(summary[texts])} {texts} for {len(summary[ids])} ids")
    if summary["settings"]["every"] < 1:
        raise ValueError(f"every is {summary['settings']['every']}")
    S = len(summary["token_ids"])
    _check_signals(summary["signals"], S)
    _check_top_tokens(summary, S)
    _check_loop(summary.get("loop", ()), S)


def checked_numbers(
    table: dict[str, Any], shape: tuple[int, int, int], P: int, *, singular: bool
) -> dict[str, npt.NDArray[Any]]:
    """The metric columns of a table as (rows, L, H): all that a trace has, and nothing else."""
    for name, expected in zip(("row", "layer", "head"), np.indices(shape), strict=True):
        if not np.array_equal(table.get(name, ()), expected.reshape(-1)):
            raise ValueError(f"column {name} is not that of {shape[0]} rows, {shape[1]} layers and {shape[2]} heads")
    step = np.indices(shape)[0].reshape(-1) - (P - 1)
    if not np.array_equal(np.nan_to_num(table["step"].astype(np.float64), nan=-1), np.maximum(step, -1)):
        raise ValueError(f"column step is not that of {P} prompt tokens")
    wanted = ["self_weight", *ROW_FIELDS]
    wanted += [EIGEN_PREFIX + name for name in select_metrics(None, singular=False)]
    if singular:
        wanted += [SINGULAR_PREFIX + name for name in select_metrics(None, singular=True)]
    numbers = {}
    for name in [column for column in table if column not in ("row", "step", "layer", "head")]:
        if name in wanted and table[name].dtype.kind == "f":
            numbers[name] = table[name].reshape(shape)
    missing = [name for name in wanted if name not in numbers]
    if missing:
        raise ValueError(f"no numbers under {', '.join(missing)}")
    return numbers


def _check_keys(name: str, found: Any, keys: Mapping[str, tuple[type, ...]]) -> None:
    if not isinstance(found, dict):
        raise ValueError(f"{name} is missing")
    for key, types in keys.items():
        value = found.get(key, ...)
        if not isinstance(value, types) or (isinstance(value, bool) and bool not in types):
            raise ValueError(f"{name} has no usable {key}")


def _check_texts(name: str, found: Any) -> None:
    if not _is_list_of(found, str):
        raise ValueError(f"{name} are not texts")


def _is_list_of(found: Any, kind: type) -> bool:
    return isinstance(found, list) and all(isinstance(x, kind) and not isinstance(x, bool) for x in found)


def _check_signals(signals: dict[str, Any], S: int) -> None:
    for name in SIGNAL_DESCRIPTIONS:
        values = signals.get(name)
        if not isinstance(values, list) or len(values) != S or not all(_is_number_or_none(x) for x in values):
            raise ValueError(f"signal {name} is not of {S} steps")


def _check_top_tokens(summary: dict[str, Any], S: int) -> None:
    for name, kind in (("top_token_ids", int), ("top_tokens", str), ("top_token_probabilities", float)):
        rows = summary.get(name)
        if not isinstance(rows, list) or len(rows) != S:
            raise ValueError(f"{name} are not of {S} steps")
        widths = {len(row) for row in rows if _is_list_of(row, kind)}
        if len(widths) != 1 or not all(_is_list_of(row, kind) for row in rows):
            raise ValueError(f"{name} are not lists of equal length")


def _check_loop(loop: Any, S: int) -> None:
    if loop is None:
        return
    _check_keys("loop", loop, _LOOP)
    if not 0 <= loop["first_copy_step"] < loop["onset_step"] < S or set(loop) != set(_LOOP):
        raise ValueError(f"the loop is not one of {S} steps")


def _is_number_or_none(x: Any) -> bool:
    return x is None or (isinstance(x, (int, float)) and not isinstance(x, bool))
