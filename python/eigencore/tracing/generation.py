"""trace_generation: rides on transformers' own `generate`, so that what it traces is what the user would have got."""

from __future__ import annotations

import copy
import platform
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
import transformers
from transformers import GenerationConfig, PreTrainedModel, PreTrainedTokenizerBase, StoppingCriteria

from eigencore import _core
from eigencore.capture import AttentionRows, tap
from eigencore.capture.row_reduction import ROW_FIELDS
from eigencore.errors import InputError
from eigencore.metrics.catalogue import select_metrics
from eigencore.models import ModelSource, load_source, locate_model
from eigencore.tracing.detokenize import token_texts
from eigencore.tracing.loops import find_loop
from eigencore.tracing.signals import OUTPUT_SIGNALS, output_signals, repetition_4gram
from eigencore.tracing.trace import F32, F64, Trace
from eigencore.version import __version__

Progress = Callable[[int], None]
_UNSUPPORTED = {"num_beams": 1, "num_return_sequences": 1, "use_cache": True}
_SAMPLING = ("temperature", "top_k", "top_p")


def trace_generation(
    model: str | Path | PreTrainedModel,
    prompt: str,
    *,
    max_new_tokens: int = 200,
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
        seed: of torch's random numbers, for this call alone.
        tokenizer: of a loaded model.
        dtype, device: for a model given by name, as in `load_model`.
        loop: options of `find_loop`: max_pattern_size, min_pattern_size, min_count, min_count_simple.
        progress: called with the number of tokens generated so far.
        **generation: as in `model.generate` (do_sample, temperature, top_k, top_p, repetition_penalty, …). What is not
            given comes from the model's generation_config. Giving temperature, top_k or top_p means do_sample=True
            unless do_sample is given too.

    Raises:
        InputError: empty prompt, one that does not fit the context, an unknown or unsupported generation option.
        ModelNotFoundError, ModelError: the model cannot be had.
        UnsupportedModelError, CaptureError: its attention cannot be captured.
    """
    _check_request(prompt, max_new_tokens)
    source, loaded, tokenizer = _model_and_tokenizer(model, tokenizer, dtype, device)
    config, overridden = _generation_config(loaded, max_new_tokens, generation)
    inputs = tokenizer(prompt, return_tensors="pt", return_token_type_ids=False).to(loaded.device)
    _check_context(loaded, inputs["input_ids"].shape[1], max_new_tokens)
    observer = _StepObserver(progress)
    attn_implementation = loaded.config._attn_implementation
    with torch.random.fork_rng(), torch.no_grad(), observer.watch(loaded), tap(loaded) as tapped:
        torch.manual_seed(seed)
        try:
            output = cast("Any", loaded).generate(**inputs, generation_config=config, stopping_criteria=[observer])
        except ValueError as error:
            raise InputError(f"generate refused its options: {str(error).splitlines()[0]}") from error
    P = inputs["input_ids"].shape[1]
    prompt_ids, token_ids = output[0, :P].tolist(), output[0, P:].tolist()
    rows = _rows_RLH(tapped.rows)
    tokens = token_texts(tokenizer, token_ids, prompt_ids)
    return Trace(
        model=_describe_model(loaded, source, attn_implementation),
        settings={
            "max_new_tokens": max_new_tokens,
            "seed": seed,
            "generation": _plain(config.to_diff_dict()),
            "overridden": _plain(overridden),
        },
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

    def signals(self) -> dict[str, F64]:
        """Signal name -> (S,)."""
        table = torch.stack(self._signals).cpu().numpy()
        return {name: table[:, i].copy() for i, name in enumerate(OUTPUT_SIGNALS)}


def _check_request(prompt: str, max_new_tokens: int) -> None:
    if not prompt:
        raise InputError("the prompt is empty; give at least one character")
    if max_new_tokens < 1:
        raise InputError(f"max_new_tokens must be at least 1, got {max_new_tokens}")


def _model_and_tokenizer(
    model: str | Path | PreTrainedModel, tokenizer: PreTrainedTokenizerBase | None, dtype: str, device: str
) -> tuple[ModelSource, PreTrainedModel, PreTrainedTokenizerBase]:
    if not isinstance(model, PreTrainedModel):
        source = locate_model(model)
        return source, *load_source(source, dtype=dtype, device=device)
    if tokenizer is None:
        raise InputError("a loaded model needs its tokenizer: trace_generation(model, prompt, tokenizer=tokenizer)")
    name = str(getattr(model.config, "_name_or_path", "") or type(model).__name__)
    folder = Path(name)
    return ModelSource(name, folder if folder.is_dir() else None), model, tokenizer


def _generation_config(
    model: PreTrainedModel, max_new_tokens: int, asked: dict[str, Any]
) -> tuple[GenerationConfig, dict[str, Any]]:
    """The model's generation_config with what was asked for on top, and the part of that which changes it."""
    asked = dict(asked)
    if any(asked.get(name) is not None for name in _SAMPLING):
        asked.setdefault("do_sample", True)
    for name, only in _UNSUPPORTED.items():
        if asked.get(name, getattr(model.generation_config, name, None)) not in (only, None):
            raise InputError(
                f"a trace follows one sequence with a cache: {name} must be {only!r}, got {asked.get(name)!r}"
            )
    config = copy.deepcopy(model.generation_config)
    own = {name: getattr(config, name, None) for name in asked}
    unknown = config.update(**asked)  # type: ignore[no-untyped-call]
    if unknown:
        raise InputError(
            f"unknown generation option {', '.join(map(repr, unknown))}; see transformers' GenerationConfig"
        )
    config.max_new_tokens, config.max_length = max_new_tokens, None
    return config, {name: value for name, value in asked.items() if value != own[name]}


def _check_context(model: PreTrainedModel, P: int, max_new_tokens: int) -> None:
    if P == 0:
        raise InputError("the prompt has no tokens; give at least one")
    context = getattr(model.config, "max_position_embeddings", None)
    if context is not None and P + max_new_tokens > context:
        raise InputError(
            f"the prompt has {P} tokens and max_new_tokens is {max_new_tokens}, together more than the model's context "
            f"of {context}; shorten one of them"
        )


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


def _describe_model(model: PreTrainedModel, source: ModelSource, attn_implementation: str) -> dict[str, Any]:
    return {
        "name": source.name,
        "weights_sha256": source.weights_sha256(),
        "model_type": model.config.model_type,
        "num_parameters": model.num_parameters(),
        "num_hidden_layers": model.config.num_hidden_layers,
        "num_attention_heads": model.config.num_attention_heads,
        "dtype": str(model.dtype).removeprefix("torch."),
        "device": str(model.device),
        "attn_implementation": attn_implementation,
    }


def _versions() -> dict[str, str]:
    return {
        "eigencore": __version__,
        "python": platform.python_version(),
        "torch": torch.__version__,
        "transformers": transformers.__version__,
        "numpy": np.__version__,
    }


def _plain(values: dict[str, Any]) -> dict[str, Any]:
    """Values that JSON can hold as they are; others by their text."""
    simple = (bool, int, float, str, type(None))
    return {
        k: v
        if isinstance(v, simple)
        else [str(x) if not isinstance(x, simple) else x for x in v]
        if isinstance(v, (list, tuple))
        else str(v)
        for k, v in values.items()
    }
