"""trace_generation: rides on transformers' own `generate`, so that what it traces is what the user would have got."""

from __future__ import annotations

import platform
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
import transformers
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from eigencore.capture import AttentionRows, tap
from eigencore.capture.row_reduction import ROW_FIELDS
from eigencore.errors import CaptureError, EigencoreError, InputError
from eigencore.models import ModelSource
from eigencore.tracing.detokenize import alternatives_texts, token_texts
from eigencore.tracing.growing_spectra import eigen_metrics_SLH
from eigencore.tracing.loops import find_loop
from eigencore.tracing.observer import Progress, ShouldStop, StepObserver
from eigencore.tracing.request import (
    GenerationPlan,
    check_context,
    check_request,
    encode_prompt,
    model_and_tokenizer,
    plan_generation,
)
from eigencore.tracing.signals import repetition_4gram
from eigencore.tracing.trace import F32, StopReason, Trace
from eigencore.version import __version__


def trace_generation(
    model: str | Path | PreTrainedModel,
    prompt: str,
    *,
    max_new_tokens: int = 200,
    spectrum: str = "eigen",
    every: int = 1,
    seed: int = 0,
    apply_chat_template: bool = False,
    tokenizer: PreTrainedTokenizerBase | None = None,
    source: ModelSource | None = None,
    dtype: str = "float32",
    device: str = "auto",
    loop: dict[str, int] | None = None,
    progress: Progress | None = None,
    should_stop: ShouldStop | None = None,
    **generation: Any,
) -> Trace:
    """Generates from a prompt and records what attention did at every step, layer and head.

    Args:
        model: "tiny", "smollm2", a folder, a hub id, or a loaded model (then with `tokenizer`).
        prompt: as it is, unless `apply_chat_template`.
        max_new_tokens: at most so many; an end-of-sequence token ends the text before.
        spectrum: "eigen", which costs next to nothing; "singular" adds singular values, which need every attention
            matrix whole: O(n**3) for each layer, head and measured step of n rows.
        every: spectral metrics at steps 0, K, 2 K, … only, NaN between. Row metrics and signals are of every step.
        seed: of torch's random numbers, which are as before afterwards.
        apply_chat_template: put the prompt, as the user's message, into the tokenizer's chat template.
        tokenizer: of a loaded model.
        source: of a loaded model, where its weights came from, for the record; None: they are not known to be a file's.
        dtype, device: for a model given by name, as in `load_model`.
        loop: options of `find_loop`: max_pattern_size, min_pattern_size, min_count, min_count_simple.
        progress: called with the number of tokens generated so far.
        should_stop: asked after each token; True ends the trace there, and its stop_reason is "interrupted".
        **generation: as in `model.generate` (do_sample, temperature, top_k, top_p, repetition_penalty, …). What is not
            given comes from the model's generation_config. Giving temperature, top_k or top_p means do_sample=True
            unless do_sample is given too.

    Raises:
        InputError: empty prompt, one that does not fit the context, an unknown or unsupported option.
        ModelNotFoundError, ModelError: the model cannot be had.
        UnsupportedModelError, CaptureError: its attention cannot be captured.
    """
    check_request(prompt, max_new_tokens, seed, loop or {}, spectrum, every)
    origin, loaded, tokenizer = model_and_tokenizer(model, tokenizer, source, dtype, device)
    plan = plan_generation(loaded, max_new_tokens, generation)
    inputs = encode_prompt(tokenizer, prompt, apply_chat_template).to(loaded.device)
    P = inputs["input_ids"].shape[1]
    check_context(loaded, P, max_new_tokens)
    with torch.random.fork_rng(), torch.no_grad(), tap(loaded, spectrum=spectrum) as tapped:
        torch.manual_seed(seed)
        observer = StepObserver(tapped, every if spectrum == "singular" else None, progress, should_stop)
        token_ids = _generate(loaded, tokenizer, inputs, plan, observer)
        rows = _rows_RLH(tapped.rows)
    if not len(token_ids) == observer.num_steps == len(rows["self_weight"]) - P + 1:
        raise CaptureError(
            f"{len(token_ids)} tokens came of {observer.num_steps} steps; a trace needs one forward pass for each token"
        )
    prompt_ids = inputs["input_ids"][0].tolist()
    tokens = token_texts(tokenizer, token_ids, prompt_ids)
    top_probabilities, top_ids = observer.top_tokens()
    asked = {"max_new_tokens": max_new_tokens, "seed": seed, "spectrum": spectrum, "every": every}
    asked["apply_chat_template"] = apply_chat_template
    return Trace(
        model=_describe_model(loaded, origin),
        settings={**asked, **plan.describe()},
        versions=_versions(),
        prompt=prompt,
        prompt_token_ids=prompt_ids,
        prompt_tokens=token_texts(tokenizer, prompt_ids),
        token_ids=token_ids,
        tokens=tokens,
        stop_reason=_stop_reason(observer, plan, token_ids),
        signals=observer.signals() | {"repetition_4gram": repetition_4gram(token_ids)},
        top_token_ids=top_ids,
        top_tokens=alternatives_texts(tokenizer, token_ids, prompt_ids, top_ids),
        top_token_probabilities=top_probabilities,
        metrics=eigen_metrics_SLH(rows["log_self_weight"], P, every),
        singular_metrics=observer.singular_metrics(),
        rows=rows,
        loop=find_loop(token_ids, tokens, **(loop or {})),
    )


