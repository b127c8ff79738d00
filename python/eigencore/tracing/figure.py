"""A metric of a trace over its steps, as a plotly figure."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING

import numpy as np
import plotly.graph_objects as go
from plotly.colors import sample_colorscale

from eigencore.errors import InputError, UnknownMetricError

if TYPE_CHECKING:
    import numpy.typing as npt

    from eigencore.tracing.trace import Trace


def metric_over_steps(trace: Trace, metric: str, layer: int | None) -> go.Figure:
    """See `Trace.plot`."""
    figure = go.Figure()
    if metric in trace.signals:
        if layer is not None:
            raise InputError(f"{metric} is of the output and has no layers; leave layer={layer} out")
        figure.add_trace(_line(trace, trace.signals[metric], metric, "#31688e"))
    else:
        _add_layers(figure, trace, metric, layer)
    figure.update_layout(template="plotly_white", title=_title(trace, metric), yaxis_title=metric, height=420)
    figure.update_xaxes(title="step", tickformat="d")
    if trace.loop is not None:
        first, last = trace.loop.first_copy_step, trace.num_steps - 1
        figure.add_vrect(x0=first, x1=last, fillcolor="#f4a261", opacity=0.15, line_width=0)
        line = {"color": "#e76f51", "width": 1, "dash": "dot"}
        figure.add_vline(x=trace.loop.onset_step, line=line, annotation_text="loop repeats")
    return figure


def _add_layers(figure: go.Figure, trace: Trace, metric: str, layer: int | None) -> None:
    known = trace.per_step()
    if metric not in known:
        raise UnknownMetricError(f"no metric {metric!r} in this trace; there are {', '.join([*known, *trace.signals])}")
    values = np.where(np.isfinite(known[metric]), known[metric], np.nan).astype(np.float64)
    L = values.shape[1]
    if layer is not None and not (isinstance(layer, (int, np.integer)) and 0 <= layer < L):
        raise InputError(f"layer {layer!r} is not among the {L} layers of this trace, 0 to {L - 1}")
    colours = sample_colorscale("Viridis", [i / max(L - 1, 1) for i in range(L)])
    if layer is not None:
        _add_range(figure, values[:, layer])
    of_rows = metric in trace.rows
    steps = np.arange(0, trace.num_steps, 1 if of_rows else trace.settings["every"])
    for i in range(L) if layer is None else [layer]:
        figure.add_trace(_line(trace, _mean_over_heads(values[:, i]), f"layer {i}", colours[i], steps))


def _add_range(figure: go.Figure, values_SH: npt.NDArray[np.float64]) -> None:
    """The band between the smallest and the largest head, at the steps that were measured."""
    steps = np.flatnonzero(~np.isnan(values_SH).all(-1))
    low, high = np.nanmin(values_SH[steps], axis=-1), np.nanmax(values_SH[steps], axis=-1)
    band = go.Scatter(
        x=np.concatenate((steps, steps[::-1])),
        y=np.concatenate((high, low[::-1])),
        mode="lines",
        fill="toself",
        fillcolor="rgba(49, 104, 142, 0.2)",
        line_width=0,
        hoverinfo="skip",
        name="range over heads",
    )
    figure.add_trace(band)


def _line(
    trace: Trace, y: npt.NDArray[np.float64], name: str, colour: str, steps: npt.NDArray[np.intp] | None = None
) -> go.Scatter:
    """A line over the steps measured (None: all), with gaps where a value is not finite."""
    if steps is None:
        steps = np.arange(len(y))
    # Plotly reads a subset of HTML in hover texts.
    tokens = [escape(trace.tokens[step].replace("\n", "⏎"), quote=False) for step in steps]
    return go.Scatter(
        x=steps,
        y=y[steps],
        name=name,
        line={"color": colour, "width": 1.2},
        customdata=tokens,
        hovertemplate="step %{x} «%{customdata}»: %{y:.4g}",
    )


def _mean_over_heads(values_SH: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    count = (~np.isnan(values_SH)).sum(-1)
    mean: npt.NDArray[np.float64] = np.divide(
        np.nansum(values_SH, -1), count, out=np.full(len(values_SH), np.nan), where=count > 0
    )
    return mean


def _title(trace: Trace, metric: str) -> str:
    return escape(f"{metric}, {trace.model['name']}", quote=False)
