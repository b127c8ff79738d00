"""trace_generation: rides on transformers' own `generate`, so that what it traces is what the user would have got."""

from __future__ import annotations

import platform
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
import transformers
from transformers import PreTrainedModel, PreTrainedTokenizerBase, StoppingCriteria

from eigencore import _core
from eigencore.capture import AttentionRows, tap
from eigencore.capture.attention_tap import require_eigen
from eigencore.capture.row_reduction import ROW_FIELDS
from eigencore.errors import CaptureError, EigencoreError, InputError
from eigencore.metrics.catalogue import select_metrics
from eigencore.models import ModelSource
from eigencore.tracing.detokenize import token_texts
from eigencore.tracing.loops import find_loop
from eigencore.tracing.request import GenerationPlan, check_context, check_request, model_and_tokenizer, plan_generation
from eigencore.tracing.signals import OUTPUT_SIGNALS, output_signals, repetition_4gram
from eigencore.tracing.trace import F32, F64, Trace
from eigencore.version import __version__

Progress = Callable[[int], None]


def trace_generation(
    model: str | Path | PreTrainedModel,
    prompt: str,
    *,
    max_new_tokens: int = 200,
    spectrum: str = "eigen",
    seed: int = 0,
    tokenizer: PreTrainedTokenizerBase | None = None,
    dtype: str = "float32",
    device: str = "auto",
    loop: dict[str, int] | None = None,
    progress: Progress | None = None,
    **generation: Any,
) -> Trace:
    """Generates from a prompt and records what attention did at every step, layer and head.

    Args:
        model: "tiny", "smollm2", a folder, a hub id, or a loaded model (then with `tokenizer`).
        prompt: as it is; no chat template is put around it.
        max_new_tokens: at most so many; an end-of-sequence token ends the text before.
        spectrum: "eigen", the one spectrum that a trace forms.
        seed: of torch's random numbers, which are as before afterwards.
        tokenizer: of a loaded model.
        dtype, device: for a model given by name, as in `load_model`.
        loop: options of `find_loop`: max_pattern_size, min_pattern_size, min_count, min_count_simple.
        progress: called with the number of tokens generated so far.
        **generation: as in `model.generate` (do_sample, temperature, top_k, top_p, repetition_penalty, …). What is not
            given comes from the model's generation_config. Giving temperature, top_k or top_p means do_sample=True
            unless do_sample is given too.

    Raises:
        InputError: empty prompt, one that does not fit the context, an unknown or unsupported option.
        ModelNotFoundError, ModelError: the model cannot be had.
        UnsupportedModelError, CaptureError: its attention cannot be captured.
    """
    require_eigen(spectrum)
    check_request(prompt, max_new_tokens, seed, loop or {})
    source, loaded, tokenizer = model_and_tokenizer(model, tokenizer, dtype, device)
    plan = plan_generation(loaded, max_new_tokens, generation)
    inputs = tokenizer(prompt, return_tensors="pt", return_token_type_ids=False).to(loaded.device)
    P = inputs["input_ids"].shape[1]
    check_context(loaded, P, max_new_tokens)
    observer = _StepObserver(progress)
    with torch.random.fork_rng(), torch.no_grad():
        torch.manual_seed(seed)
        token_ids, rows = _generate(loaded, tokenizer, inputs, plan, observer)
    prompt_ids = inputs["input_ids"][0].tolist()
    tokens = token_texts(tokenizer, token_ids, prompt_ids)
    return Trace(
        model=_describe_model(loaded, source),
        settings={"max_new_tokens": max_new_tokens, "seed": seed, **plan.describe()},
        versions=_versions(),
        prompt=prompt,
        prompt_token_ids=prompt_ids,
        prompt_tokens=token_texts(tokenizer, prompt_ids),
        token_ids=token_ids,
        tokens=tokens,
        signals=observer.signals() | {"repetition_4gram": repetition_4gram(token_ids)},
        metrics=_metrics_SLH(rows["log_self_weight"], P),
        rows=rows,
        loop=find_loop(token_ids, tokens, **(loop or {})),
    )


