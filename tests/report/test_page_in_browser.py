from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from eigencore.report import comparison_page, trace_page
from eigencore.tracing import Trace
from tests.synthetic_trace import HEADS, LAYERS, synthetic_trace

pytestmark = pytest.mark.browser
DRAWN = ".heat-map .heatmaplayer image"
PALE, DEEP = 200, 60


@pytest.fixture(scope="module")
def trace() -> Trace:
    return synthetic_trace()


@pytest.fixture
def opened(tmp_path: Path, chromium_page: Any) -> Iterator[Callable[[str], Any]]:
    """Opens a page; at the end no script may have complained, and nothing may have been asked of the net."""
    path = tmp_path / "report.html"
    requests: list[str] = []
    troubles: list[str] = []
    chromium_page.on("request", lambda request: requests.append(request.url))
    chromium_page.on("console", lambda message: troubles.append(message.text))
    chromium_page.on("pageerror", lambda error: troubles.append(str(error)))
    chromium_page.on("dialog", lambda dialog: (troubles.append(dialog.message), dialog.dismiss()))

    def open_page(text: str) -> Any:
        path.write_text(text, encoding="utf-8")
        chromium_page.goto(path.as_uri())
        chromium_page.wait_for_selector("html[data-ready]", state="attached")
        chromium_page.wait_for_selector(DRAWN, state="attached")
        return chromium_page

    yield open_page
    assert troubles == []
    assert {url for url in requests if not url.startswith(("data:", "blob:"))} == {path.as_uri()}


def drawn_frames(page: Any) -> None:
    """Waits until what has been chosen is drawn."""
    page.evaluate("() => new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))")


def choose_metric(page: Any, name: str) -> None:
    page.select_option("#metric", name)
    drawn_frames(page)


def heat_map_numbers(page: Any, run: int = 0) -> Any:
    """What the heat map has been drawn from; null, where a cell has none, is NaN."""
    map_of_run = f"document.querySelectorAll('.heat-map')[{run}]"
    found = page.evaluate(f"() => {map_of_run}.data[0].z.map(row => Array.from(row, x => x ?? null))")
    values = np.array(found, dtype=np.float64)
    assert values.shape == (LAYERS, HEADS)
    return values


def assert_near(found: Any, values: Any, all_values: Any) -> None:
    """Within what 16 bits over the range of all values can tell."""
    finite = all_values[np.isfinite(all_values)]
    np.testing.assert_allclose(found, values, rtol=0, atol=np.ptp(finite) / 65000)


def token(page: Any, step: int) -> Any:
    return page.locator(f'.token[data-step="{step}"]')


def brightness(page: Any, selector: str) -> float:
    colour = page.locator(selector).first.evaluate("node => getComputedStyle(node).backgroundColor")
    return float(np.mean([float(part) for part in re.findall(r"[\d.]+", colour)[:3]]))


def test_page_shows_hostile_text_as_text(opened: Any, trace: Trace) -> None:
    page = opened(trace_page(trace))
    assert page.locator(".trace-text").text_content() == "".join(trace.prompt_tokens) + trace.text
    assert page.locator(".trace-text script, .trace-text b, .trace-text i").count() == 0
    assert page.locator("h1").text_content() == f"Trace of {trace.model['name']}"
    for step in range(11):
        token(page, step).hover()
        drawn_frames(page)
        shown = trace.tokens[step].replace("\n", "⏎")
        assert page.locator(".tooltip div").first.text_content() == f"“{shown}”"
        assert page.locator(".step-title").text_content() == f"Step {step} “{shown}”"
    chart = page.locator(".signal-chart")
    for step in (1, 5, 6, 9, 10):
        chart.evaluate(f"node => Plotly.Fx.hover(node, [{{curveNumber: 0, pointNumber: {step}}}])")
        label = chart.locator(".hoverlayer .hovertext").first
        label.get_by_text(f"step {step} ").wait_for(state="attached")
        assert f"“{trace.tokens[step]}”" in label.text_content()


