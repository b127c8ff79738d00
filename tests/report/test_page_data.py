from __future__ import annotations

import base64
import dataclasses
import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from eigencore.report.metric_guide import METRIC_GUIDE
from eigencore.report.page_data import LEVELS, choose_thinning, page_data, quantise
from eigencore.tracing import Trace
from tests.synthetic_trace import HEADS, HOSTILE_MARKUP, LAYERS, synthetic_trace

PLENTY = 10**9
NUMBERS = st.floats(width=64, allow_nan=True, allow_infinity=True)


def restored(packed: dict[str, Any]) -> Any:
    """The numbers behind 16-bit codes."""
    codes = np.frombuffer(base64.b64decode(packed["codes"]), dtype="<u2").astype(int)
    shares = np.minimum(codes, LEVELS - 1) / (LEVELS - 1)
    reserved = np.array([-np.inf, np.inf, np.nan])[np.clip(codes - LEVELS, 0, 2)]
    return np.where(codes < LEVELS, packed["low"] * (1 - shares) + packed["high"] * shares, reserved)


def data_of(*traces: Trace, max_bytes: int = PLENTY) -> Any:
    return json.loads(page_data(traces, [f"run {i}" for i in range(len(traces))], max_bytes))


def lengthened(trace: Trace, times: int) -> Trace:
    """The same steps over and over."""
    P = len(trace.prompt_tokens)
    new_rows = {name: values[P - 1 :] for name, values in trace.rows.items()}
    return dataclasses.replace(
        trace,
        tokens=trace.tokens * times,
        token_ids=trace.token_ids * times,
        top_token_ids=trace.top_token_ids * times,
        top_tokens=trace.top_tokens * times,
        top_token_probabilities=np.tile(trace.top_token_probabilities, (times, 1)),
        signals={name: np.tile(values, times) for name, values in trace.signals.items()},
        metrics={name: np.tile(values, (times, 1, 1)) for name, values in trace.metrics.items()},
        singular_metrics={name: np.tile(values, (times, 1, 1)) for name, values in trace.singular_metrics.items()},
        rows={
            name: np.concatenate((values[: P - 1], np.tile(new_rows[name], (times, 1, 1))))
            for name, values in trace.rows.items()
        },
        loop=None,
    )


@given(arrays(np.float64, st.integers(0, 40), elements=NUMBERS))
def test_quantise_keeps_numbers_within_a_65000th_of_their_range(values: Any) -> None:
    back = restored(quantise(values))
    finite = np.isfinite(values)
    np.testing.assert_array_equal(back[~finite], values[~finite])
    halves = values[finite] / 2  # whose differences are finite too
    if finite.any():
        limit = np.ptp(halves) / 65000 + 4 * np.spacing(np.abs(halves).max())
        assert np.all(np.abs(back[finite] / 2 - halves) <= limit)


def test_quantise_is_exact_at_both_ends() -> None:
    values = np.array([0.1, 0.7, -3.3])
    assert restored(quantise(values))[1:].tolist() == [0.7, -3.3]


def test_page_data_holds_the_numbers_of_the_trace() -> None:
    trace = synthetic_trace()
    metrics = data_of(trace)["runs"][0]["metrics"]
    for name, values in trace.per_step().items():
        if "phi" in name:
            assert name not in metrics
            continue
        shown = np.log10(values) if "condition_number" in name else values
        measured = shown[:: metrics[name]["every"]]
        finite = measured[np.isfinite(measured)]
        back = restored(metrics[name]).reshape(measured.shape)
        np.testing.assert_allclose(back, measured, rtol=0, atol=np.ptp(finite) / 65000)


def test_page_data_leaves_out_steps_that_were_not_measured() -> None:
    trace = synthetic_trace()
    metrics = data_of(trace)["runs"][0]["metrics"]
    assert trace.settings["every"] == 2
    assert {entry.name: metrics[entry.name]["every"] for entry in METRIC_GUIDE if entry.name in metrics} == {
        entry.name: 1 if entry.group == "row" else 2 for entry in METRIC_GUIDE if entry.group != "output"
    }


def test_page_data_thins_out_what_does_not_fit() -> None:
    trace = lengthened(synthetic_trace(), 20)
    whole = page_data([trace], ["a"], PLENTY)
    texts_only = len(page_data([trace], ["a"], 0))
    budget = (len(whole) + texts_only) // 2
    thinned = page_data([trace], ["a"], budget)
    assert budget / 2 < len(thinned) <= budget
    run = json.loads(thinned)["runs"][0]
    assert run["thinning"] > 1
    stride = run["metrics"]["row_entropy"]["every"]
    assert stride == run["thinning"]
    assert run["metrics"]["spectral_entropy"]["every"] % trace.settings["every"] == 0
    new_rows = trace.per_step()["row_entropy"][::stride]
    np.testing.assert_allclose(restored(run["metrics"]["row_entropy"]).reshape(new_rows.shape), new_rows, atol=1e-4)


def test_choose_thinning_keeps_at_least_one_step() -> None:
    trace = synthetic_trace()
    assert choose_thinning([trace], 0) == trace.num_steps
    metrics = data_of(trace, max_bytes=0)["runs"][0]["metrics"]
    assert restored(metrics["row_entropy"]).size == LAYERS * HEADS


def test_choose_thinning_is_shared_by_runs() -> None:
    trace = synthetic_trace()
    one = choose_thinning([trace], 9000)
    assert choose_thinning([trace, trace], 9000) > one
    assert choose_thinning([trace, trace], 18000) == one


@pytest.mark.parametrize("text", ["</script>", "<!--", "]]>", "\u2028\u2029", '"\\', "&lt;", "👩‍👩‍👧", "\x00"])
def test_page_data_is_json_that_cannot_be_markup(text: str) -> None:
    trace = synthetic_trace()
    trace.tokens[0] = text
    written = page_data([trace], [text], PLENTY)
    assert written.isascii()
    assert not set("<>&") & set(written)
    run = json.loads(written)["runs"][0]
    assert run["tokens"][0] == run["name"] == text
    assert HOSTILE_MARKUP in run["tokens"]


def test_page_data_knows_which_of_the_top_tokens_was_written() -> None:
    trace = synthetic_trace()
    trace.top_token_ids[1], trace.top_token_ids[2] = [5, 6, trace.token_ids[1]], [5, 6, 7]
    run = data_of(trace)["runs"][0]
    assert run["chosenRanks"][:3] == [0, 2, None]
    assert [run["texts"][number] for number in run["topTokens"][3]] == trace.top_tokens[3]


def test_page_data_is_made_where_a_metric_is_never_finite() -> None:
    trace = synthetic_trace()
    trace.metrics["condition_number"][:] = np.inf
    trace.metrics["log_abs_det"][:] = np.nan
    metrics = data_of(trace)["runs"][0]["metrics"]
    assert np.all(restored(metrics["condition_number"]) == np.inf)
    assert np.isnan(restored(metrics["log_abs_det"])).all()


def test_metric_guide_says_something_of_each_number() -> None:
    assert len({entry.label for entry in METRIC_GUIDE}) == len({entry.name for entry in METRIC_GUIDE})
    for entry in METRIC_GUIDE:
        assert entry.says.endswith(".")
        assert entry.says_not.endswith(".")
    trace = synthetic_trace()
    known = {entry.name for entry in METRIC_GUIDE}
    unknown = set(trace.per_step()) | set(trace.signals)
    assert unknown - known == {"phi_proximity", "singular.phi_proximity"}
