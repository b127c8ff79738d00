"""What trace_generation takes, honours, refuses, and leaves alone."""

import numpy as np
import pytest
import torch

import eigencore as ec
from eigencore.errors import InputError, ModelNotFoundError
from tests.capture.small_llama import eager_attention
from tests.oracles import spectrum_metrics


def trace_tiny(tiny, prompt="My lord,", **options):
    model, tokenizer = tiny
    return ec.trace_generation(model, prompt, tokenizer=tokenizer, **{"max_new_tokens": 12, **options})


def test_shapes_and_texts(tiny):
    trace = trace_tiny(tiny)
    L, H = tiny[0].config.num_hidden_layers, tiny[0].config.num_attention_heads
    P, S = len(trace.prompt_token_ids), trace.num_steps
    assert S == 12
    assert {values.shape for values in trace.metrics.values()} == {(S, L, H)}
    assert {values.shape for values in trace.rows.values()} == {(P + S - 1, L, H)}
    assert {values.shape for values in trace.signals.values()} == {(S,)}
    assert "".join(trace.prompt_tokens) == "My lord,"
    assert trace.text == tiny[1].decode(trace.token_ids)
    np.testing.assert_array_equal(trace.rows["self_weight"][0], np.ones((L, H)))
    np.testing.assert_array_equal(trace.eigenvalues(S - 1)[:P], trace.eigenvalues(0))


def test_a_model_by_name_is_the_loaded_model(tiny):
    by_name = ec.trace_generation("tiny", "My lord,", max_new_tokens=12)
    assert by_name.token_ids == trace_tiny(tiny).token_ids
    assert by_name.model["name"] == "tiny"
    assert len(by_name.model["weights_sha256"]) == 64
    assert by_name.model["attn_implementation"] == "sdpa"
    assert trace_tiny(tiny).model["weights_sha256"] is None


def test_sampling_follows_its_seed_and_leaves_the_global_generator_alone(tiny):
    torch.manual_seed(5)
    before = torch.get_rng_state()
    first, again = (trace_tiny(tiny, temperature=1.0, seed=7).token_ids for _ in range(2))
    other = trace_tiny(tiny, temperature=1.0, seed=8).token_ids
    assert first == again
    assert first != other
    assert torch.equal(torch.get_rng_state(), before)


def test_sampling_options_reach_generate(tiny):
    greedy = trace_tiny(tiny).token_ids
    assert trace_tiny(tiny, top_k=1).token_ids == greedy
    with pytest.raises(InputError, match="temperature has no effect on greedy"):
        trace_tiny(tiny, temperature=1.5, do_sample=False)
    narrow = trace_tiny(tiny, top_k=3, temperature=2.0, max_new_tokens=60)
    model, _ = tiny
    ids = torch.tensor([narrow.prompt_token_ids + narrow.token_ids])
    with torch.no_grad():
        logits = model(ids[:, :-1]).logits[0, len(narrow.prompt_token_ids) - 1 :]
    assert all(t in top for t, top in zip(narrow.token_ids, logits.topk(3).indices.tolist(), strict=True))


def test_the_models_generation_config_is_honoured_and_overrides_are_recorded(tiny):
    model, _ = tiny
    before = model.generation_config.to_dict()
    model.generation_config.repetition_penalty = 5.0
    try:
        assert len(set(trace_tiny(tiny, max_new_tokens=30).token_ids)) == 30
        overridden = trace_tiny(tiny, repetition_penalty=1.0)
    finally:
        model.generation_config.repetition_penalty = before["repetition_penalty"]
    assert overridden.settings["overridden"] == {"repetition_penalty": 1.0}
    assert overridden.token_ids == trace_tiny(tiny).token_ids
    assert model.generation_config.to_dict() == before


def test_an_option_asked_for_as_none_is_none(tiny):
    model, _ = tiny
    whole = trace_tiny(tiny)
    own = model.generation_config.eos_token_id
    model.generation_config.eos_token_id = whole.token_ids[4]
    try:
        assert trace_tiny(tiny).num_steps < 12
        assert trace_tiny(tiny, eos_token_id=None).token_ids == whole.token_ids
    finally:
        model.generation_config.eos_token_id = own


