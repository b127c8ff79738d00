"""A trace: what a generation did, step by step, layer by layer, head by head."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import numpy as np
import numpy.typing as npt

from eigencore.errors import UnreadableRunError
from eigencore.store import (
    SUMMARY_NAME,
    Schema,
    is_run_folder,
    new_run_folder,
    read_summary,
    read_table,
    write_summary,
    write_table,
)
from eigencore.tracing.loops import LoopEvent
from eigencore.tracing.trace_check import EIGEN_PREFIX, SINGULAR_PREFIX, check_summary, checked_numbers

if TYPE_CHECKING:
    import pandas as pd
    import plotly.graph_objects as go

TRACE_SCHEMA = Schema("eigencore.trace", 2, 0)
TABLE_NAME = "trace.parquet"

F64: TypeAlias = npt.NDArray[np.float64]
F32: TypeAlias = npt.NDArray[np.float32]
StopReason: TypeAlias = Literal["length", "eos", "interrupted", "stopping_criterion"]


@dataclass(frozen=True, eq=False, repr=False)
class Trace:
    """One generation with its spectra. P prompt tokens, S generated tokens, L layers, H heads.

    Step s (from 0) is the forward pass that yields generated token s; its attention matrices have P + s rows.
    """

    model: dict[str, Any]
    """name, weights_sha256 (None for a model handed over loaded), model_type, num_parameters, num_hidden_layers,
    num_attention_heads, dtype, device, attn_implementation (the model's own), traced_with."""
    settings: dict[str, Any]
    """max_new_tokens, seed, spectrum, every, apply_chat_template, generation (the options in force), overridden (those
    that differ from the model's own)."""
    versions: dict[str, str]
    """Of eigencore, python, torch, transformers and numpy."""
    prompt: str
    prompt_token_ids: list[int]
    prompt_tokens: list[str]
    token_ids: list[int]
    """(S,) generated tokens."""
    tokens: list[str]
    """(S,) their texts; joined, they are `text`."""
    stop_reason: StopReason
    """Why the text ends: "length" (max_new_tokens), "eos", "interrupted" (the trace is partial), or
    "stopping_criterion" (one of generate's own options, such as stop_strings)."""
    signals: dict[str, F64]
    """Signal name -> (S,); see `eigencore.tracing.signals.SIGNAL_DESCRIPTIONS`."""
    top_token_ids: list[list[int]]
    """(S, K) the most probable next tokens, before any sampling filter, downwards."""
    top_tokens: list[list[str]]
    """(S, K) their texts."""
    top_token_probabilities: F64
    """(S, K)"""
    metrics: dict[str, F64]
    """Eigen metric name -> (S, L, H), of the whole attention matrix at each step; NaN between steps measured."""
    singular_metrics: dict[str, F64]
    """The same of singular values; empty unless the trace was made with spectrum="singular"."""
    rows: dict[str, F32]
    """Row metric name -> (P + S - 1, L, H), of all attention rows; row P - 1 + s is new at step s."""
    loop: LoopEvent | None = field(default=None)
    """The loop that the text ends in, or None."""

    def __repr__(self) -> str:
        loop = "no loop" if self.loop is None else f"loop of {self.loop.period} from step {self.loop.onset_step}"
        partial = ", partial" if self.stop_reason == "interrupted" else ""
        return (
            f"<Trace of {self.model['name']}: {len(self.prompt_token_ids)} prompt tokens, {self.num_steps} steps, "
            f"{self.model['num_hidden_layers']} layers x {self.model['num_attention_heads']} heads, {loop}{partial}>"
        )

    @property
    def text(self) -> str:
        """The generated text, special tokens shown."""
        return "".join(self.tokens)

    @property
    def num_steps(self) -> int:
        return len(self.token_ids)

    def eigenvalues(self, step: int) -> F64:
        """(P + step, L, H) eigenvalues of every head's attention matrix at `step`, in the order of the rows."""
        if not isinstance(step, (int, np.integer)) or not 0 <= step < self.num_steps:
            raise IndexError(f"step {step} is not among the {self.num_steps} steps of this trace")
        return np.exp(self.rows["log_self_weight"][: len(self.prompt_token_ids) + step].astype(np.float64))

    def per_step(self) -> dict[str, npt.NDArray[Any]]:
        """Metric name -> (S, L, H), of the matrix (singular metrics as "singular.NAME"), then of the step's new row."""
        first_new = len(self.prompt_token_ids) - 1
        singular = {SINGULAR_PREFIX + name: values for name, values in self.singular_metrics.items()}
        return {**self.metrics, **singular, **{name: values[first_new:] for name, values in self.rows.items()}}

    def plot(self, metric: str = "spectral_entropy", *, layer: int | None = None) -> go.Figure:
        """A metric over the steps, as a plotly figure; the loop shaded.

        Args:
            metric: a name in `per_step()`, drawn as one line per layer, the mean over heads; or in `signals`.
            layer: this layer alone, with the range over its heads.

        Raises:
            UnknownMetricError: the trace has no such metric.
            InputError: no such layer.
        """
        from eigencore.tracing.figure import metric_over_steps

        return metric_over_steps(self, metric, layer)

    def _repr_html_(self) -> str:
        from eigencore.metrics.notebook import sparkline, table_html

        loop_from = None if self.loop is None else self.loop.first_copy_step
        rows = []
        of_heads = ("spectral_entropy", "effective_rank", "row_entropy", "self_weight", "sink_weight")
        singular = ("singular.effective_rank",) if self.singular_metrics else ()
        for name in (*of_heads, *singular):
            values = self.per_step()[name].astype(np.float64).reshape(self.num_steps, -1)
            means = np.array([_finite_mean(step) for step in values])
            rows.append([name, f"{_finite_mean(values):.4g}", sparkline(means, loop_from)])
        for name in ("next_token_entropy", "repetition_4gram"):
            rows.append([name, f"{_finite_mean(self.signals[name]):.4g}", sparkline(self.signals[name], loop_from)])
        return table_html(repr(self), ["metric", "mean", "over steps (loop shaded)"], rows)

    def layer_means(self) -> dict[str, list[float]]:
        """Metric name -> (L,) mean over steps and heads; infinities and NaN left out."""
        return {
            name: [_finite_mean(values[:, layer]) for layer in range(values.shape[1])]
            for name, values in self.per_step().items()
        }

    def summary(self) -> dict[str, Any]:
        """Everything but the numbers per head, as JSON can hold it."""
        return {
            "model": self.model,
            "settings": self.settings,
            "versions": self.versions,
            "prompt": self.prompt,
            "text": self.text,
            "num_steps": self.num_steps,
            "stop_reason": self.stop_reason,
            "loop": None if self.loop is None else asdict(self.loop),
            "layer_means": self.layer_means(),
            "prompt_token_ids": self.prompt_token_ids,
            "prompt_tokens": self.prompt_tokens,
            "token_ids": self.token_ids,
            "tokens": self.tokens,
            "signals": {name: values.tolist() for name, values in self.signals.items()},
            "top_token_ids": self.top_token_ids,
            "top_tokens": self.top_tokens,
            "top_token_probabilities": self.top_token_probabilities.tolist(),
        }

    def to_pandas(self) -> pd.DataFrame:
        """One row per step, layer and head: step, token, layer, head, the eigen metrics, the singular metrics as
        "singular.NAME" where there are any, and the row metrics of the step's new row."""
        import pandas as pd

        S, L, H = next(iter(self.metrics.values())).shape
        step, layer, head = (axis.reshape(-1) for axis in np.indices((S, L, H)))
        index = {"step": step, "token": np.array(self.tokens, dtype=object)[step], "layer": layer, "head": head}
        return pd.DataFrame({**index, **{name: values.reshape(-1) for name, values in self.per_step().items()}})

    def save(self, path: str | Path, *, overwrite: bool = False) -> None:
        """Writes a run folder: trace.parquet and summary.json. It appears whole or not at all.

        Raises:
            StoreError: something is at `path` already (unless `overwrite`), or it cannot be written.
        """
        with new_run_folder(path, overwrite=overwrite) as folder:
            self.write_into(folder)

    def write_into(self, folder: Path) -> None:
        """Writes trace.parquet and summary.json into a folder that is there."""
        write_table(folder / TABLE_NAME, self._columns(), TRACE_SCHEMA)
        write_summary(folder / SUMMARY_NAME, self.summary(), TRACE_SCHEMA)

    def _columns(self) -> dict[str, Any]:
        import pyarrow as pa

        R, L, H = next(iter(self.rows.values())).shape
        prompt_only = len(self.prompt_token_ids) - 1
        row, layer, head = (axis.reshape(-1) for axis in np.indices((R, L, H)))
        in_prompt = row < prompt_only
        columns: dict[str, Any] = {
            "row": row.astype(np.int32),
            "step": pa.array((row - prompt_only).astype(np.int32), mask=in_prompt),
            "layer": layer.astype(np.int16),
            "head": head.astype(np.int16),
        }
        columns |= {name: values.reshape(-1) for name, values in self.rows.items()}
        unmeasured = np.full((prompt_only, L, H), np.nan)
        no_matrix = in_prompt | ((row - prompt_only) % self.settings["every"] != 0)
        for prefix, metrics in ((EIGEN_PREFIX, self.metrics), (SINGULAR_PREFIX, self.singular_metrics)):
            for name, values in metrics.items():
                columns[prefix + name] = pa.array(np.concatenate((unmeasured, values)).reshape(-1), mask=no_matrix)
        return columns


def load_trace(path: str | Path) -> Trace:
    """The trace in a run folder.

    Raises:
        SchemaError: written by an incompatible version, or no run folder.
        UnreadableRunError: not there or damaged.
    """
    folder = Path(path)
    if not folder.is_dir():
        inside = f"; it is in one: {folder.parent}" if folder.is_file() and is_run_folder(folder.parent) else ""
        raise UnreadableRunError(
            f"no run folder at {folder}{inside}; expected a folder with {TABLE_NAME} and {SUMMARY_NAME}"
        )
    if not (folder / SUMMARY_NAME).is_file():
        runs = sorted(path.name for path in folder.iterdir() if is_run_folder(path))
        held = f", but runs ({', '.join(runs[:3])}{', …' if len(runs) > 3 else ''}); name them" if runs else ""
        raise UnreadableRunError(f"{folder} is no run folder{held}: it has no {SUMMARY_NAME}")
    if not (folder / TABLE_NAME).is_file():
        raise UnreadableRunError(f"{folder} is damaged: its {TABLE_NAME} is missing")
    summary = read_summary(folder / SUMMARY_NAME, TRACE_SCHEMA)
    table = read_table(folder / TABLE_NAME, TRACE_SCHEMA)
    try:
        return _trace_of(summary, table)
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise UnreadableRunError(
            f"{folder} is damaged: {TABLE_NAME} and {SUMMARY_NAME} do not fit together ({error})"
        ) from error


def _trace_of(summary: dict[str, Any], table: dict[str, Any]) -> Trace:
    check_summary(summary)
    P, S = len(summary["prompt_token_ids"]), len(summary["token_ids"])
    shape = (P + S - 1, summary["model"]["num_hidden_layers"], summary["model"]["num_attention_heads"])
    numbers = checked_numbers(table, shape, P, singular=summary["settings"]["spectrum"] == "singular")

    def with_prefix(prefix: str) -> dict[str, F64]:
        return {k.removeprefix(prefix): v[P - 1 :] for k, v in numbers.items() if k.startswith(prefix)}

    return Trace(
        model=summary["model"],
        settings=summary["settings"],
        versions=summary["versions"],
        prompt=summary["prompt"],
        prompt_token_ids=summary["prompt_token_ids"],
        prompt_tokens=summary["prompt_tokens"],
        token_ids=summary["token_ids"],
        tokens=summary["tokens"],
        stop_reason=summary["stop_reason"],
        signals={name: np.array(values, dtype=np.float64) for name, values in summary["signals"].items()},
        top_token_ids=summary["top_token_ids"],
        top_tokens=summary["top_tokens"],
        top_token_probabilities=np.array(summary["top_token_probabilities"], dtype=np.float64),
        metrics=with_prefix(EIGEN_PREFIX),
        singular_metrics=with_prefix(SINGULAR_PREFIX),
        rows={name: values for name, values in numbers.items() if "." not in name},
        loop=None if summary["loop"] is None else LoopEvent(**summary["loop"]),
    )


def _finite_mean(values: npt.NDArray[Any]) -> float:
    finite = values[np.isfinite(values)]
    return float(finite.mean()) if finite.size else float("nan")
