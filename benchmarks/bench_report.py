"""The page of a long trace of a middling model: its size, and how long until it is of use; medians over fresh tabs.

python benchmarks/bench_report.py
"""

from __future__ import annotations

import dataclasses
import shutil
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from playwright.sync_api import sync_playwright

sys.path.insert(0, str(Path(__file__).parents[1]))
from eigencore.report import trace_page
from eigencore.report.trace_page import MAX_PAGE_BYTES
from tests.conftest import CHROMIUM_ARGUMENTS
from tests.synthetic_trace import synthetic_trace

REPEATS = 7
STEPS, LAYERS, HEADS = 200, 30, 9
TEXT_DRAWN = ".token[style]"
HEAT_MAP_DRAWN = ".heat-map .heatmaplayer image"
CHOOSE_METRIC = """
async () => {
    const menu = document.querySelector("#metric");
    const started = performance.now();
    menu.value = "effective_rank";
    menu.dispatchEvent(new Event("change"));
    await new Promise((done) => requestAnimationFrame(() => setTimeout(done)));
    return (performance.now() - started) / 1000;
}
"""
PREVIEW_STEP = """
async () => {
    const token = document.querySelector('.token[data-step="17"]');
    const started = performance.now();
    token.dispatchEvent(new PointerEvent("pointerover", { bubbles: true, pointerType: "mouse" }));
    await new Promise((done) => requestAnimationFrame(() => setTimeout(done)));
    return (performance.now() - started) / 1000;
}
"""


def long_trace() -> Any:
    """STEPS x LAYERS x HEADS with both spectra, all of its numbers chance."""
    rng = np.random.default_rng(5)
    small = synthetic_trace()
    P, shape = len(small.prompt_tokens), (STEPS, LAYERS, HEADS)
    words = [f" word{step % 17}" for step in range(STEPS)]
    return dataclasses.replace(
        small,
        settings=small.settings | {"every": 1},
        tokens=words,
        token_ids=list(range(STEPS)),
        signals={name: rng.uniform(0, 5, STEPS) for name in small.signals},
        top_token_ids=[list(range(step, step + 10)) for step in range(STEPS)],
        top_tokens=[[f" next{step + k}" for k in range(10)] for step in range(STEPS)],
        top_token_probabilities=np.sort(rng.dirichlet(np.ones(12), STEPS)[:, :10])[:, ::-1].copy(),
        metrics={name: rng.uniform(0.1, 0.9, shape) for name in small.metrics},
        singular_metrics={name: rng.uniform(0.1, 0.9, shape) for name in small.singular_metrics},
        rows={name: rng.uniform(0, 2, (P + STEPS - 1, *shape[1:])).astype(np.float32) for name in small.rows},
        loop=None,
    )


def seconds_in_browser(path: Path) -> dict[str, float]:
    """Seconds until the text is coloured and the heat map drawn, for a new metric, and for a preview of a step."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=CHROMIUM_ARGUMENTS)
        page = browser.new_page(viewport={"width": 1280, "height": 900})
        started = time.perf_counter()
        page.goto(path.as_uri(), wait_until="commit")
        page.wait_for_selector(TEXT_DRAWN, state="attached")
        text_s = time.perf_counter() - started
        page.wait_for_selector(HEAT_MAP_DRAWN, state="attached")
        heat_map_s = time.perf_counter() - started
        page.wait_for_selector("html[data-ready]", state="attached")
        ready_s = time.perf_counter() - started
        page.wait_for_timeout(300)
        metric_s, preview_s = page.evaluate(CHOOSE_METRIC), page.evaluate(PREVIEW_STEP)
        browser.close()
    return {
        "text coloured": text_s,
        "heat map drawn": heat_map_s,
        "all drawn": ready_s,
        "another metric": metric_s,
        "preview of a step": preview_s,
    }


def main() -> None:
    trace = long_trace()
    started = time.perf_counter()
    page = trace_page(trace)
    print(f"page of {STEPS} x {LAYERS} x {HEADS}: {len(page.encode()) / 1e6:.2f} MB", end=" ")
    print(f"made in {time.perf_counter() - started:.2f} s")
    assert len(page.encode()) <= MAX_PAGE_BYTES
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "report.html"
        path.write_text(page, encoding="utf-8")
        runs = [seconds_in_browser(path) for _ in range(REPEATS)]
    for name in runs[0]:
        seconds = [run[name] for run in runs]
        print(f"{name}: median {statistics.median(seconds):.2f} s, max {max(seconds):.2f} s of {REPEATS}")


if __name__ == "__main__":
    main()