def _generate(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    inputs: Any,
    plan: GenerationPlan,
    observer: _StepObserver,
) -> tuple[list[int], dict[str, F32]]:
    """The tokens generated, and row metric name -> (rows, L, H)."""
    own = model.generation_config
    # generate fills what is None from the model's own config; for this call that is the plan too, so that an option
    # asked for as None is None.
    model.generation_config = plan.config
    try:
        with observer.watch(model), tap(model) as tapped:
            output = cast("Any", model).generate(
                **inputs, generation_config=plan.config, stopping_criteria=[observer], tokenizer=tokenizer
            )
    except ValueError as error:
        if observer.num_steps or isinstance(error, EigencoreError):
            raise
        raise InputError(f"generate refused its options: {str(error).splitlines()[0]}") from error
    finally:
        model.generation_config = own
    P, rows = inputs["input_ids"].shape[1], _rows_RLH(tapped.rows)
    token_ids = output[0, P:].tolist()
    if not len(token_ids) == observer.num_steps == len(rows["self_weight"]) - P + 1:
        raise CaptureError(
            f"{len(token_ids)} tokens came of {observer.num_steps} steps; a trace needs one forward pass for each token"
        )
    return token_ids, rows


class _StepObserver(StoppingCriteria):
    """Sits where `generate` asks whether to stop, sees each token as it is chosen, and never stops it."""

    def __init__(self, progress: Progress | None) -> None:
        self._progress = progress
        self._logits: torch.Tensor | None = None
        self._signals: list[torch.Tensor] = []

    @contextmanager
    def watch(self, model: PreTrainedModel) -> Iterator[None]:
        """Keeps the model's raw logits of the newest position while the block lasts."""

        def keep(module: torch.nn.Module, args: tuple[Any, ...], output: Any) -> None:
            self._logits = output.logits[0, -1]

        hook = model.register_forward_hook(keep)
        try:
            yield
        finally:
            hook.remove()

    def __call__(self, input_ids: torch.Tensor, scores: Any, **kwargs: Any) -> torch.Tensor:
        assert self._logits is not None
        self._signals.append(output_signals(self._logits, input_ids[0, -1]))
        if self._progress is not None:
            self._progress(len(self._signals))
        return torch.zeros(input_ids.shape[0], dtype=torch.bool, device=input_ids.device)

    @property
    def num_steps(self) -> int:
        """Tokens chosen so far."""
        return len(self._signals)

    def signals(self) -> dict[str, F64]:
        """Signal name -> (S,)."""
        table = torch.stack(self._signals).cpu().numpy()
        return {name: table[:, i].copy() for i, name in enumerate(OUTPUT_SIGNALS)}


def _rows_RLH(rows: AttentionRows) -> dict[str, F32]:
    """Row metric name -> (rows, L, H) of the only sequence of the batch."""
    names = ("self_weight", *ROW_FIELDS)
    return {name: getattr(rows, name)[:, 0].permute(2, 0, 1).cpu().numpy().copy() for name in names}


def _metrics_SLH(log_self_weight: F32, P: int) -> dict[str, F64]:
    """Eigen metric name -> (S, L, H): the spectrum grows by one eigenvalue per row, and is never computed anew."""
    R, L, H = log_self_weight.shape
    running = _core.RunningSpectra(L * H)
    table = np.empty((R - P + 1, L * H, len(_core.METRIC_NAMES)))
    for row in range(R):
        metrics = running.append(log_self_weight[row].reshape(-1).astype(np.float64))
        if row >= P - 1:
            table[row - P + 1] = metrics
    names = select_metrics(None, singular=False)
    return {name: table[:, :, i].reshape(-1, L, H).copy() for i, name in enumerate(_core.METRIC_NAMES) if name in names}


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
