"""Traces of real models against what is known independently: eager attention with LAPACK, and `generate` itself.

`tiny` runs five prompts in full; `smollm2` runs one and fewer steps, and the five in full under the mark `slow`:

    pytest -m slow -s tests/tracing/test_exactness.py
"""

import math

import numpy as np
import pytest
import scipy.linalg
import torch

import eigencore as ec
from tests.oracles import EIGEN_METRICS, assert_metrics_match, spectrum_metrics

PROMPTS = {
    "tiny": (
        "To be, or not to be",
        "KING.\nWhat news from France?",
        "Of Man's first disobedience, and the fruit",
        "My lord, the queen",
        "Enter two Gentlemen.",
    ),
    "smollm2": (
        "The color of midnight tastes like",
        "Once upon a time there was",
        "def fibonacci(n):",
        "My favourite season is",
        "List three reasons to walk every day.",
    ),
}
STEPS = 60
extents = pytest.mark.parametrize(
    ("name", "num_prompts", "share"),
    [
        pytest.param("tiny", 5, 1.0, id="tiny"),
        pytest.param("smollm2", 1, 0.4, marks=pytest.mark.smollm2, id="smollm2"),
        pytest.param("smollm2", 5, 1.0, marks=[pytest.mark.smollm2, pytest.mark.slow], id="smollm2-in-full"),
    ],
)
"""Which model, how many of its prompts, and which share of the steps."""


@pytest.fixture
def model_and_tokenizer(name, request):
    return request.getfixturevalue(name)


@pytest.fixture
def traces(name, num_prompts, share, model_and_tokenizer):
    """Greedy traces of the first prompts, as long as the extent says."""
    model, tokenizer = model_and_tokenizer
    steps = round(STEPS * share)
    options = {"max_new_tokens": steps, "tokenizer": tokenizer, "do_sample": False}
    made = [ec.trace_generation(model, prompt, **options) for prompt in PROMPTS[name][:num_prompts]]
    assert all(trace.num_steps == steps for trace in made)
    return made


def eager_attention(model, token_ids):
    """(L, H, n, n) float32 from a full forward of the prefix, every matrix formed."""
    before = model.config._attn_implementation
    model.set_attn_implementation("eager")
    with torch.no_grad():
        attentions = model(torch.tensor([token_ids]), output_attentions=True, use_cache=False).attentions
    model.set_attn_implementation(before)
    return torch.cat(attentions).numpy()


@extents
def test_eigenvalues_equal_lapack_on_eager_attention_at_every_step(name, model_and_tokenizer, traces):
    model, _ = model_and_tokenizer
    worst, worst_log, spectra, steps = 0.0, 0.0, 0, 0
    for trace in traces:
        ids = trace.prompt_token_ids + trace.token_ids
        P = len(trace.prompt_token_ids)
        for step in range(trace.num_steps):
            attention = eager_attention(model, ids[: P + step])
            traced = trace.eigenvalues(step)
            diagonal = attention.diagonal(axis1=-2, axis2=-1).transpose(2, 0, 1)
            representable = diagonal > np.finfo(np.float32).tiny
            logs = np.abs(np.log(traced[representable]) - np.log(diagonal[representable].astype(np.float64)))
            worst_log = max(worst_log, logs.max())
            ordered = -np.sort(-traced, axis=0)
            for layer, head in np.ndindex(attention.shape[:2]):
                lapack = scipy.linalg.eigvals(attention[layer, head])
                assert not lapack.imag.any()
                worst = max(worst, np.abs(ordered[:, layer, head] - np.sort(lapack.real)[::-1]).max())
                spectra += 1
        steps += trace.num_steps
    print(f"\n{name}, {spectra} spectra: eigenvalues within {worst:.1e}, logarithms within {worst_log:.1e}")
    assert spectra == steps * model.config.num_hidden_layers * model.config.num_attention_heads
    assert worst < 2e-5
    assert worst_log < 1e-3


@extents
def test_every_metric_equals_the_definitions_at_every_step(traces):
    for trace in traces:
        assert set(trace.metrics) == set(EIGEN_METRICS)
        for step in range(trace.num_steps):
            spectra = trace.eigenvalues(step)
            expected = spectrum_metrics(spectra)
            for metric in EIGEN_METRICS:
                assert_metrics_match(trace.metrics[metric][step], expected[metric], metric)


