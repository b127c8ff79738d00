"""A trace made by hand, whose text is meant to break whatever shows it. No model has seen it."""

from __future__ import annotations

import numpy as np

from eigencore.metrics.catalogue import SPECTRUM_METRICS
from eigencore.tracing import LoopEvent, Trace
from eigencore.tracing.signals import SIGNAL_DESCRIPTIONS

HOSTILE_MARKUP = "<script>alert(1)</script>"
ROW_NAMES = (
    "self_weight",
    "log_self_weight",
    "row_entropy",
    "row_participation",
    "sink_weight",
    "max_weight",
    "max_logit",
    "logit_std",
)
METRIC_NAMES = tuple(metric.name for metric in SPECTRUM_METRICS if not metric.singular_only)
LAYERS, HEADS = 2, 3
PROMPT_TOKENS = ("Say", ' "it\'s"', " &amp;", HOSTILE_MARKUP, "\n")
BEFORE_THE_LOOP = (" once", " <b>", " 👩‍👩‍👧", " naïve", ' "&"', " </div>", HOSTILE_MARKUP, "\n\n")
PATTERN = (" round", " &", " '<i>'")
COPIES = 4


def synthetic_trace(*, prompt_size: int = len(PROMPT_TOKENS), loop: bool = True, rng_seed: int = 7) -> Trace:
    """A trace of `LAYERS` x `HEADS` with NaN and infinities where a real one has them.

    Args:
        prompt_size: how many of PROMPT_TOKENS it starts from.
        loop: whether the text goes on, behind BEFORE_THE_LOOP, with COPIES of PATTERN and the beginning of one more.
        rng_seed: of the numbers.
    """
    rng = np.random.default_rng(rng_seed)
    tokens = [*BEFORE_THE_LOOP, *(PATTERN * COPIES + PATTERN[:1] if loop else ())]
    P, S = prompt_size, len(tokens)
    first = len(BEFORE_THE_LOOP)
    metrics = {name: rng.uniform(0.1, 0.9, (S, LAYERS, HEADS)) for name in METRIC_NAMES}
    metrics["condition_number"] = 10 ** rng.uniform(1, 300, (S, LAYERS, HEADS))
    metrics["condition_number"][0] = np.nan
    metrics["condition_number"][2, 1, 0] = np.inf
    metrics["condition_number"][:, 1, 2] = np.inf
    metrics["log_abs_det"] = rng.uniform(-700, -1, (S, LAYERS, HEADS))
    metrics["log_abs_det"][:, 1, 2] = -np.inf
    singular = {name: rng.uniform(0.1, 0.9, (S, LAYERS, HEADS)) for name in (*METRIC_NAMES, "stable_rank")}
    for values in (*metrics.values(), *singular.values()):
        values[1::2] = np.nan
    rows = {name: rng.uniform(0, 2, (P + S - 1, LAYERS, HEADS)).astype(np.float32) for name in ROW_NAMES}
    rows["log_self_weight"] = -rng.uniform(0, 12, (P + S - 1, LAYERS, HEADS)).astype(np.float32)
    rows["log_self_weight"][0] = 0
    rows["log_self_weight"][1, 0, 1] = -200
    rows["self_weight"] = np.exp(rows["log_self_weight"])
    signals = {name: rng.uniform(0, 5, S) for name in SIGNAL_DESCRIPTIONS}
    signals["repetition_4gram"][:3] = np.nan
    return Trace(
        model={
            "name": "synthetic <model> & co",
            "weights_sha256": None,
            "model_type": "llama",
            "num_parameters": 1234,
            "num_hidden_layers": LAYERS,
            "num_attention_heads": HEADS,
            "dtype": "float32",
            "device": "cpu",
            "attn_implementation": "sdpa",
        },
        settings={
            "max_new_tokens": S,
            "seed": 3,
            "spectrum": "singular",
            "every": 2,
            "apply_chat_template": False,
            "generation": {"do_sample": True, "temperature": 0.1 + 0.2, "eos_token_id": [0, 2]},
            "overridden": {"do_sample": True, "temperature": 0.1 + 0.2},
        },
        versions={"eigencore": "0", "numpy": np.__version__},
        prompt="".join(PROMPT_TOKENS[:P]),
        prompt_token_ids=list(range(100, 100 + P)),
        prompt_tokens=list(PROMPT_TOKENS[:P]),
        token_ids=[200 + tokens.index(token) for token in tokens],
        tokens=tokens,
        stop_reason="length",
        signals=signals,
        top_token_ids=[[200 + tokens.index(token), 7, 8] for token in tokens],
        top_tokens=[[token, HOSTILE_MARKUP, "\ufffd"] for token in tokens],
        top_token_probabilities=np.sort(rng.dirichlet(np.ones(4), S)[:, :3])[:, ::-1].copy(),
        metrics=metrics,
        singular_metrics=singular,
        rows=rows,
        loop=LoopEvent(first, first + len(PATTERN), len(PATTERN), COPIES, "".join(PATTERN)) if loop else None,
    )
