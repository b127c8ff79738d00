from __future__ import annotations

import dataclasses
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from eigencore.report import trace_page
from eigencore.tracing import Trace
from tests.synthetic_trace import HEADS, HOSTILE_MARKUP, LAYERS, synthetic_trace

VOID = {"meta", "br", "link", "img", "input", "hr", "base"}


class PageReader(HTMLParser):
    """What a browser would make of a page: its elements, and the text below each id."""

    def __init__(self, page: str) -> None:
        super().__init__(convert_charrefs=True)
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.scripts: list[str] = []
        self.text_of_id: dict[str, str] = {}
        self.unbalanced: list[str] = []
        self._open: list[tuple[str, str | None]] = []
        self.feed(page)
        self.close()
        self.unbalanced += [tag for tag, _ in self._open]

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag == "script":
            self.scripts.append("")
        if tag not in VOID:
            self._open.append((tag, dict(attrs).get("id")))

    def handle_endtag(self, tag: str) -> None:
        if not self._open or self._open.pop()[0] != tag:
            self.unbalanced.append(tag)

    def handle_data(self, data: str) -> None:
        if self._open and self._open[-1][0] == "script":
            self.scripts[-1] += data
            return
        for _, identifier in self._open:
            if identifier is not None:
                self.text_of_id[identifier] = self.text_of_id.get(identifier, "") + data


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
    return PageReader(
        trace_page(
            dataclasses.replace(
                trace,
                model=trace.model | {"name": "m"},
                prompt="x" * len(trace.prompt_tokens),
                prompt_tokens=["x"] * len(trace.prompt_tokens),
                tokens=["x"] * trace.num_steps,
            )
        )
    )


def shown_text(trace: Trace) -> str:
    return "".join(trace.prompt_tokens) + trace.text


def test_trace_page_shows_the_text_as_it_is(reader: PageReader, trace: Trace) -> None:
    assert HOSTILE_MARKUP in shown_text(trace)
    assert reader.text_of_id["text"] == shown_text(trace)


def test_trace_page_makes_no_markup_of_the_text(reader: PageReader, innocent: PageReader) -> None:
    assert reader.unbalanced == []
    assert [tag for tag, _ in reader.elements] == [tag for tag, _ in innocent.elements]
    assert not any(script.strip() == "alert(1)" or HOSTILE_MARKUP in script for script in reader.scripts)


def test_trace_page_makes_no_attribute_of_the_text(reader: PageReader, innocent: PageReader) -> None:
    def names(read: PageReader) -> list[list[str]]:
        return [sorted(attributes) for _, attributes in read.elements]

    assert names(reader) == names(innocent)
    assert not any(name.startswith("on") for attributes in names(reader) for name in attributes)


def test_trace_page_takes_nothing_from_the_net(reader: PageReader) -> None:
    references = [
        (tag, name, value)
        for tag, attributes in reader.elements
        for name, value in attributes.items()
        if name in ("src", "href", "srcset", "data", "action", "poster", "background") or "url(" in (value or "")
    ]
    assert references == []
    assert not {"link", "iframe", "img", "object", "embed", "base"} & {tag for tag, _ in reader.elements}


def test_trace_page_has_no_import_or_url_in_its_styles(page: str) -> None:
    head = page[: page.index("<script>")]
    assert "<style>" in head
    assert not re.search(r"@import|url\(|https?:", head)


def test_trace_page_marks_the_loop(reader: PageReader, trace: Trace) -> None:
    assert trace.loop is not None
    assert [tag for tag, _ in reader.elements].count("mark") == 1
    assert reader.text_of_id["loop"] == "".join(trace.tokens[trace.loop.first_copy_step :])


def test_trace_page_without_a_loop_marks_nothing() -> None:
    trace = synthetic_trace(loop=False)
    reader = PageReader(trace_page(trace))
    assert "mark" not in [tag for tag, _ in reader.elements]
    assert "loop" not in reader.text_of_id
    assert reader.text_of_id["text"] == shown_text(trace)


@pytest.mark.parametrize("text", ["$prompt $$ ${text}", "{x} %{y} {{}}", "\\u003c \\ \\n", "]]> <!-- -->", "´`'\""])
def test_trace_page_shows_template_signs_as_they_are(text: str) -> None:
    trace = synthetic_trace()
    trace.tokens[0] = text
    reader = PageReader(trace_page(trace))
    assert reader.text_of_id["text"] == shown_text(trace)
    assert reader.unbalanced == []


