"""The rows that a tap takes, against eager attention, which forms every matrix."""

import math

import numpy as np
import pytest
import torch
from transformers import DynamicCache, StaticCache

import eigencore as ec
from eigencore.capture.row_reduction import QUERY_BLOCK, ROW_FIELDS
from tests.capture.small_llama import eager_attention, small_model, tokens
from tests.oracles import EIGEN_METRICS, assert_metrics_match, spectrum_metrics


def statistics_of(A, first_key):
    """What the rows must be, from whole matrices. first_key: (B,) the first key that is no padding."""
    p_log_p = torch.special.xlogy(A, A)
    sink = torch.stack([A[:, b, :, :, k] for b, k in enumerate(first_key)], dim=1)
    return {
        "self_weight": A.diagonal(dim1=-2, dim2=-1),
        "row_entropy": -p_log_p.sum(-1) / math.log(2),
        "row_participation": 1 / (A * A).sum(-1),
        "sink_weight": sink,
        "max_weight": A.amax(-1),
    }


def assert_rows_equal(rows, A, keep, first_key):
    """keep: (B, T) True where the token is no padding."""
    expected = statistics_of(A, first_key)
    where = keep[None, :, None].expand(A.shape[:-1])
    tolerances = {"row_participation": 5e-4, "row_entropy": 2e-5}
    for name, values in expected.items():
        got = getattr(rows, name)
        assert got.shape == values.shape
        assert (got - values)[where].abs().max() < tolerances.get(name, 5e-6), name
        assert got[~where].isnan().all(), name


def test_prefill_rows_equal_eager_over_several_blocks_of_queries():
    model, ids = small_model(), tokens(2, 2 * QUERY_BLOCK + 9)
    with torch.no_grad(), ec.tap(model) as tap:
        model(ids)
    assert_rows_equal(tap.rows, eager_attention(model, input_ids=ids), torch.ones_like(ids).bool(), [0, 0])


@pytest.mark.parametrize("side", ["left", "right"])
def test_padding_is_left_out(side):
    model, ids = small_model(), tokens(3, 20)
    mask = torch.ones_like(ids)
    for row, pads in enumerate((0, 3, 11)):
        mask[row, slice(0, pads) if side == "left" else slice(20 - pads, 20)] = 0
    with torch.no_grad(), ec.tap(model) as tap:
        model(ids, attention_mask=mask)
    first_key = [0, 3, 11] if side == "left" else [0, 0, 0]
    A = eager_attention(model, input_ids=ids, attention_mask=mask)
    assert_rows_equal(tap.rows, A, mask.bool(), first_key)
    metrics = tap.metrics()
    np.testing.assert_array_equal(metrics.n[0, :, 0], [20, 17, 9])
    diagonal = A.diagonal(dim1=-2, dim2=-1)[1, 2, 3][mask[2].bool()]
    for name in EIGEN_METRICS:
        expected = spectrum_metrics(diagonal)[name]
        np.testing.assert_allclose(getattr(metrics, name)[1, 2, 3], expected, rtol=2e-4, err_msg=name)


def test_logit_statistics_equal_float64():
    model, ids = small_model(dtype=torch.float64), tokens(1, 12)
    with torch.no_grad(), ec.tap(model) as tap:
        model(ids)
    A = eager_attention(model, input_ids=ids)
    # Softmax loses the largest logit; differences of logits survive it.
    for row in range(1, 12):
        logits = A[..., row, : row + 1].log()
        std = logits.std(-1, correction=0)
        torch.testing.assert_close(tap.rows.logit_std[..., row].double(), std, rtol=1e-4, atol=1e-4)
    assert (tap.rows.logit_std[..., 0] == 0).all()


@pytest.mark.parametrize("cache", ["dynamic", "static"])
def test_cached_decoding_appends_the_rows_of_one_long_forward(cache):
    model, ids = small_model(), tokens(2, 30)
    mask = torch.ones_like(ids)
    mask[1, :5] = 0
    with torch.no_grad(), ec.tap(model) as whole:
        model(ids, attention_mask=mask)
    past = DynamicCache(config=model.config) if cache == "dynamic" else StaticCache(model.config, max_cache_len=64)
    with torch.no_grad(), ec.tap(model) as tap:
        for start, stop in ((0, 11), (11, 19), (19, 20), (20, 21), (21, 29), (29, 30)):
            model(ids[:, start:stop], attention_mask=mask[:, :stop], past_key_values=past, use_cache=True)
    assert len(tap.records) == 1
    for name in ROW_FIELDS:
        a, b = getattr(tap.rows, name), getattr(whole.rows, name)
        torch.testing.assert_close(a, b, rtol=2e-5, atol=2e-5, equal_nan=True, msg=name)