def test_page_shows_the_step_of_the_token_clicked(opened: Any, trace: Trace) -> None:
    page = opened(trace_page(trace))
    values = trace.per_step()
    choose_metric(page, "effective_rank")
    token(page, 6).click()
    drawn_frames(page)
    assert page.locator(".heat-map").get_attribute("data-metric") == "effective_rank"
    assert page.locator(".heat-map").get_attribute("data-step") == "6"
    assert_near(heat_map_numbers(page), values["effective_rank"][6], values["effective_rank"])
    assert token(page, 6).get_attribute("aria-selected") == "true"
    assert page.locator("#step-number").input_value() == "6"
    shown = page.locator('.step-view tr[data-metric="sink_weight"] td').all_text_contents()
    row = values["sink_weight"][6]
    np.testing.assert_allclose([float(x) for x in shown], [row.mean(), row.min(), row.max()], rtol=2e-3)
    probabilities = [float(x.removesuffix(" %")) for x in page.locator(".bar-value").all_text_contents()]
    np.testing.assert_allclose(probabilities, 100 * trace.top_token_probabilities[6], atol=0.051)
    assert page.locator(".next-tokens .chosen .bar-token").text_content() == trace.tokens[6]
    signals = dict(
        zip(
            page.locator(".signals dt").all_text_contents(),
            page.locator(".signals dd").all_text_contents(),
            strict=True,
        )
    )
    assert signals["Surprisal"] == f"{trace.signals['surprisal'][6]:.3f} bits"


def test_page_previews_the_step_pointed_at_and_returns(opened: Any, trace: Trace) -> None:
    page = opened(trace_page(trace))
    token(page, 4).click()
    token(page, 8).hover()
    drawn_frames(page)
    assert page.locator(".step-view").get_attribute("data-step") == "8"
    assert page.locator("#step-number").input_value() == "4"
    page.locator("h1").hover()
    drawn_frames(page)
    assert page.locator(".step-view").get_attribute("data-step") == "4"
    assert page.locator(".tooltip").is_hidden()


def test_page_says_where_a_step_was_not_measured(opened: Any, trace: Trace) -> None:
    page = opened(trace_page(trace))
    choose_metric(page, "singular.stable_rank")
    token(page, 9).click()
    drawn_frames(page)
    values = trace.per_step()["singular.stable_rank"]
    assert np.isnan(values[9]).all()
    assert page.locator(".heat-map").get_attribute("data-step") == "8"
    assert_near(heat_map_numbers(page), values[8], values)
    assert "of step 8" in page.locator(".tooltip").text_content()
    assert "every 2nd step" in page.locator(".thinning").text_content()
    assert page.locator('.step-view tr[data-metric="row_entropy"]').is_visible()


def test_page_shows_infinities_and_logarithms(opened: Any, trace: Trace) -> None:
    page = opened(trace_page(trace))
    choose_metric(page, "condition_number")
    token(page, 2).click()
    drawn_frames(page)
    logs = np.log10(trace.metrics["condition_number"])
    found = heat_map_numbers(page)
    finite = np.isfinite(logs[2])
    assert_near(found[finite], logs[2][finite], logs)
    assert page.locator(".heat-map .heatmap-label").get_by_text("∞").count() == 2
    token(page, 0).click()
    drawn_frames(page)
    assert np.isnan(heat_map_numbers(page)[logs[0] != np.inf]).all()


def test_page_means_over_steps(opened: Any, trace: Trace) -> None:
    page = opened(trace_page(trace))
    choose_metric(page, "row_entropy")
    page.get_by_label("mean over steps").check()
    drawn_frames(page)
    values = trace.per_step()["row_entropy"]
    assert page.locator(".heat-map").get_attribute("data-step") == "mean"
    assert_near(heat_map_numbers(page), values.mean(0), values)
    lines = page.evaluate(
        "() => document.querySelector('.metric-chart').data.map(line => [line.name, Array.from(line.y)])"
    )
    named = dict(lines)
    for layer in range(LAYERS):
        assert_near(named[f"layer {layer}"], values[:, layer].mean(1), values)
    assert_near(named["chosen"], values.mean((1, 2)), values)


def test_page_follows_the_head_chosen(opened: Any, trace: Trace) -> None:
    page = opened(trace_page(trace))
    choose_metric(page, "self_weight")
    area = page.locator(".heat-map .nsewdrag")
    box = area.bounding_box()
    area.click(position={"x": box["width"] * 2.5 / HEADS, "y": box["height"] * 1.5 / LAYERS})
    drawn_frames(page)
    assert (page.locator("#layer").input_value(), page.locator("#head").input_value()) == ("1", "2")
    assert page.locator('.heads tr[aria-selected="true"]').get_attribute("data-head") == "2"
    values = trace.per_step()["self_weight"]
    line = page.evaluate("() => Array.from(document.querySelector('.metric-chart').data.at(-1).y)")
    assert_near(line, values[:, 1, 2], values)
    page.locator("#clear").click()
    drawn_frames(page)
    assert page.locator('.heads tr[aria-selected="true"]').count() == 0
    page.locator('.heads tr[data-layer="0"][data-head="1"]').click()
    drawn_frames(page)
    assert (page.locator("#layer").input_value(), page.locator("#head").input_value()) == ("0", "1")


