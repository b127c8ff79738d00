"""A trace as the page needs it: texts and facts as they are, the numbers per head quantised to 16 bits."""

from __future__ import annotations

import base64
import json
from bisect import bisect_left
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from eigencore.report.metric_guide import GROUP_LABELS, METRIC_GUIDE, READING_TRUTHS
from eigencore.report.run_facts import run_facts

if TYPE_CHECKING:
    from collections.abc import Sequence

    from eigencore.tracing import Trace

LEVELS = 65533
"""Finite values are the codes 0 … LEVELS - 1; the three codes above are reserved."""
NEGATIVE_INFINITY, POSITIVE_INFINITY, NOT_A_NUMBER = LEVELS, LEVELS + 1, LEVELS + 2
_BYTES_PER_VALUE = 2 * 4 / 3
_BYTES_PER_METRIC = 160


def page_data(traces: Sequence[Trace], names: Sequence[str], max_bytes: int) -> str:
    """What the page's script reads, as JSON that no markup can be read from, in at most `max_bytes` if need be by
    leaving out steps of the numbers per head.
    """
    runs = [_run(trace, name) for trace, name in zip(traces, names, strict=True)]
    shown = {name for trace in traces for name in (*trace.per_step(), *trace.signals)}
    data: dict[str, Any] = {
        "groups": GROUP_LABELS,
        "guide": [vars(entry) for entry in METRIC_GUIDE if entry.name in shown],
        "truths": READING_TRUTHS,
        "runs": runs,
    }
    thinning = choose_thinning(traces, max_bytes - len(_json(data)))
    for run, trace in zip(runs, traces, strict=True):
        run["thinning"] = thinning
        run["metrics"] = _packed_metrics(trace, thinning)
    return _json(data)


def choose_thinning(traces: Sequence[Trace], max_bytes: float) -> int:
    """The smallest k such that the numbers of every k-th step fit; at least one step is always kept."""
    sizes = [
        (trace.num_steps, np.prod(values.shape[1:]), _measured_every(trace, group))
        for trace in traces
        for _, group, values in _page_metrics(trace)
    ]

    def fits(k: int) -> bool:
        values = sum(-(-steps // _stride(every, k)) * cells for steps, cells, every in sizes)
        return bool(values * _BYTES_PER_VALUE + len(sizes) * _BYTES_PER_METRIC <= max_bytes)

    candidates = range(1, max((trace.num_steps for trace in traces), default=1) + 1)
    return candidates[min(bisect_left(candidates, True, key=fits), len(candidates) - 1)]


def quantise(values: npt.NDArray[Any]) -> dict[str, Any]:
    """Numbers as 16-bit codes, base64 of little-endian bytes: value = low + code · (high - low) / (LEVELS - 1)."""
    values = np.asarray(values, dtype=np.float64).reshape(-1)
    finite = np.isfinite(values)
    low, high = (float(values[finite].min()), float(values[finite].max())) if finite.any() else (0.0, 0.0)
    codes = np.full(values.shape, NOT_A_NUMBER, dtype="<u2")
    codes[values == np.inf], codes[values == -np.inf] = POSITIVE_INFINITY, NEGATIVE_INFINITY
    # Scaled before the subtraction, whose result may not be finite where the values are.
    span = high / 2 - low / 2
    shares = (values[finite] / 2 - low / 2) / (span or 1.0)
    codes[finite] = np.rint(shares * (LEVELS - 1))
    return {"low": low, "high": high, "codes": base64.b64encode(codes.tobytes()).decode("ascii")}


def _run(trace: Trace, name: str) -> dict[str, Any]:
    """A run without its numbers per head."""
    layers, heads = next(iter(trace.rows.values())).shape[1:]
    texts = sorted({text for row in trace.top_tokens for text in row})
    number_of = {text: number for number, text in enumerate(texts)}
    return {
        "name": name,
        "model": trace.model["name"],
        "about": f"{trace.model['model_type']}, {trace.model['num_parameters']:,} parameters",
        "layers": layers,
        "heads": heads,
        "promptTokens": trace.prompt_tokens,
        "tokens": trace.tokens,
        "stopReason": trace.stop_reason,
        "loop": None if trace.loop is None else vars(trace.loop),
        "texts": texts,
        "topTokens": [[number_of[text] for text in row] for row in trace.top_tokens],
        "topProbabilities": _numbers(trace.top_token_probabilities),
        "chosenRanks": [
            row.index(token) if token in row else None
            for row, token in zip(trace.top_token_ids, trace.token_ids, strict=True)
        ],
        "signals": {name: _numbers(values) for name, values in trace.signals.items()},
        "facts": run_facts(trace),
        "measuredEvery": trace.settings["every"],
    }


def _packed_metrics(trace: Trace, thinning: int) -> dict[str, Any]:
    packed = {}
    for name, group, values in _page_metrics(trace):
        stride = _stride(_measured_every(trace, group), thinning)
        packed[name] = {"every": stride, **quantise(values[::stride])}
    return packed


def _page_metrics(trace: Trace) -> list[tuple[str, str, npt.NDArray[Any]]]:
    """Name, group and (S, L, H) values, as the page shows them, of each metric that it shows."""
    values = trace.per_step()
    shown = [entry for entry in METRIC_GUIDE if entry.name in values]
    return [
        (entry.name, entry.group, _log10(values[entry.name]) if entry.log10 else values[entry.name]) for entry in shown
    ]


def _log10(values: npt.NDArray[Any]) -> npt.NDArray[Any]:
    with np.errstate(divide="ignore", invalid="ignore"):
        logs: npt.NDArray[Any] = np.log10(values)
    return logs


def _measured_every(trace: Trace, group: str) -> int:
    return 1 if group == "row" else int(trace.settings["every"])


def _stride(every: int, thinning: int) -> int:
    """The smallest multiple of `every` that is at least `thinning`."""
    return every * -(-thinning // every)


def _numbers(values: npt.NDArray[Any]) -> Any:
    """Nested lists with five significant digits, None for what is not finite."""
    if values.ndim > 1:
        return [_numbers(row) for row in values]
    return [float(f"{x:.5g}") if np.isfinite(x) else None for x in values.tolist()]


def _json(data: Any) -> str:
    # All that is not ASCII leaves json as \uXXXX; with these three gone too, no text can end the script element.
    text = json.dumps(data, separators=(",", ":"), allow_nan=False)
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")
