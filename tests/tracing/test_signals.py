from __future__ import annotations

import math

import numpy as np
import pytest
import scipy.special
import scipy.stats
import torch
from hypothesis import given
from hypothesis import strategies as st

from eigencore.tracing.signals import OUTPUT_SIGNALS, SIGNAL_DESCRIPTIONS, output_signals, repetition_4gram

EPS = np.finfo(np.float64).eps


def signals_of(logits: torch.Tensor, token_id: int = 0) -> dict[str, float]:
    return dict(zip(OUTPUT_SIGNALS, output_signals(logits, torch.tensor(token_id)).tolist(), strict=True))


def signals_by_scipy(logits: torch.Tensor, token_id: int) -> dict[str, float]:
    x = logits.to(torch.float64).numpy()
    log_p = scipy.special.log_softmax(x)
    descending = np.sort(x)[::-1]
    return {
        "next_token_entropy": float(scipy.stats.entropy(scipy.special.softmax(x), base=2)),
        "top1_probability": float(np.exp(log_p.max())),
        "margin": float(descending[0] - descending[1]),
        "surprisal": float(-log_p[token_id] / math.log(2)),
    }


def assert_equal_to_scipy(logits: torch.Tensor, token_id: int) -> None:
    expected = signals_by_scipy(logits, token_id)
    size = float(logits[torch.isfinite(logits)].abs().max()) + math.log2(len(logits)) + 1
    for name, value in signals_of(logits, token_id).items():
        assert value == pytest.approx(expected[name], rel=0, abs=64 * EPS * size), name


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16, torch.float16])
@pytest.mark.parametrize("scale", [1e-3, 1.0, 30.0])
def test_output_signals_equal_scipy(dtype: torch.dtype, scale: float) -> None:
    logits = (scale * torch.randn(2048, generator=torch.Generator().manual_seed(0), dtype=torch.float64)).to(dtype)
    for token_id in (0, 17, int(logits.argmax()), int(logits.argmin())):
        assert_equal_to_scipy(logits, token_id)


@pytest.mark.parametrize(
    "values",
    [
        [60000.0, -60000.0, 0.0, 59999.0],
        [1e30, 1e30, -1e30],
        [1e-300, 0.0, -1e-300, 5e-324],
        [800.0, 0.0, 0.0],
    ],
)
def test_output_signals_equal_scipy_on_extreme_logits(values: list[float]) -> None:
    for token_id in range(len(values)):
        assert_equal_to_scipy(torch.tensor(values, dtype=torch.float64), token_id)


def test_output_signals_with_impossible_tokens_are_those_of_the_possible_ones() -> None:
    possible = torch.tensor([2.0, -1.0, 0.5, 1.25])
    logits = torch.full((50,), -math.inf)
    logits[10:14] = possible
    assert signals_of(logits, 12) == pytest.approx(signals_of(possible, 2), rel=16 * EPS)


def test_output_signals_of_one_possible_token_have_no_entropy() -> None:
    found = signals_of(torch.tensor([-math.inf, 3.0, -math.inf]), 1)
    assert (found["next_token_entropy"], found["top1_probability"], found["surprisal"]) == (0, 1, 0)
    assert found["margin"] == math.inf


@pytest.mark.parametrize("size", [2, 1000, 49152])
def test_output_signals_of_equal_logits_are_those_of_a_fair_die(size: int) -> None:
    found = signals_of(torch.full((size,), -7.5), size - 1)
    expected = {
        "next_token_entropy": math.log2(size),
        "top1_probability": 1 / size,
        "margin": 0,
        "surprisal": math.log2(size),
    }
    assert found == pytest.approx(expected, rel=size * EPS)


@given(
    logits=st.lists(st.floats(-50, 50), min_size=2, max_size=40),
    shift=st.floats(-1000, 1000),
    impossible=st.integers(0, 39),
)
def test_output_signals_stay_in_range_and_forget_a_common_shift(
    logits: list[float], shift: float, impossible: int
) -> None:
    x = torch.tensor(logits, dtype=torch.float64)
    if impossible < len(logits) - 2:
        x[impossible] = -math.inf
    found = signals_of(x, len(logits) - 1)
    assert 0 <= found["next_token_entropy"] <= math.log2(len(logits)) * (1 + 16 * EPS)
    assert 1 / len(logits) * (1 - 16 * EPS) <= found["top1_probability"] <= 1
    assert found["margin"] >= 0
    assert found["surprisal"] >= 0
    assert signals_of(x + shift, len(logits) - 1) == pytest.approx(found, rel=1e3 * EPS, abs=64 * EPS * 1050)


def test_output_signals_are_float64_and_described() -> None:
    assert output_signals(torch.zeros(4, dtype=torch.bfloat16), torch.tensor(1)).dtype == torch.float64
    assert set(OUTPUT_SIGNALS) | {"repetition_4gram"} == set(SIGNAL_DESCRIPTIONS)


def repeated_share(ids: list[int]) -> float:
    grams = [f"{a},{b},{c},{d}" for a, b, c, d in zip(ids, ids[1:], ids[2:], ids[3:], strict=False)]
    return float("nan") if not grams else (len(grams) - len(set(grams))) / len(grams)


@given(st.lists(st.integers(0, 2), max_size=60))
def test_repetition_4gram_equals_the_sets_of_every_prefix(ids: list[int]) -> None:
    expected = [repeated_share(ids[: end + 1]) for end in range(len(ids))]
    np.testing.assert_allclose(repetition_4gram(ids), expected, rtol=0, atol=2 * EPS)


def test_repetition_4gram_begins_with_the_fourth_token() -> None:
    shares = repetition_4gram([1, 2, 3, 4, 5])
    assert np.isnan(shares[:3]).all()
    assert (shares[3:] == 0).all()


def test_repetition_4gram_of_a_constant_text_is_all_but_one() -> None:
    shares = repetition_4gram([9] * 100)
    np.testing.assert_allclose(shares[3:], 1 - 1 / np.arange(1, 98), rtol=0, atol=2 * EPS)


def test_repetition_4gram_does_not_depend_on_the_names_of_tokens() -> None:
    ids = [0, 1, 2, 0, 1, 2, 0, 1, 2, 2, 2, 2, 2, 2]
    np.testing.assert_array_equal(repetition_4gram(ids), repetition_4gram([10**9 - 7 * i for i in ids]))