def _generate(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    inputs: Any,
    plan: GenerationPlan,
    observer: StepObserver,
) -> list[int]:
    own = model.generation_config
    # generate fills what is None from the model's own config; for this call that is the plan too, so that an option
    # asked for as None is None.
    model.generation_config = plan.config
    try:
        with observer.watch(model):
            output = cast("Any", model).generate(
                **inputs, generation_config=plan.config, stopping_criteria=[observer], tokenizer=tokenizer
            )
    except ValueError as error:
        if observer.num_steps or isinstance(error, EigencoreError):
            raise
        raise InputError(f"generate refused its options: {str(error).splitlines()[0]}") from error
    except RuntimeError as error:
        if "probability tensor" not in str(error):
            raise
        raise InputError("the sampling options leave no probabilities; take a larger temperature") from error
    finally:
        model.generation_config = own
    token_ids: list[int] = output[0, inputs["input_ids"].shape[1] :].tolist()
    return token_ids


def _stop_reason(observer: StepObserver, plan: GenerationPlan, token_ids: list[int]) -> StopReason:
    eos = plan.config.eos_token_id
    if token_ids[-1] in (eos if isinstance(eos, list) else [eos]):
        return "eos"
    if len(token_ids) == plan.config.max_new_tokens:
        return "length"
    return "interrupted" if observer.interrupted else "stopping_criterion"


def _rows_RLH(rows: AttentionRows) -> dict[str, F32]:
    """Row metric name -> (rows, L, H) of the only sequence of the batch."""
    names = ("self_weight", *ROW_FIELDS)
    return {name: getattr(rows, name)[:, 0].permute(2, 0, 1).cpu().numpy().copy() for name in names}


def _describe_model(model: PreTrainedModel, source: ModelSource) -> dict[str, Any]:
    return {
        "name": source.name,
        "weights_sha256": source.weights_sha256(),
        "model_type": model.config.model_type,
        "num_parameters": model.num_parameters(),
        "num_hidden_layers": model.config.num_hidden_layers,
        "num_attention_heads": model.config.num_attention_heads,
        "dtype": str(model.dtype).removeprefix("torch."),
        "device": str(model.device),
        "attn_implementation": model.config._attn_implementation,
        "traced_with": "sdpa for the prompt, explicit rows for each token after it",
    }


def _versions() -> dict[str, str]:
    return {
        "eigencore": __version__,
        "python": platform.python_version(),
        "torch": torch.__version__,
        "transformers": transformers.__version__,
        "numpy": np.__version__,
    }
