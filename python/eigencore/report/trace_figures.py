"""The figures of a trace's page. φ-proximity is left out: high by chance, it needs a null model beside it."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import plotly.graph_objects as go
from plotly.colors import sample_colorscale
from plotly.subplots import make_subplots

from eigencore.tracing.signals import SIGNAL_DESCRIPTIONS

if TYPE_CHECKING:
    from eigencore.tracing import Trace

PAGE_METRICS = {
    "spectral_entropy": "spectral entropy (bits)",
    "normalized_entropy": "normalized entropy",
    "effective_rank": "effective rank",
    "dominant_ratio": "dominant ratio",
    "degeneracy": "degeneracy",
    "spectral_gap": "spectral gap",
    "participation_ratio": "participation ratio",
    "condition_number": "log10 of condition number",
    "log_abs_det": "log |det| (nats)",
    "row_entropy": "row entropy (bits)",
    "row_participation": "row participation",
    "self_weight": "self weight",
    "sink_weight": "sink weight",
    "max_weight": "max weight",
    "logit_std": "logit standard deviation",
}
_MENU: dict[str, Any] = {"x": 0, "xanchor": "left", "y": 1.16, "yanchor": "bottom", "direction": "down"}
_LAYOUT: dict[str, Any] = {"template": "plotly_white", "margin": {"l": 60, "r": 20, "t": 90, "b": 50}, "autosize": True}


def heat_map(trace: Trace) -> go.Figure:
    """Layer x head, mean over steps, of a metric chosen from a menu."""
    means = {name: _mean_over(values, 0) for name, values in _page_values(trace).items()}
    names = list(means)
    figure = go.Figure(
        go.Heatmap(
            z=means[names[0]],
            colorscale="Viridis",
            hovertemplate="layer %{y}, head %{x}: %{z:.4g}<extra></extra>",
        )
    )
    buttons = [
        {"label": PAGE_METRICS[name], "method": "restyle", "args": [{"z": [means[name].tolist()]}]} for name in names
    ]
    figure.update_layout(**_LAYOUT, height=420, updatemenus=[{"buttons": buttons, **_MENU}])
    figure.update_xaxes(title="head", dtick=1)
    figure.update_yaxes(title="layer", autorange="reversed", dtick=max(1, trace.model["num_hidden_layers"] // 10))
    return figure


def metrics_over_steps(trace: Trace) -> go.Figure:
    """One line per layer, mean over heads, of a metric chosen from a menu; the loop shaded."""
    means = {name: _mean_over(values, 2) for name, values in _page_values(trace).items()}
    names = list(means)
    L = means[names[0]].shape[1]
    colours = sample_colorscale("Viridis", [layer / max(L - 1, 1) for layer in range(L)])
    tokens = _visible_tokens(trace)
    lines = [
        go.Scatter(
            y=means[names[0]][:, layer],
            name=f"layer {layer}",
            line={"color": colours[layer], "width": 1.2},
            customdata=tokens,
            hovertemplate="step %{x} «%{customdata}»: %{y:.4g}",
        )
        for layer in range(L)
    ]
    figure = go.Figure(lines)
    buttons = [
        {"label": PAGE_METRICS[name], "method": "restyle", "args": [{"y": means[name].T.tolist()}]} for name in names
    ]
    figure.update_layout(**_LAYOUT, height=460, updatemenus=[{"buttons": buttons, **_MENU}])
    figure.update_xaxes(title="step")
    _shade_loop(figure, trace)
    return figure


def signals_over_steps(trace: Trace) -> go.Figure:
    """The output-side signals, one panel each; the loop shaded."""
    names = [name for name in SIGNAL_DESCRIPTIONS if name in trace.signals]
    figure = make_subplots(rows=len(names), cols=1, shared_xaxes=True, vertical_spacing=0.04, subplot_titles=names)
    tokens = _visible_tokens(trace)
    for panel, name in enumerate(names, 1):
        line = go.Scatter(
            y=trace.signals[name],
            name=name,
            line={"color": "#31688e", "width": 1.2},
            customdata=tokens,
            hovertemplate="step %{x} «%{customdata}»: %{y:.4g}<extra></extra>",
        )
        figure.add_trace(line, row=panel, col=1)
    figure.update_layout(**{**_LAYOUT, "margin": {"l": 60, "r": 20, "t": 40, "b": 50}}, height=720, showlegend=False)
    figure.update_xaxes(title="step", row=len(names), col=1)
    _shade_loop(figure, trace)
    return figure


def _page_values(trace: Trace) -> dict[str, npt.NDArray[np.float64]]:
    """Metric name -> (S, L, H), as the page shows it."""
    new_rows = {name: values[len(trace.prompt_token_ids) - 1 :] for name, values in trace.rows.items()}
    every: dict[str, npt.NDArray[Any]] = {**trace.metrics, **new_rows}
    shown = {name: every[name].astype(np.float64) for name in PAGE_METRICS if name in every}
    shown["condition_number"] = np.log10(shown["condition_number"])
    return shown


def _mean_over(values: npt.NDArray[np.float64], axis: int) -> npt.NDArray[np.float64]:
    """Mean of what is finite, NaN where nothing is, to five digits: a page is looked at, the Parquet has the rest."""
    finite = np.isfinite(values)
    count = finite.sum(axis)
    total = np.where(finite, values, 0.0).sum(axis)
    mean = np.divide(total, count, out=np.full(total.shape, np.nan), where=count > 0)
    rounded: npt.NDArray[np.float64] = np.vectorize(lambda x: float(f"{x:.5g}"), otypes=[float])(mean)
    return rounded


def _visible_tokens(trace: Trace) -> list[str]:
    # Plotly reads a subset of HTML in hover texts.
    return [escape(token.replace("\n", "⏎"), quote=False) for token in trace.tokens]


def _shade_loop(figure: go.Figure, trace: Trace) -> None:
    if trace.loop is None:
        return
    last = trace.num_steps - 1
    figure.add_vrect(x0=trace.loop.first_copy_step, x1=last, fillcolor="#f4a261", opacity=0.15, line_width=0)
    figure.add_vline(x=trace.loop.onset_step, line={"color": "#e76f51", "width": 1, "dash": "dot"})
