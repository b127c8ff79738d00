"""The promise to leave the model as it was, to keep models apart, and to refuse what a tap cannot see."""

import pytest
import torch
from transformers import DynamicCache, GPT2Config, GPT2LMHeadModel, LlamaConfig, LlamaForCausalLM

import eigencore as ec
from eigencore.errors import CaptureError, InputError, UnsupportedModelError
from tests.capture.small_llama import small_model, tokens


def everything_about(model):
    hooks = [
        (len(m._forward_hooks), len(m._forward_pre_hooks), len(m._backward_hooks), m.training) for m in model.modules()
    ]
    weights = [p.clone() for p in model.parameters()]
    return model.config.to_dict(), model.config._attn_implementation, hooks, weights


def assert_nothing_changed(before, after):
    assert before[:3] == after[:3]
    assert all(torch.equal(a, b) for a, b in zip(before[3], after[3], strict=True))


@pytest.mark.parametrize("implementation", ["sdpa", "eager"])
def test_the_model_is_as_before(implementation):
    model = small_model(attn_implementation=implementation)
    before = everything_about(model)
    with torch.no_grad(), ec.tap(model):
        model(tokens(1, 5))
    assert_nothing_changed(before, everything_about(model))


def test_the_model_is_as_before_after_an_exception():
    model = small_model()
    before = everything_about(model)
    with pytest.raises(KeyError), ec.tap(model):
        raise KeyError
    assert_nothing_changed(before, everything_about(model))
    with pytest.raises(IndexError), torch.no_grad(), ec.tap(model):
        model(torch.tensor([[1000]]))
    assert_nothing_changed(before, everything_about(model))


def test_a_forward_that_failed_leaves_no_rows_behind():
    model, ids, past = small_model(), tokens(1, 10), DynamicCache()
    with torch.no_grad(), ec.tap(model) as tap:
        model(ids[:, :6], past_key_values=past)
        hook = model.model.layers[1].register_forward_pre_hook(lambda *_: (_ for _ in ()).throw(RuntimeError("stop")))
        with pytest.raises(RuntimeError, match="stop"):
            model(ids[:, 6:], past_key_values=past)
        hook.remove()
        assert tap.rows.self_weight.shape[-1] == 6


def test_a_cache_is_let_go_with_the_tap():
    model, ids, past = small_model(), tokens(1, 5), DynamicCache()
    with torch.no_grad(), ec.tap(model):
        model(ids, past_key_values=past)
    assert "reorder_cache" not in vars(past)


def test_models_that_share_a_config_do_not_disturb_one_another():
    config = LlamaConfig(**small_model().config.to_dict())
    one, other, ids = LlamaForCausalLM(config).eval(), LlamaForCausalLM(config).eval(), tokens(1, 6)
    with torch.no_grad():
        expected = other(ids).logits
        with ec.tap(one) as tap:
            assert torch.equal(other(ids).logits, expected)
            with pytest.raises(CaptureError, match="shares its config"), ec.tap(other):
                pass
            one(ids)
    assert len(tap.records) == 1
    assert config._attn_implementation == "sdpa"


def test_two_models_are_tapped_apart_and_one_model_only_once():
    one, other, ids = small_model(0), small_model(1), tokens(1, 8)
    with torch.no_grad(), ec.tap(one) as first, ec.tap(other) as second:
        one(ids)
        other(ids)
        with pytest.raises(CaptureError, match="tapped already"), ec.tap(one):
            pass
        one(ids)
    assert (len(first.records), len(second.records)) == (2, 1)
    assert not torch.equal(first.rows.self_weight, second.rows.self_weight)


def test_a_layer_that_was_not_seen_is_an_error():
    model = small_model()
    model.model.layers[1].self_attn.forward = lambda hidden_states, **_: (hidden_states, None)
    with torch.no_grad(), ec.tap(model), pytest.raises(CaptureError, match=r"1 of 2 attention layers.*\[1\]"):
        model(tokens(1, 5))


def test_gradients_pass_through_a_tapped_forward():
    model, ids = small_model(), tokens(1, 9)
    model(ids, labels=ids).loss.backward()
    expected = [p.grad.clone() for p in model.parameters()]
    model.zero_grad()
    with ec.tap(model) as tap:
        model(ids, labels=ids).loss.backward()
    assert not tap.rows.self_weight.requires_grad
    for p, grad in zip(model.parameters(), expected, strict=True):
        assert torch.equal(p.grad, grad)


def test_gradient_checkpointing_does_not_count_a_layer_twice():
    model, ids = small_model(), tokens(1, 9)
    model.activation_checkpointing_enable()
    model.train()
    with ec.tap(model) as tap:
        model(ids, labels=ids, use_cache=False).loss.backward()
    assert len(tap.records) == 1
    with torch.no_grad(), ec.tap(model.eval()) as plain:
        model(ids)
    assert torch.equal(tap.rows.row_entropy, plain.rows.row_entropy)


def test_what_cannot_be_tapped_says_so():
    gpt2 = GPT2LMHeadModel(GPT2Config(vocab_size=50, n_embd=16, n_layer=1, n_head=2, n_positions=32))
    with pytest.raises(UnsupportedModelError, match="'gpt2'"), ec.tap(gpt2):
        pass
    model = small_model()
    with ec.tap(model) as tap:
        with pytest.raises(CaptureError, match="no complete forward pass"):
            _ = tap.rows
        with pytest.raises(CaptureError, match="output_attentions"):
            model(tokens(1, 3), output_attentions=True)
        model(tokens(1, 3))
        with pytest.raises(InputError, match="this tap keeps no weights"):
            tap.metrics("singular")
        with pytest.raises(InputError, match="'phi'"):
            tap.metrics("phi")
    with pytest.raises(InputError, match="'phi'"), ec.tap(model, spectrum="phi"):
        pass


def test_masks_that_are_not_causal_are_refused():
    model, ids = small_model(), tokens(1, 6)
    prefix = torch.ones(1, 1, 6, 6).tril().bool()
    prefix[..., :3, :3] = True
    with torch.no_grad(), ec.tap(model):
        with pytest.raises(CaptureError, match="what comes after"):
            model(ids, attention_mask=prefix)
        with pytest.raises(CaptureError, match="float32"):
            model(ids, attention_mask=torch.zeros(1, 1, 6, 6))
        model(ids, attention_mask=torch.ones(1, 1, 6, 6).tril().bool())


def test_a_cache_begun_before_the_tap_is_refused():
    model, ids, past = small_model(), tokens(1, 12), DynamicCache()
    with torch.no_grad():
        model(ids[:, :8], past_key_values=past)
        with ec.tap(model), pytest.raises(CaptureError, match="8 tokens, of which this tap has seen 0"):
            model(ids[:, 8:], past_key_values=past)
