"""What is asked of a trace, checked before anything is generated."""

from __future__ import annotations

import copy
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from transformers import GenerationConfig, PreTrainedModel, PreTrainedTokenizerBase

from eigencore.capture.attention_tap import check_spectrum
from eigencore.errors import InputError
from eigencore.models import ModelSource, load_source, locate_model
from eigencore.tracing.loops import find_loop

_SAMPLING = ("temperature", "top_k", "top_p")
_ONLY = {"num_beams": 1, "num_return_sequences": 1, "use_cache": True}
"""Options that a trace knows one value of: it follows one sequence, with its cache."""
_REFUSED = (
    "guidance_scale",
    "prompt_lookup_num_tokens",
    "assistant_early_exit",
    "return_dict_in_generate",
    "max_length",
)


@dataclass(frozen=True)
class GenerationPlan:
    """How a text will be generated."""

    config: GenerationConfig
    """The model's generation_config with what was asked for on top."""
    overridden: dict[str, Any]
    """What was asked for and differs from the model's own."""

    def describe(self) -> dict[str, Any]:
        """generation (the options in force; what is not set is left out) and overridden, as JSON can hold them."""
        values = {k: v for k, v in self.config.to_dict().items() if v is not None and not k.startswith("_")}
        values.pop("transformers_version", None)
        in_force = values | {"do_sample": bool(self.config.do_sample)}
        return {"generation": _plain(in_force), "overridden": _plain(self.overridden)}


def check_request(prompt: str, max_new_tokens: int, seed: int, loop: dict[str, int], spectrum: str, every: int) -> None:
    """Raises InputError for what no model could make a trace of."""
    if not isinstance(prompt, str):
        raise InputError(f"the prompt must be one text, got {type(prompt).__name__}; call once for each prompt")
    if not prompt:
        raise InputError("the prompt is empty; give at least one character")
    try:
        prompt.encode("utf-8")
    except UnicodeEncodeError as error:
        raise InputError(f"the prompt is no valid Unicode text: {error.reason} at position {error.start}") from error
    if not isinstance(max_new_tokens, int) or max_new_tokens < 1:
        raise InputError(f"max_new_tokens must be a whole number of at least 1, got {max_new_tokens}")
    check_spectrum(spectrum)
    if not isinstance(every, int) or not 1 <= every < 2**31:
        raise InputError(f"every must be a whole number from 1 to 2**31 - 1, got {every}")
    if not isinstance(seed, int) or not 0 <= seed < 2**63:
        raise InputError(f"seed must be a whole number from 0 to 2**63 - 1, got {seed}")
    try:
        find_loop([], [], **loop)
    except TypeError as error:
        raise InputError(f"loop takes the options of find_loop; got {loop!r}: {error}") from error


def model_and_tokenizer(
    model: str | Path | PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase | None,
    source: ModelSource | None,
    dtype: str,
    device: str,
) -> tuple[ModelSource, PreTrainedModel, PreTrainedTokenizerBase]:
    """A model by name, loaded; or a loaded one, with what is known of its source."""
    if not isinstance(model, PreTrainedModel):
        if tokenizer is not None or source is not None:
            raise InputError(
                f"model {str(model)!r} comes with its own tokenizer; pass tokenizer= with a loaded model only"
            )
        located = locate_model(model)
        return located, *load_source(located, dtype=dtype, device=device)
    if tokenizer is None:
        raise InputError("a loaded model needs its tokenizer: trace_generation(model, prompt, tokenizer=tokenizer)")
    if source is None:
        source = ModelSource(str(getattr(model.config, "_name_or_path", "") or type(model).__name__), None)
    return source, model, tokenizer


def plan_generation(model: PreTrainedModel, max_new_tokens: int, asked: dict[str, Any]) -> GenerationPlan:
    """The model's generation_config, and what was asked for on top of it.

    Raises:
        InputError: an unknown option, or one under which there is not one sequence with its cache.
    """
    if asked.get("temperature") == 0:
        raise InputError("temperature 0 has no distribution; for greedy decoding leave it out, or say do_sample=False")
    for name in _REFUSED:
        if asked.get(name) is not None:
            raise InputError(f"a trace cannot follow generation with {name}={asked[name]!r}; leave it out")
    asked = dict(asked)
    filters = [name for name in _SAMPLING if asked.get(name) is not None]
    if filters and not asked.setdefault("do_sample", True):
        raise InputError(f"{', '.join(filters)} has no effect on greedy decoding; leave it out, or sample")
    config = copy.deepcopy(model.generation_config)
    own = {name: getattr(config, name, None) for name in asked}
    unknown = config.update(**asked)  # type: ignore[no-untyped-call]
    if unknown:
        raise InputError(
            f"unknown generation option {', '.join(map(repr, unknown))}; see transformers' GenerationConfig"
        )
    for name, only in _ONLY.items():
        if getattr(config, name, None) not in (only, None):
            raise InputError(
                f"a trace follows one sequence with its cache: {name} must be {only!r}, got {getattr(config, name)!r}"
            )
    config.max_new_tokens, config.max_length = max_new_tokens, None
    return GenerationPlan(config, {name: value for name, value in asked.items() if value != own[name]})


def encode_prompt(tokenizer: PreTrainedTokenizerBase, prompt: str, apply_chat_template: bool) -> Any:
    """input_ids and attention_mask (1, P), as generate takes them.

    Raises:
        InputError: a chat template is asked for, and the tokenizer has none.
    """
    if not apply_chat_template:
        return tokenizer(prompt, return_tensors="pt", return_token_type_ids=False)
    if getattr(tokenizer, "chat_template", None) is None:
        raise InputError("the tokenizer has no chat template; leave apply_chat_template out, or take a chat model")
    return tokenizer.apply_chat_template(
        [{"role": "user", "content": prompt}], add_generation_prompt=True, return_tensors="pt", return_dict=True
    )


def check_context(model: PreTrainedModel, P: int, max_new_tokens: int) -> None:
    """Raises InputError where P prompt tokens and the tokens to come do not fit the model's positions."""
    if P == 0:
        raise InputError("the prompt has no tokens; give at least one")
    context = getattr(model.config, "max_position_embeddings", None)
    # The last token is generated, but never fed.
    if context is not None and P + max_new_tokens - 1 > context:
        raise InputError(
            f"the prompt has {P} tokens and max_new_tokens is {max_new_tokens}, together more than the model's context "
            f"of {context}; shorten one of them"
        )


def _plain(values: dict[str, Any]) -> dict[str, Any]:
    def plain(value: Any) -> Any:
        if isinstance(value, (list, tuple)):
            return [plain(item) for item in value]
        return value if isinstance(value, (bool, int, float, str, type(None))) else str(value)

    return {name: plain(value) for name, value in values.items()}