def test_stop_strings_reach_generate(tiny):
    whole = trace_tiny(tiny, max_new_tokens=40)
    stop = whole.tokens[6].strip() or whole.tokens[7].strip()
    assert stop in trace_tiny(tiny, max_new_tokens=40, stop_strings=[stop]).text[-len(stop) - 3 :]


def test_errors_of_the_progress_callback_are_its_own(tiny):
    def fail(steps):
        raise ValueError("mine")

    with pytest.raises(ValueError, match=r"^mine$"):
        trace_tiny(tiny, progress=fail)


def test_the_context_may_be_filled_to_its_end(tiny):
    _, tokenizer = tiny
    P = len(tokenizer("My lord,")["input_ids"])
    with pytest.raises(InputError, match="context of 512"):
        trace_tiny(tiny, max_new_tokens=514 - P)
    whole = trace_tiny(tiny, max_new_tokens=513 - P)
    assert whole.num_steps == 513 - P


def test_an_end_of_sequence_token_ends_the_trace(tiny):
    whole = trace_tiny(tiny)
    end = whole.token_ids[4]
    first = whole.token_ids.index(end)
    trace = trace_tiny(tiny, eos_token_id=end)
    assert trace.token_ids == whole.token_ids[: first + 1]
    assert trace.metrics["spectral_entropy"].shape[0] == first + 1


def test_a_trace_says_in_a_line_what_it_is(tiny):
    assert len(repr(trace_tiny(tiny))) < 400


def test_progress_counts_tokens(tiny):
    seen = []
    trace_tiny(tiny, progress=seen.append)
    assert seen == list(range(1, 13))


def test_a_one_token_prompt_and_a_single_step(tiny):
    trace = trace_tiny(tiny, prompt="O", max_new_tokens=1)
    assert len(trace.prompt_token_ids) == 1
    assert np.isnan(trace.metrics["normalized_entropy"]).all()
    assert (trace.metrics["spectral_entropy"] == 0).all()


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"prompt": ""}, "empty"),
        ({"every": 0}, "every.*got 0"),
        ({"spectrum": "golden"}, "'golden'"),
        ({"max_new_tokens": 0}, "got 0"),
        ({"max_new_tokens": 100_000}, "100000.*context of 512"),
        ({"num_beams": 4}, "num_beams.*4"),
        ({"use_cache": False}, "use_cache.*False"),
        ({"temprature": 0.5}, "'temprature'"),
        ({"max_length": 30}, "max_length=30"),
        ({"prompt_lookup_num_tokens": 3}, "prompt_lookup_num_tokens=3"),
        ({"guidance_scale": 2.0}, "guidance_scale=2.0"),
        ({"return_dict_in_generate": True}, "return_dict_in_generate"),
        ({"loop": {"min_cuont": 3}}, "min_cuont"),
        ({"loop": {"min_count": 1}}, "min_count=1"),
        ({"seed": -1}, "got -1"),
        ({"max_new_tokens": 2.5}, "got 2.5"),
        ({"prompt": "caf\udce9"}, "position 3"),
        ({"temperature": -1.0}, "-1.0"),
    ],
)
def test_what_cannot_be_traced_is_named(tiny, options, words):
    with pytest.raises(InputError, match=words):
        trace_tiny(tiny, **options)


def test_unknown_models_and_missing_tokenizers_are_named(tiny):
    with pytest.raises(ModelNotFoundError, match=r"'\./nowhere'"):
        ec.trace_generation("./nowhere", "x")
    with pytest.raises(InputError, match="tokenizer"):
        ec.trace_generation(tiny[0], "x")
    with pytest.raises(InputError, match="its own tokenizer"):
        ec.trace_generation("tiny", "x", tokenizer=tiny[1])


