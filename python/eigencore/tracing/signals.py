"""Output-side signals: what the next-token distribution and the text say, beside what attention says."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import torch

if TYPE_CHECKING:
    from collections.abc import Sequence

SIGNAL_DESCRIPTIONS = {
    "next_token_entropy": "entropy of the model's next-token distribution, before any sampling filter; bits",
    "top1_probability": "probability of the most probable next token; 0 ... 1",
    "margin": "difference of the two highest logits = ln p_1 - ln p_2; nats, at least 0",
    "surprisal": "-log2 of the probability of the token that was generated; bits",
    "repetition_4gram": "1 - distinct / all 4-grams generated so far (Welleck et al. 2020); NaN before the 4th",
}
TOP_TOKENS = 10
"""How many of the most probable next tokens a trace keeps at each step."""
OUTPUT_SIGNALS = ("next_token_entropy", "top1_probability", "margin", "surprisal")


def output_signals(logits: torch.Tensor, token_id: torch.Tensor) -> torch.Tensor:
    """OUTPUT_SIGNALS (4,) float64 from raw logits (vocab,) and the token then generated; stays on their device."""
    log_p = logits.double().log_softmax(-1)
    top = log_p.topk(2).values
    entropy_nats = -(log_p.exp() * log_p.clamp(min=torch.finfo(log_p.dtype).min)).sum()
    surprisal_nats = 0.0 - log_p[token_id]
    return torch.stack((entropy_nats / math.log(2), top[0].exp(), top[0] - top[1], surprisal_nats / math.log(2)))


def top_next_tokens(logits: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """(K,) probabilities, float64, downwards, and (K,) token ids of the most probable next tokens; on their device.

    logits: (vocab,) raw. K is TOP_TOKENS, or the size of a smaller vocabulary.
    """
    probabilities, token_ids = logits.double().softmax(-1).topk(min(TOP_TOKENS, logits.shape[-1]))
    return probabilities, token_ids


def repetition_4gram(token_ids: Sequence[int]) -> npt.NDArray[np.float64]:
    """(S,) share of 4-grams, up to each step, that repeat an earlier one; NaN where there is none yet."""
    seen: set[tuple[int, ...]] = set()
    shares = np.full(len(token_ids), np.nan)
    for step in range(3, len(token_ids)):
        seen.add(tuple(token_ids[step - 3 : step + 1]))
        shares[step] = 1 - len(seen) / (step - 2)
    return shares