def test_page_works_by_keyboard(opened: Any, trace: Trace) -> None:
    page = opened(trace_page(trace))
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.textContent") == "Skip to the text"
    page.keyboard.press("Enter")
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.getAttribute('role')") == "listbox"
    last = trace.num_steps - 1
    for key, step in (("Home", 0), ("ArrowRight", 1), ("ArrowRight", 2), ("ArrowLeft", 1), ("End", last)):
        page.keyboard.press(key)
        drawn_frames(page)
        assert page.evaluate("document.activeElement.getAttribute('aria-activedescendant')") == f"run-0-token-{step}"
        assert page.locator(".step-view").get_attribute("data-step") == str(step)
    page.keyboard.press("Home")
    page.keyboard.press("Enter")
    page.keyboard.press("Tab")
    drawn_frames(page)
    assert page.locator("#step-number").input_value() == "0"
    assert page.locator(".step-view").get_attribute("data-step") == "0"
    page.locator(".heads tbody tr").first.focus()
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    drawn_frames(page)
    assert (page.locator("#layer").input_value(), page.locator("#head").input_value()) == ("0", "1")
    page.locator("#next").focus()
    page.keyboard.press("Enter")
    drawn_frames(page)
    assert token(page, 1).get_attribute("aria-selected") == "true"


def test_page_sorts_the_heads(opened: Any, trace: Trace) -> None:
    page = opened(trace_page(trace))
    means = trace.per_step()["row_entropy"].mean(0).reshape(-1)
    header = page.locator('.heads th[data-metric="row_entropy"]')
    for direction, order in (("descending", np.argsort(-means)), ("ascending", np.argsort(means))):
        header.locator("button").click()
        assert header.get_attribute("aria-sort") == direction
        rows = page.locator(".heads tbody tr").evaluate_all(
            "rows => rows.map(row => [row.dataset.layer, row.dataset.head])"
        )
        assert [int(layer) * HEADS + int(head) for layer, head in rows] == order.tolist()
    token(page, 3).click()
    drawn_frames(page)
    assert page.locator(".heads th").last.text_content() == "Row entropy at step 3 bits"
    last = [float(cell) for cell in page.locator(".heads td:last-child").all_text_contents()]
    np.testing.assert_allclose(last, trace.per_step()["row_entropy"][3].reshape(-1)[np.argsort(means)], rtol=2e-3)
    assert page.locator('.heads th[aria-sort="none"]').count() == page.locator(".heads th").count() - 1


def test_page_links_the_loop_with_the_text_and_the_charts(opened: Any, trace: Trace) -> None:
    page = opened(trace_page(trace))
    assert trace.loop is not None
    first, onset = trace.loop.first_copy_step, trace.loop.onset_step
    assert page.locator("#run-0-loop-first").text_content() == "".join(trace.tokens[first:onset])
    assert page.locator("#run-0-loop-repeats").text_content() == "".join(trace.tokens[onset:])
    page.locator(".loop-sentence a").get_by_text("repeats from step").click()
    drawn_frames(page)
    assert page.locator("#step-number").input_value() == str(onset)
    assert page.evaluate("document.activeElement.id") == "run-0-loop-repeats"
    page.locator(".metric-chart .annotation-text-g").get_by_text("first copy").click()
    drawn_frames(page)
    assert page.locator("#step-number").input_value() == str(first)
    page.locator(".metric-chart .nsewdrag").click(position={"x": 3, "y": 30})
    drawn_frames(page)
    assert page.locator("#step-number").input_value() == "0"


def test_page_without_a_loop_marks_none(opened: Any) -> None:
    page = opened(trace_page(synthetic_trace(loop=False)))
    assert page.locator(".trace-text .loop").count() == 0
    assert page.locator(".loop-sentence").text_content() == "no loop at the end"


def test_page_says_what_metrics_say_and_that_a_trace_is_partial(opened: Any, trace: Trace) -> None:
    object.__setattr__(partial := synthetic_trace(), "stop_reason", "interrupted")
    page = opened(trace_page(partial))
    assert "PARTIAL" in page.locator(".summary .partial").text_content()
    for name, word in (("sink_weight", "first token"), ("surprisal", "certain"), ("spectral_gap", "second largest")):
        choose_metric(page, name)
        assert word in page.locator(".sentence").text_content()
        assert "It does not say:" in page.locator(".sentence").text_content()
    assert page.locator(".trace-text").get_attribute("data-metric") == "spectral_gap"