def test_top_tokens_are_the_most_probable_of_a_plain_forward(tiny):
    trace = trace_tiny(tiny, temperature=2.0, seed=3)
    model, tokenizer = tiny
    ids = torch.tensor([trace.prompt_token_ids + trace.token_ids])
    with torch.no_grad():
        p = model(ids[:, :-1]).logits[0, len(trace.prompt_token_ids) - 1 :].double().softmax(-1)
    expected = p.topk(10)
    assert trace.top_token_ids == expected.indices.tolist()
    np.testing.assert_allclose(trace.top_token_probabilities, expected.values, rtol=1e-4)
    np.testing.assert_allclose(trace.top_token_probabilities[:, 0], trace.signals["top1_probability"], rtol=1e-12)
    first = len(trace.prompt_token_ids)
    for step, (candidates, texts) in enumerate(zip(trace.top_token_ids, trace.top_tokens, strict=True)):
        before = ids[0, first + step - 1 : first + step].tolist()
        for candidate, text in zip(candidates, texts, strict=True):
            assert tokenizer.decode(before) + text == tokenizer.decode([*before, candidate])


def test_stop_reason_says_why_the_text_ends(tiny):
    whole = trace_tiny(tiny)
    assert whole.stop_reason == "length"
    assert trace_tiny(tiny, eos_token_id=whole.token_ids[4]).stop_reason == "eos"
    assert trace_tiny(tiny, stop_strings=[whole.tokens[5].strip()]).stop_reason == "stopping_criterion"


def test_a_trace_that_is_stopped_is_the_beginning_of_the_whole(tiny):
    whole, seen = trace_tiny(tiny), []
    part = trace_tiny(tiny, progress=seen.append, should_stop=lambda: len(seen) == 5)
    assert part.stop_reason == "interrupted"
    assert part.token_ids == whole.token_ids[:5]
    assert seen == [1, 2, 3, 4, 5]
    for name, values in part.metrics.items():
        np.testing.assert_array_equal(values, whole.metrics[name][:5])
    assert len(part.rows["row_entropy"]) == len(part.prompt_token_ids) + 4


def test_every_kth_step_has_spectral_metrics_and_every_step_the_rest(tiny):
    whole, sparse = trace_tiny(tiny), trace_tiny(tiny, every=5)
    for name, values in sparse.metrics.items():
        np.testing.assert_array_equal(values[::5], whole.metrics[name][::5])
        assert np.isnan(np.delete(values, [0, 5, 10], axis=0)).all()
    for name, values in sparse.rows.items():
        np.testing.assert_array_equal(values, whole.rows[name])
    assert sparse.singular_metrics == {}


def test_singular_metrics_are_those_of_eager_attention(tiny):
    trace = trace_tiny(tiny, spectrum="singular", every=4)
    A = eager_attention(tiny[0], input_ids=torch.tensor([trace.prompt_token_ids + trace.token_ids]))[:, 0].numpy()
    P = len(trace.prompt_token_ids)
    for step in range(trace.num_steps):
        measured = {name: values[step] for name, values in trace.singular_metrics.items()}
        if step % 4:
            assert all(np.isnan(values).all() for values in measured.values())
            continue
        sigma = np.linalg.svd(A[:, :, : P + step, : P + step], compute_uv=False)
        expected = spectrum_metrics(np.moveaxis(sigma, -1, 0), singular=True)
        for name in ("spectral_entropy", "effective_rank", "dominant_ratio", "participation_ratio", "stable_rank"):
            np.testing.assert_allclose(measured[name], expected[name], rtol=2e-4, err_msg=name)


def test_the_chat_template_is_put_around_the_prompt_when_asked_for(tiny, monkeypatch):
    _, tokenizer = tiny
    with pytest.raises(InputError, match="no chat template"):
        trace_tiny(tiny, apply_chat_template=True)
    template = "{% for m in messages %}[{{ m.role }}] {{ m.content }}\n{% endfor %}[reply]"
    monkeypatch.setattr(tokenizer, "chat_template", template)
    trace = trace_tiny(tiny, apply_chat_template=True)
    assert "".join(trace.prompt_tokens) == "[user] My lord,\n[reply]"
    assert (trace.prompt, trace.settings["apply_chat_template"]) == ("My lord,", True)