def test_trace_page_has_no_phi_proximity_without_a_null_model(page: str) -> None:
    own = page[: page.index("<script>")] + page[page.index("<body>") :]
    assert "phi" not in own.lower().replace("graphi", "")
    assert "φ" not in own


def test_trace_page_is_made_where_a_metric_is_never_finite() -> None:
    trace = synthetic_trace()
    trace.metrics["condition_number"][:] = np.inf
    trace.metrics["log_abs_det"][:] = -np.inf
    assert PageReader(trace_page(trace)).unbalanced == []


DRAWN = {
    "heat-map": ".heatmaplayer image",
    "over-steps": ".scatterlayer path.js-line",
    "signals": ".scatterlayer path.js-line",
}
FIGURE = "document.querySelector('#{} .js-plotly-plot')"


def plotted(page: Any, div: str, expression: str) -> Any:
    return page.evaluate(f"() => {{ const figure = {FIGURE.format(div)}; return {expression}; }}")


def choose(page: Any, div: str, label: str) -> None:
    """Opens the menu of a figure and takes the entry with this label."""
    page.locator(f"#{div} .updatemenu-header").click()
    page.locator(f"#{div} .updatemenu-dropdown-button").get_by_text(label, exact=True).click()


def finite_mean(values: Any, axis: int) -> Any:
    return np.ma.masked_invalid(values).mean(axis).filled(np.nan)


@pytest.mark.browser
def test_trace_page_works_in_a_browser(tmp_path: Path, page: str, trace: Trace, chromium_page: Any) -> None:
    path = tmp_path / "report.html"
    path.write_text(page, encoding="utf-8")
    requests, troubles = [], []
    chromium_page.on("request", lambda request: requests.append(request.url))
    chromium_page.on("console", lambda message: troubles.append(message.text))
    chromium_page.on("pageerror", lambda error: troubles.append(str(error)))
    chromium_page.on("dialog", lambda dialog: (troubles.append(dialog.message), dialog.dismiss()))
    chromium_page.goto(path.as_uri())
    for div, shape in DRAWN.items():
        chromium_page.wait_for_selector(f"#{div} .js-plotly-plot {shape}", state="attached")

    assert chromium_page.locator(".js-plotly-plot").count() == len(DRAWN)
    assert chromium_page.locator("#text").text_content() == shown_text(trace)
    assert chromium_page.locator("#text script").count() == 0
    assert trace.loop is not None
    looped = "".join(trace.tokens[trace.loop.first_copy_step :])
    assert chromium_page.locator("#text mark").text_content() == looped

    np.testing.assert_allclose(
        heat_map_values(chromium_page), finite_mean(trace.metrics["spectral_entropy"], 0), rtol=1e-4
    )
    before = heat_map_picture(chromium_page)
    choose(chromium_page, "heat-map", "log10 of condition number")
    logs = finite_mean(np.log10(trace.metrics["condition_number"]), 0)
    np.testing.assert_allclose(heat_map_values(chromium_page), logs, rtol=1e-4)
    assert heat_map_picture(chromium_page) != before

    choose(chromium_page, "over-steps", "row entropy (bits)")
    lines = plotted(chromium_page, "over-steps", "figure.data.map(line => Array.from(line.y))")
    new_rows = trace.rows["row_entropy"][len(trace.prompt_tokens) - 1 :]
    np.testing.assert_allclose(lines, finite_mean(new_rows, 2).T, rtol=1e-4)

    for step, token in enumerate(trace.tokens[:11]):
        assert "«{}»".format(token.replace("\n", "⏎")) in hover_text(chromium_page, "over-steps", step)

    assert [url for url in requests if not url.startswith("data:")] == [path.as_uri()]
    assert troubles == []


def hover_text(page: Any, div: str, step: int) -> str:
    """What is shown beside the pointer over the first line of a figure."""
    plotted(page, div, f"Plotly.Fx.hover(figure, [{{curveNumber: 0, pointNumber: {step}}}])")
    label = page.locator(f"#{div} .hoverlayer .hovertext").first
    label.get_by_text(f"step {step} ").wait_for(state="attached")
    return str(label.text_content())


def heat_map_picture(page: Any) -> str:
    """The picture that is drawn, as a data URL."""
    return str(page.locator("#heat-map .heatmaplayer image").evaluate("image => image.href.baseVal"))


def heat_map_values(page: Any) -> Any:
    """The numbers that the heat map has been calculated from; null, where a cell has none, is NaN."""
    found = plotted(page, "heat-map", "figure.calcdata[0][0].z.map(row => Array.from(row, x => x ?? null))")
    values = np.array(found, dtype=np.float64)
    assert values.shape == (LAYERS, HEADS)
    return values