def test_a_forward_without_cache_begins_a_new_record():
    model = small_model()
    with torch.no_grad(), ec.tap(model) as tap:
        model(tokens(1, 5), use_cache=False)
        model(tokens(3, 7), use_cache=False)
    assert [record.rows.self_weight.shape for record in tap.records] == [(2, 1, 4, 5), (2, 3, 4, 7)]
    assert tap.rows.self_weight.shape == (2, 3, 4, 7)


def test_a_cropped_cache_drops_the_rows_it_drops():
    model, ids, past = small_model(), tokens(1, 12), DynamicCache()
    with torch.no_grad(), ec.tap(model) as tap:
        model(ids, past_key_values=past)
        past.crop(-4)
        model(ids[:, 8:10], past_key_values=past)
    with torch.no_grad(), ec.tap(model) as expected:
        model(ids[:, :10])
    torch.testing.assert_close(tap.rows.self_weight, expected.rows.self_weight, rtol=1e-5, atol=1e-6)


def test_the_output_is_that_of_sdpa():
    model, ids = small_model(), tokens(2, 40)
    mask = torch.ones_like(ids)
    mask[0, :6] = 0
    with torch.no_grad():
        plain = model(ids, attention_mask=mask).logits
        with ec.tap(model):
            tapped = model(ids, attention_mask=mask).logits
    # A padding row attends to nothing, and what it then puts out is of no account.
    assert torch.equal(tapped[mask.bool()], plain[mask.bool()])


@pytest.mark.parametrize("sampled", [False, True])
def test_generate_gives_the_same_tokens_under_the_tap(sampled):
    model, ids = small_model(), tokens(2, 9)
    mask = torch.ones_like(ids)
    mask[1, :4] = 0
    options = {"max_new_tokens": 25, "do_sample": sampled, "attention_mask": mask, "pad_token_id": 0}
    torch.manual_seed(1)
    plain = model.generate(ids, **options)
    torch.manual_seed(1)
    with ec.tap(model) as tap:
        tapped = model.generate(ids, **options)
    assert torch.equal(plain, tapped)
    assert tap.rows.self_weight.shape[-1] == 9 + 25 - 1


def test_self_weights_survive_where_float32_softmax_underflows():
    model = small_model()
    with torch.no_grad():
        for layer in model.model.layers:
            layer.self_attn.q_proj.weight *= 100
    ids = tokens(1, 64)
    with torch.no_grad(), ec.tap(model) as tap:
        model(ids)
    A = eager_attention(model, input_ids=ids)
    logs = tap.rows.log_self_weight
    underflown = A.diagonal(dim1=-2, dim2=-1) == 0
    assert underflown.any()
    assert torch.isfinite(logs).all()
    assert (logs[underflown] < math.log(1e-37)).all()


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_rows_of_half_precision_models_are_accumulated_in_float32(dtype):
    model, ids = small_model(dtype=dtype), tokens(1, 48)
    seen = {}

    def keep(module, args, kwargs, output):
        seen[module.layer_idx] = kwargs["hidden_states"]

    hooks = [layer.self_attn.register_forward_hook(keep, with_kwargs=True) for layer in model.model.layers]
    with torch.no_grad(), ec.tap(model) as tap:
        model(ids)
    for hook in hooks:
        hook.remove()
    assert tap.rows.row_entropy.dtype == torch.float32
    from transformers.models.llama.modeling_llama import apply_rotary_pos_emb

    positions = torch.arange(48)[None]
    for idx, layer in enumerate(model.model.layers):
        attention, x = layer.self_attn, seen[idx]
        cos, sin = model.model.rotary_emb(x, positions)
        with torch.no_grad():
            q = attention.q_proj(x).view(1, 48, 4, 8).transpose(1, 2)
            k = attention.k_proj(x).view(1, 48, 2, 8).transpose(1, 2)
            q, k = apply_rotary_pos_emb(q, k, cos, sin)
        scores = q.double() @ k.double().repeat_interleave(2, 1).mT * attention.scaling
        A = scores.masked_fill(~torch.ones(48, 48).tril().bool(), -math.inf).softmax(-1)[None]
        expected = statistics_of(A, [0])
        for name in ("self_weight", "row_entropy"):
            assert (getattr(tap.rows, name)[idx : idx + 1] - expected[name]).abs().max() < 2e-5, name


def test_two_caches_under_one_tap_have_a_record_each():
    model, a, b = small_model(), tokens(1, 11, seed=1), tokens(1, 20, seed=2)
    past_a, past_b = DynamicCache(), DynamicCache()
    with torch.no_grad(), ec.tap(model) as tap:
        model(a[:, :10], past_key_values=past_a)
        model(b, past_key_values=past_b)
        model(a[:, 10:], past_key_values=past_a)
    for record, ids in zip(tap.records, (a, b), strict=True):
        with torch.no_grad(), ec.tap(model) as alone:
            model(ids)
        torch.testing.assert_close(record.rows.self_weight, alone.rows.self_weight, rtol=1e-5, atol=1e-6)