@pytest.mark.parametrize("width", [600, 1280])
def test_page_fits_its_width(opened: Any, trace: Trace, chromium_page: Any, width: int) -> None:
    chromium_page.set_viewport_size({"width": width, "height": 900})
    page = opened(comparison_page([trace, synthetic_trace(rng_seed=1)], ["a" * 90, "b"]))
    page.evaluate("document.querySelectorAll('details').forEach(node => { node.open = true; })")
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    opened(trace_page(trace))
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert page.locator(".metric-chart").bounding_box()["width"] > 0.7 * width


def test_page_changes_with_the_theme(opened: Any, trace: Trace, chromium_page: Any) -> None:
    page = opened(trace_page(trace))
    picture = page.locator(DRAWN).first.get_attribute("href")
    assert brightness(page, "body") > PALE
    page.emulate_media(color_scheme="dark")
    drawn_frames(page)
    assert brightness(page, "body") < DEEP
    assert page.locator(DRAWN).first.get_attribute("href") != picture
    assert contrast_of_tokens(page) >= 4.5
    page.emulate_media(color_scheme="light")
    drawn_frames(page)
    assert page.locator(DRAWN).first.get_attribute("href") == picture
    assert contrast_of_tokens(page) >= 4.5


def contrast_of_tokens(page: Any) -> float:
    """The least contrast between a token's ink and what is behind it, as WCAG counts."""
    pairs = page.locator(".token:not(.missing)").evaluate_all(
        "nodes => nodes.map(getComputedStyle).map(style => [style.color, style.backgroundColor])"
    )

    def luminance(colour: str) -> float:
        channels = [int(part) / 255 for part in re.findall(r"\d+", colour)[:3]]
        linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
        return float(np.dot(linear, [0.2126, 0.7152, 0.0722]))

    lights = [sorted((luminance(ink), luminance(behind))) for ink, behind in pairs]
    return min((light + 0.05) / (dark + 0.05) for dark, light in lights)


def test_page_prints_in_the_light_with_all_open(opened: Any, trace: Trace, chromium_page: Any) -> None:
    chromium_page.emulate_media(color_scheme="dark")
    page = opened(trace_page(trace))
    page.evaluate("window.dispatchEvent(new Event('beforeprint'))")
    page.emulate_media(media="print", color_scheme="dark")
    assert brightness(page, "html.printing .token[style]") > DEEP
    assert page.locator("details:not([open])").count() == 0
    assert page.locator(".control-row").is_hidden()
    assert page.locator(".metric-chart .main-svg").first.bounding_box()["width"] <= 690
    page.emulate_media(media="screen", color_scheme="dark")
    page.evaluate("window.dispatchEvent(new Event('afterprint'))")
    assert page.locator("details[open]").count() == 0


def test_page_lets_no_foreign_script_run(tmp_path: Path, chromium_page: Any) -> None:
    path = tmp_path / "report.html"
    path.write_text(trace_page(synthetic_trace()), encoding="utf-8")
    chromium_page.goto(path.as_uri())
    chromium_page.evaluate(
        """() => {
            const script = document.createElement("script");
            script.textContent = "document.title = 'taken over'";
            window.addEventListener("securitypolicyviolation", () => { document.body.dataset.refused = "true"; });
            document.body.append(script);
        }"""
    )
    chromium_page.wait_for_selector("body[data-refused]")
    assert chromium_page.title() != "taken over"
    assert chromium_page.title().startswith("synthetic <model> & co: Say")


def test_comparison_page_shares_metric_step_and_ranges(opened: Any, trace: Trace) -> None:
    other = synthetic_trace(loop=False, rng_seed=3)
    page = opened(comparison_page([trace, other], ["first run", "second <i>run</i>"]))
    assert page.locator(".run h2").all_text_contents() == ["first run", "second <i>run</i>"]
    choose_metric(page, "participation_ratio")
    page.fill("#step-number", "12")
    page.keyboard.press("Enter")
    drawn_frames(page)
    last = other.num_steps - 1
    assert page.locator(".step-view").evaluate_all("nodes => nodes.map(node => node.dataset.step)") == ["12", str(last)]
    assert last % 2 == 1
    for run, (one, step) in enumerate(((trace, 12), (other, last - 1))):
        values = one.per_step()["participation_ratio"]
        assert_near(heat_map_numbers(page, run), values[step], values)
    ranges = page.locator(".heat-map").evaluate_all(
        "nodes => nodes.map(node => [node.data[0].zmin, node.data[0].zmax])"
    )
    assert ranges[0] == ranges[1]
    heights = page.locator(".metric-chart").evaluate_all("nodes => nodes.map(node => node.layout.yaxis.range)")
    assert heights[0] == heights[1]
    differing = page.locator("header .facts tr.differs").all_text_contents()
    assert any("loop" in row for row in differing)
    assert not any("seed" in row for row in differing)
