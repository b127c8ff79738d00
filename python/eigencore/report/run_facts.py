"""The facts of a run in words: what was run, how, and with what."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from eigencore.tracing import Trace

STOP_REASONS = {
    "length": "it has the number of tokens asked for",
    "eos": "the model wrote its end-of-sequence token",
    "interrupted": "interrupted: this trace is partial",
    "stopping_criterion": "one of the stopping options of generate held",
}
_LABELS = {
    "name": "name",
    "weights_sha256": "SHA-256 of the weights",
    "model_type": "architecture",
    "num_parameters": "parameters",
    "num_hidden_layers": "layers",
    "num_attention_heads": "heads per layer",
    "dtype": "computed in",
    "device": "on",
    "attn_implementation": "attention of the model",
    "traced_with": "attention while traced",
    "max_new_tokens": "tokens asked for",
    "seed": "seed",
    "spectrum": "spectrum",
    "every": "spectrum measured every … steps",
    "apply_chat_template": "chat template",
}


def run_facts(trace: Trace) -> list[tuple[str, str, str]]:
    """(group, label, value) in the order in which the page lists them."""
    settings = {key: value for key, value in trace.settings.items() if key not in ("generation", "overridden")}
    overridden = trace.settings["overridden"]
    generation = {**trace.settings["generation"], **overridden}
    return [
        ("Text", "prompt", trace.prompt),
        ("Text", "prompt tokens", str(len(trace.prompt_tokens))),
        ("Text", "generated tokens", str(trace.num_steps)),
        ("Text", "ends because", STOP_REASONS.get(trace.stop_reason, trace.stop_reason)),
        ("Text", "loop", _loop(trace)),
        *(("Model", _LABELS.get(key, key), _of_model(key, value)) for key, value in trace.model.items()),
        *(("Settings", _LABELS.get(key, key), _value(value)) for key, value in settings.items()),
        *(
            ("Generation options", key, _value(value) + (" (overrides the model's own)" if key in overridden else ""))
            for key, value in sorted(generation.items())
        ),
        *(("Versions", key, value) for key, value in trace.versions.items()),
    ]


def _loop(trace: Trace) -> str:
    if trace.loop is None:
        return "none"
    loop = trace.loop
    return (
        f"{loop.copies} complete copies of {loop.period} tokens; first copy from step {loop.first_copy_step}, "
        f"repeats from step {loop.onset_step}"
    )


def _of_model(key: str, value: Any) -> str:
    if key == "num_parameters":
        return f"{value:,}"
    return "not known: the model was in memory" if key == "weights_sha256" and value is None else _value(value)


def _value(value: Any) -> str:
    if value is None:
        return "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