def test_rows_follow_the_sequences_of_a_beam_search():
    model, ids = small_model(), tokens(1, 9)
    with torch.no_grad(), ec.tap(model) as tap:
        out = model.generate(
            ids, max_new_tokens=14, num_beams=3, num_return_sequences=3, do_sample=False, pad_token_id=0
        )
    # The last row belongs to the beams before their last choice: a sequence returned is one of them and a token more.
    diagonals = eager_attention(model, input_ids=out[:, :-1]).diagonal(dim1=-2, dim2=-1)
    for b in range(3):
        distances = (tap.rows.self_weight - diagonals[:, b : b + 1]).abs().amax(dim=(0, 2, 3))
        assert distances.min() < 1e-5


def test_padding_fed_token_by_token_does_not_spoil_the_tokens_after_it():
    model, ids = small_model(), tokens(2, 8)
    mask = torch.ones_like(ids)
    mask[1, :3] = 0
    with torch.no_grad(), ec.tap(model) as tap:
        past = DynamicCache()
        for t in range(8):
            logits = model(ids[:, t : t + 1], attention_mask=mask[:, : t + 1], past_key_values=past).logits
    with torch.no_grad():
        expected = model(ids, attention_mask=mask).logits[:, -1:]
    assert torch.isfinite(logits).all()
    # Positions count padding here, and not there: only the sequence without padding is the same.
    torch.testing.assert_close(logits[0], expected[0], rtol=1e-4, atol=1e-4)
    assert tap.rows.self_weight[:, 1, :, :3].isnan().all()
    assert torch.isfinite(tap.rows.self_weight[:, 1, :, 3:]).all()


def test_autocast_and_default_dtype_do_not_reach_the_rows():
    model, ids = small_model(), tokens(1, 40)
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16), ec.tap(model) as tap:
        model(ids)
    assert_sums_of_rows_are_exact(tap.rows)
    torch.set_default_dtype(torch.bfloat16)
    try:
        with torch.no_grad(), ec.tap(model) as tap:
            model(ids)
    finally:
        torch.set_default_dtype(torch.float32)
    assert tap.rows.row_entropy.dtype == torch.float32


def assert_sums_of_rows_are_exact(rows):
    # Row 0 sees itself alone; in row 1 both weights are known from one, and so is the entropy.
    p = rows.self_weight[..., 1].double()
    entropy = -(torch.special.xlogy(p, p) + torch.special.xlogy(1 - p, 1 - p)) / math.log(2)
    torch.testing.assert_close(rows.row_entropy[..., 1].double(), entropy, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(rows.sink_weight[..., 1].double(), 1 - p, rtol=1e-4, atol=1e-6)


def test_float64_models_are_decoded_in_float64():
    model, ids = small_model(dtype=torch.float64), tokens(1, 12)
    past, plain = DynamicCache(), DynamicCache()
    with torch.no_grad():
        with ec.tap(model):
            model(ids[:, :11], past_key_values=past)
            tapped = model(ids[:, 11:], past_key_values=past).logits
        model(ids[:, :11], past_key_values=plain)
        expected = model(ids[:, 11:], past_key_values=plain).logits
    torch.testing.assert_close(tapped, expected, rtol=1e-12, atol=1e-12)


def test_a_record_begun_in_inference_mode_goes_on_outside_it():
    model, ids, past = small_model(), tokens(1, 9), DynamicCache()
    with ec.tap(model) as tap:
        with torch.inference_mode():
            model(ids[:, :6])
        with torch.no_grad():
            model(ids, past_key_values=past)
    assert [record.length for record in tap.records] == [6, 9]


def test_a_failure_in_the_model_is_a_status_and_not_padding():
    model, ids = small_model(), tokens(1, 9)
    with torch.no_grad():
        model.model.layers[1].self_attn.q_proj.weight[0] = math.nan
        with ec.tap(model) as tap:
            model(ids)
    metrics = tap.metrics()
    assert metrics.status[0].sum() == 0
    assert metrics.status[1, 0, 0] == 1
    np.testing.assert_array_equal(metrics.n, np.full((2, 1, 4), 9))


def test_the_base_model_can_be_tapped():
    model, ids = small_model(), tokens(1, 6)
    with torch.no_grad(), ec.tap(model) as outer:
        model(ids)
    with torch.no_grad(), ec.tap(model.model) as inner:
        model.model(ids)
    assert torch.equal(outer.rows.self_weight, inner.rows.self_weight)


def test_tap_metrics_equal_the_definitions_on_the_tapped_diagonal():
    model, ids = small_model(), tokens(2, 33)
    with torch.no_grad(), ec.tap(model) as tap:
        model(ids)
    metrics = tap.metrics()
    for at in np.ndindex(2, 2, 4):
        expected = spectrum_metrics(np.exp(tap.rows.log_self_weight[at].double().numpy()))
        for name in EIGEN_METRICS:
            assert_metrics_match(getattr(metrics, name)[at], expected[name], name)
