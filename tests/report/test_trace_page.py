from __future__ import annotations

import base64
import dataclasses
import hashlib
import json
import re
from typing import Any

import numpy as np
import pytest

from eigencore.errors import InputError
from eigencore.report import comparison_page, trace_page
from eigencore.report.trace_page import MAX_PAGE_BYTES
from eigencore.tracing import Trace
from tests.report.page_reader import PageReader
from tests.report.test_page_data import lengthened
from tests.synthetic_trace import HOSTILE_MARKUP, synthetic_trace


@pytest.fixture(scope="module")
def trace() -> Trace:
    return synthetic_trace()


@pytest.fixture(scope="module")
def page(trace: Trace) -> str:
    return trace_page(trace)


@pytest.fixture(scope="module")
def reader(page: str) -> PageReader:
    return PageReader(page)


@pytest.fixture(scope="module")
def innocent() -> PageReader:
    """The page of a trace with the same numbers, in which no text looks like markup."""
    trace = synthetic_trace()
    harmless = dataclasses.replace(
        trace,
        model=trace.model | {"name": "m"},
        prompt="x" * len(trace.prompt_tokens),
        prompt_tokens=["x"] * len(trace.prompt_tokens),
        tokens=["x"] * trace.num_steps,
    )
    return PageReader(trace_page(harmless))


def shown_text(trace: Trace) -> str:
    return "".join(trace.prompt_tokens) + trace.text


def embedded(reader: PageReader) -> Any:
    return json.loads(reader.text_of_id["data"])


def policy(reader: PageReader) -> str:
    (found,) = [a["content"] for a in reader.attributes_of("meta") if a.get("http-equiv") == "Content-Security-Policy"]
    return str(found)


def test_trace_page_shows_the_text_as_it_is_without_javascript(reader: PageReader, trace: Trace) -> None:
    assert HOSTILE_MARKUP in shown_text(trace)
    assert reader.text_of_id["plain"] == trace.model["name"] + shown_text(trace)


def test_trace_page_embeds_the_text_as_it_is(reader: PageReader, trace: Trace) -> None:
    (run,) = embedded(reader)["runs"]
    assert run["promptTokens"] == trace.prompt_tokens
    assert run["tokens"] == trace.tokens


def test_trace_page_makes_no_markup_of_the_text(reader: PageReader, innocent: PageReader) -> None:
    assert reader.unbalanced == []
    assert reader.tags == innocent.tags
    assert not any(script.strip() == "alert(1)" or HOSTILE_MARKUP in script for script in reader.scripts)


def test_trace_page_makes_no_attribute_of_the_text(reader: PageReader, innocent: PageReader) -> None:
    assert [attributes for _, attributes in reader.elements] == [attributes for _, attributes in innocent.elements]
    assert not any(name.startswith("on") for _, attributes in reader.elements for name in attributes)


def test_trace_page_takes_nothing_from_the_net(reader: PageReader) -> None:
    references = [
        (tag, name, value)
        for tag, attributes in reader.elements
        for name, value in attributes.items()
        if name in ("src", "href", "srcset", "data", "action", "poster", "background") or "url(" in (value or "")
    ]
    assert references == [("link", "href", "data:,"), ("a", "href", "#run-0-text")]
    assert not {"iframe", "img", "object", "embed", "base"} & set(reader.tags)


def test_trace_page_has_no_import_or_url_in_its_styles(page: str) -> None:
    styles = page[page.index("<style>") : page.index("</style>")]
    assert not re.search(r"@import|url\(|https?:", styles)


def test_trace_page_allows_its_own_scripts_and_no_other(reader: PageReader) -> None:
    data, *scripts = reader.scripts
    assert json.loads(data)
    digests = {base64.b64encode(hashlib.sha256(script.encode()).digest()).decode() for script in scripts}
    directives = dict(directive.split(" ", 1) for directive in policy(reader).split("; "))
    assert directives["default-src"] == "'none'"
    assert set(directives["script-src"].split()) == {f"'sha256-{digest}'" for digest in digests}


def test_trace_page_parses_no_text_as_markup(reader: PageReader) -> None:
    assert not re.search(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\b", reader.scripts[-1])


@pytest.mark.parametrize("text", ["$prompt $$ ${text}", "{x} %{y} {{}}", "\\u003c \\ \\n", "]]> <!-- -->", "´`'\""])
def test_trace_page_shows_template_signs_as_they_are(text: str) -> None:
    trace = synthetic_trace()
    trace.tokens[0] = text
    reader = PageReader(trace_page(trace))
    assert reader.text_of_id["plain"].endswith(shown_text(trace))
    assert embedded(reader)["runs"][0]["tokens"][0] == text
    assert reader.unbalanced == []


def test_trace_page_has_no_phi_proximity_without_a_null_model(page: str, reader: PageReader) -> None:
    plotly = max(reader.scripts, key=len)
    own = page.replace(plotly, "")
    own = re.sub(r'"codes":"[^"]*"', "", own)
    assert "phi" not in own.lower().replace("graphi", "")
    assert "φ" not in own


def test_trace_page_is_made_where_a_metric_is_never_finite() -> None:
    trace = synthetic_trace()
    trace.metrics["condition_number"][:] = np.inf
    trace.metrics["log_abs_det"][:] = -np.inf
    assert PageReader(trace_page(trace)).unbalanced == []


def test_trace_page_stays_within_its_bytes(trace: Trace) -> None:
    page = trace_page(lengthened(trace, 1500))
    assert 0.8 * MAX_PAGE_BYTES < len(page.encode()) <= MAX_PAGE_BYTES


def test_trace_page_of_200_steps_and_270_heads_leaves_no_step_out() -> None:
    reader = PageReader(page := trace_page(middling_trace()))
    assert len(page.encode()) <= MAX_PAGE_BYTES
    assert embedded(reader)["runs"][0]["thinning"] == 1


def middling_trace() -> Trace:
    """200 steps, 30 layers, 9 heads, both spectra at every step."""
    rng = np.random.default_rng(0)
    trace = lengthened(synthetic_trace(loop=False), 25)
    assert trace.num_steps == 200
    rows = 200 + len(trace.prompt_tokens) - 1
    return dataclasses.replace(
        trace,
        settings=trace.settings | {"every": 1},
        metrics={name: rng.uniform(0.1, 0.9, (200, 30, 9)) for name in trace.metrics},
        singular_metrics={name: rng.uniform(0.1, 0.9, (200, 30, 9)) for name in trace.singular_metrics},
        rows={name: rng.uniform(0, 2, (rows, 30, 9)).astype(np.float32) for name in trace.rows},
    )


def test_comparison_page_shows_each_run_under_its_name(trace: Trace) -> None:
    other = synthetic_trace(loop=False)
    reader = PageReader(comparison_page([trace, other], ["<b>one</b>", "two"]))
    assert reader.unbalanced == []
    assert "b" not in reader.tags
    assert reader.text_of_id["plain"] == f"<b>one</b>{shown_text(trace)}two{shown_text(other)}"
    assert [run["name"] for run in embedded(reader)["runs"]] == ["<b>one</b>", "two"]


def test_comparison_page_needs_two_traces_and_their_names(trace: Trace) -> None:
    with pytest.raises(InputError, match="at least two traces, got 1"):
        comparison_page([trace], ["a"])
    with pytest.raises(InputError, match="got 1 for 2"):
        comparison_page([trace, trace], ["a"])
