"""Singular values under a tap that keeps the weights, against LAPACK on eager attention."""

import numpy as np
import pytest
import torch
from transformers import DynamicCache

import eigencore as ec
from eigencore.capture.row_reduction import QUERY_BLOCK
from tests.capture.small_llama import eager_attention, small_model, tokens
from tests.oracles import assert_metrics_match, spectrum_metrics

WELL_CONDITIONED = ("spectral_entropy", "effective_rank", "dominant_ratio", "participation_ratio", "stable_rank")


def assert_singular_metrics(measured, A, keep):
    """A: (L, B, H, T, T) from eager attention; keep: (B, T) True where the token is no padding."""
    for layer, b, h in np.ndindex(A.shape[:3]):
        matrix = A[layer, b, h][keep[b]][:, keep[b]].numpy()
        expected = spectrum_metrics(np.linalg.svd(matrix, compute_uv=False), singular=True)
        # Of float32 weights, the smallest singular values are rounding.
        for name in WELL_CONDITIONED:
            np.testing.assert_allclose(getattr(measured, name)[layer, b, h], expected[name], rtol=2e-4)


def test_singular_metrics_of_a_prefill_over_several_blocks_of_queries():
    model, ids = small_model(), tokens(2, QUERY_BLOCK + 9)
    with torch.no_grad(), ec.tap(model, spectrum="singular") as tap:
        model(ids)
    assert_singular_metrics(tap.metrics("singular"), eager_attention(model, input_ids=ids), torch.ones(2, 137).bool())
    assert tap.metrics("eigen").spectrum == "eigen"


def test_singular_metrics_grow_with_the_cache_and_follow_its_cropping():
    model, ids, past = small_model(), tokens(1, 20), DynamicCache()
    with torch.no_grad(), ec.tap(model, spectrum="singular") as tap:
        model(ids[:, :9], past_key_values=past)
        model(ids[:, 9:14], past_key_values=past)
        past.crop(-2)
        for position in range(12, 20):
            model(ids[:, position : position + 1], past_key_values=past)
    assert len(tap.records) == 1
    assert_singular_metrics(tap.metrics("singular"), eager_attention(model, input_ids=ids), torch.ones(1, 20).bool())


@pytest.mark.parametrize("side", ["left", "right"])
def test_singular_metrics_leave_padding_out(side):
    model, ids = small_model(), tokens(3, 20)
    mask = torch.ones_like(ids)
    for row, pads in enumerate((0, 3, 11)):
        mask[row, slice(0, pads) if side == "left" else slice(20 - pads, 20)] = 0
    with torch.no_grad(), ec.tap(model, spectrum="singular") as tap:
        model(ids, attention_mask=mask)
    metrics = tap.metrics("singular")
    np.testing.assert_array_equal(metrics.n[1, :, 3], [20, 17, 9])
    assert_singular_metrics(metrics, eager_attention(model, input_ids=ids, attention_mask=mask), mask.bool())


def test_float64_weights_give_every_singular_metric():
    model, ids = small_model(dtype=torch.float64), tokens(1, 24)
    with torch.no_grad(), ec.tap(model, spectrum="singular") as tap:
        model(ids)
    A, metrics = eager_attention(model, input_ids=ids), tap.metrics("singular")
    for layer, b, h in np.ndindex(A.shape[:3]):
        expected = spectrum_metrics(np.linalg.svd(A[layer, b, h].numpy(), compute_uv=False), singular=True)
        for name, values in expected.items():
            assert_metrics_match(getattr(metrics, name)[layer, b, h], values, name)