@extents
def test_row_metrics_equal_eager_attention(model_and_tokenizer, traces):
    model, _ = model_and_tokenizer
    for trace in traces:
        ids = trace.prompt_token_ids + trace.token_ids
        A = eager_attention(model, ids[:-1]).astype(np.float64).transpose(2, 0, 1, 3)
        with np.errstate(divide="ignore", invalid="ignore"):
            entropy = -np.where(A > 0, A * np.log2(A), 0.0).sum(-1)
        expected = {
            "row_entropy": (entropy, 1e-4),
            "row_participation": (1 / (A * A).sum(-1), 1e-2),
            "sink_weight": (A[..., 0], 2e-5),
            "max_weight": (A.max(-1), 2e-5),
        }
        for metric, (values, tolerance) in expected.items():
            assert np.abs(trace.rows[metric] - values).max() < tolerance, metric


@extents
def test_tokens_equal_those_of_generate(name, num_prompts, share, model_and_tokenizer):
    model, tokenizer = model_and_tokenizer
    steps = round(200 * share)
    for prompt in PROMPTS[name][:num_prompts]:
        trace = ec.trace_generation(model, prompt, max_new_tokens=steps, tokenizer=tokenizer, do_sample=False)
        inputs = tokenizer(prompt, return_tensors="pt", return_token_type_ids=False)
        options = {"max_new_tokens": steps, "do_sample": False, "output_scores": True, "return_dict_in_generate": True}
        plain = model.generate(**inputs, **options)
        expected = plain.sequences[0, inputs["input_ids"].shape[1] :].tolist()
        margins = [float(torch.diff(-scores[0].topk(2).values)) for scores in plain.scores]
        parted = next((i for i, (a, b) in enumerate(zip(trace.token_ids, expected, strict=False)) if a != b), None)
        if parted is not None:
            print(f"\n{name}, {prompt!r}: parts from generate at step {parted}, margin {margins[parted]:.1e}")
            assert margins[parted] < 1e-3
            continue
        assert trace.token_ids == expected
        np.testing.assert_allclose(trace.signals["margin"], margins, atol=1e-3)


@pytest.mark.smollm2
def test_the_canonical_prompt_ends_in_its_loop_of_twenty_tokens(smollm2):
    model, tokenizer = smollm2
    prompt = "The color of midnight tastes like"
    trace = ec.trace_generation(model, prompt, max_new_tokens=200, tokenizer=tokenizer, do_sample=False)
    assert trace.loop is not None
    assert trace.loop.period == 20
    assert trace.loop.copies >= 4
    loop = trace.token_ids[trace.loop.first_copy_step :]
    assert loop[20:] == loop[:-20]


def test_tiny_falls_into_loops_on_some_prompts_and_not_on_others(tiny):
    model, tokenizer = tiny
    more = ("ROMEO.\n", "What ho!", "Good morrow, cousin.", "The moon", "Exeunt.")
    loops = [
        ec.trace_generation(model, prompt, max_new_tokens=200, tokenizer=tokenizer, do_sample=False).loop is not None
        for prompt in (*PROMPTS["tiny"], *more)
    ]
    assert 0 < sum(loops) < len(loops)


def test_signals_are_those_of_a_full_forward(tiny):
    model, tokenizer = tiny
    trace = ec.trace_generation(model, "My lord,", max_new_tokens=30, tokenizer=tokenizer, do_sample=True, seed=3)
    ids = torch.tensor([trace.prompt_token_ids + trace.token_ids])
    with torch.no_grad():
        logits = model(ids[:, :-1]).logits[0, len(trace.prompt_token_ids) - 1 :].double()
    log_p = logits.log_softmax(-1)
    chosen = log_p.gather(-1, ids[0, len(trace.prompt_token_ids) :, None])[:, 0]
    expected = {
        "next_token_entropy": -(log_p.exp() * log_p).sum(-1) / math.log(2),
        "top1_probability": log_p.amax(-1).exp(),
        "surprisal": -chosen / math.log(2),
    }
    for signal, values in expected.items():
        np.testing.assert_allclose(trace.signals[signal], values, atol=2e-4, err_msg=signal)
