"""One trace, or several side by side, as one offline HTML file."""

from __future__ import annotations

import base64
import hashlib
from functools import cache
from html import escape
from importlib.resources import files
from string import Template
from typing import TYPE_CHECKING

from plotly.offline import get_plotlyjs

from eigencore.errors import InputError
from eigencore.report.page_data import page_data

if TYPE_CHECKING:
    from collections.abc import Sequence

    from eigencore.tracing import Trace

MAX_PAGE_BYTES = 10_000_000
SCRIPTS = (
    "dom.js",
    "numbers.js",
    "runs.js",
    "colours.js",
    "store.js",
    "text_cursor.js",
    "text_view.js",
    "heat_map.js",
    "step_view.js",
    "line_charts.js",
    "heads_table.js",
    "details.js",
    "controls.js",
    "main.js",
)
"""Parts of one script, in the order in which they are joined."""


def trace_page(trace: Trace) -> str:
    """The page of a trace: no request leaves it, and nothing in the model's text becomes markup or script."""
    prompt = " ".join(trace.prompt.split())
    shortened = prompt if len(prompt) <= 60 else prompt[:59] + "…"
    return _page(f"{trace.model['name']}: {shortened}", [trace], [str(trace.model["name"])])


def comparison_page(traces: Sequence[Trace], names: Sequence[str]) -> str:
    """The page of several traces side by side, each under its name.

    Raises:
        InputError: fewer than two traces, not as many names as traces, or too many for one page.
    """
    if len(traces) < 2:
        raise InputError(f"a comparison needs at least two traces, got {len(traces)}")
    if len(names) != len(traces):
        raise InputError(f"expected as many names as traces, got {len(names)} for {len(traces)}")
    return _page(f"{len(traces)} traces compared", list(traces), list(names))


def _page(title: str, traces: list[Trace], names: list[str]) -> str:
    parts = {
        "title": escape(title),
        "policy": escape(_policy(get_plotlyjs(), _script())),
        "style": _resource("page.css"),
        "plain": "".join(_plain_run(trace, name) for trace, name in zip(traces, names, strict=True)),
        "plotly": get_plotlyjs(),
        "script": _script(),
    }
    template = Template(_resource("page.html"))
    without_data = len(template.substitute(parts, data="").encode())
    page = template.substitute(parts, data=page_data(traces, names, MAX_PAGE_BYTES - without_data))
    if len(traces) > 1 and len(page.encode()) > MAX_PAGE_BYTES:
        raise InputError(
            f"{len(traces)} traces are too many for one page of {MAX_PAGE_BYTES // 10**6} MB; compare fewer at a time"
        )
    return page


def _plain_run(trace: Trace, name: str) -> str:
    """Prompt and text for who has no JavaScript."""
    prompt, text = escape("".join(trace.prompt_tokens)), escape(trace.text)
    return f'<h2>{escape(name)}</h2><p class="plain"><span class="prompt">{prompt}</span><span>{text}</span></p>'


def _policy(*scripts: str) -> str:
    """A content security policy under which these scripts run, and nothing else."""
    digests = (base64.b64encode(hashlib.sha256(script.encode()).digest()).decode() for script in scripts)
    allowed = " ".join(f"'sha256-{digest}'" for digest in digests)
    return (
        f"default-src 'none'; script-src {allowed}; style-src 'unsafe-inline'; img-src data: blob:; base-uri 'none'; "
        "form-action 'none'"
    )


@cache
def _script() -> str:
    return '(() => {\n"use strict";\n' + "\n".join(_resource(name) for name in SCRIPTS) + "})();\n"


@cache
def _resource(name: str) -> str:
    return files("eigencore.report").joinpath("page", name).read_text(encoding="utf-8")
