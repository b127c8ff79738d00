"""What results look like in a notebook: a small table with a small figure in each row, plain HTML and SVG.

Inline SVG, not plotly: it is there in every viewer, offline, in a few hundred bytes, and many results fit on a screen.
"""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt

_WIDTH, _HEIGHT, _BINS = 160, 24, 32


def table_html(caption: str, headings: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table of texts; the last column is HTML as it stands, for figures."""
    head = "".join(f"<th>{escape(heading)}</th>" for heading in headings)
    body = "".join(
        "<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in row[:-1]) + f"<td>{row[-1]}</td></tr>" for row in rows
    )
    title = f'<caption style="text-align:left">{escape(caption)}</caption>'
    return f"<table>{title}<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def sparkline(values: npt.NDArray[np.float64], mark_from: int | None = None) -> str:
    """A line over the steps (S,) through the values that are finite; from `mark_from` on, the ground is shaded."""
    x, finite = np.linspace(1, _WIDTH - 1, max(len(values), 2)), np.isfinite(values)
    path = "L".join(
        f"{x[i]:.1f} {y:.1f}" for i, y in zip(np.flatnonzero(finite), _in_the_box(values[finite]), strict=True)
    )
    shade = ""
    if mark_from is not None and mark_from < len(values):
        shade = f'<rect x="{x[mark_from]:.1f}" width="{_WIDTH - x[mark_from]:.1f}" height="{_HEIGHT}" {_SHADE}/>'
    # h0: a single value is a dot.
    line = (
        f'<path d="M{path}h0" fill="none" stroke="#31688e" stroke-width="1.5" stroke-linecap="round"/>' if path else ""
    )
    return _svg(shade + line)


def histogram(values: npt.NDArray[np.float64]) -> str:
    """Bars of how many values (any shape) lie where between the smallest and the largest; what is not finite is out."""
    finite = values[np.isfinite(values)]
    if not finite.size:
        return _svg("")
    counts = np.bincount(_bins(finite), minlength=_BINS)
    width, heights = _WIDTH / _BINS, counts / counts.max() * (_HEIGHT - 2)
    bars = "".join(
        f'<rect x="{i * width:.1f}" y="{_HEIGHT - h:.1f}" width="{width - 1:.1f}" height="{h:.1f}" fill="#31688e"/>'
        for i, h in enumerate(heights)
        if h
    )
    return _svg(bars)


_SHADE = 'fill="#f4a261" opacity="0.35"'


def _svg(content: str) -> str:
    size = f'width="{_WIDTH}" height="{_HEIGHT}" viewBox="0 0 {_WIDTH} {_HEIGHT}"'
    return f'<svg xmlns="http://www.w3.org/2000/svg" {size}>{content}</svg>'


def _shares(values: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Where finite values lie between the smallest and the largest, 0 … 1; all 0.5 where they differ by rounding."""
    low, high = values.min(initial=np.inf), values.max(initial=-np.inf)
    # Halved before the subtraction, whose result may not be finite where the values are.
    span = high / 2 - low / 2
    if not span > 1e-12 * max(abs(low), abs(high)):
        return np.full(values.shape, 0.5)
    shares: npt.NDArray[np.float64] = (values / 2 - low / 2) / span
    return shares


def _bins(values: npt.NDArray[np.float64]) -> npt.NDArray[np.intp]:
    return np.minimum((_shares(values.reshape(-1)) * _BINS).astype(np.intp), _BINS - 1)


def _in_the_box(values: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Vertical places of finite values in the figure."""
    places: npt.NDArray[np.float64] = _HEIGHT - 2 - _shares(values) * (_HEIGHT - 4)
    return places
