"""Attention rows reduced to a few numbers each, by blocks of queries: no T x T matrix, no kept keys.

Scores and sums are float32 for models of any lower precision, and float64 for float64 ones.

Shape legend: B batch, H query heads, G key/value heads, R = H / G query heads per key/value head, Q queries of a block,
K keys, D head width. Query head h = g R + r, as in repeat_kv.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch

ROW_FIELDS = (
    "log_self_weight",
    "row_entropy",
    "row_participation",
    "sink_weight",
    "max_weight",
    "max_logit",
    "logit_std",
)
"""What each row is reduced to, in the order in which `reduce_rows` stacks it."""

QUERY_BLOCK = 128


@dataclass(frozen=True)
class VisibleKeys:
    """Which keys each query of a forward pass sees."""

    offset: int
    """Number of tokens in the cache before this forward: query i stands at position offset + i."""
    mask: torch.Tensor | None
    """(B or 1, 1, T_q, K) bool with padding and causality in it, or None: every key up to the query's own position."""

    def tokens(self, T: int) -> torch.Tensor | None:
        """(B or 1, T) whether each query sees itself: one that does not is padding. None: all do."""
        if self.mask is None:
            return None
        return self.mask[:, 0, :, self.offset : self.offset + T].diagonal(dim1=-2, dim2=-1)

    def block(self, start: int, stop: int, device: torch.device) -> torch.Tensor | None:
        """(B or 1, 1, 1, Q, K) for queries start ... stop - 1 and keys up to the last one's own; None: all seen."""
        keys = self.offset + stop
        if self.mask is not None:
            return self.mask[:, :, None, start:stop, :keys]
        if stop - start == 1:
            return None
        own = torch.arange(self.offset + start, keys, device=device)
        return (torch.arange(keys, device=device) <= own[:, None])[None, None, None]


def logits_of_block(q_BHQD: torch.Tensor, k_BGKD: torch.Tensor, scaling: float) -> torch.Tensor:
    """Scaled scores (B, G, R, Q, K), accumulated in float32 or better."""
    B, H, Q, D = q_BHQD.shape
    G, accumulator = k_BGKD.shape[1], torch.promote_types(q_BHQD.dtype, torch.float32)
    q_BGXD = q_BHQD.to(accumulator).reshape(B, G, (H // G) * Q, D) * scaling
    return (q_BGXD @ k_BGKD.to(accumulator).transpose(-1, -2)).view(B, G, H // G, Q, -1)


def reduce_block(
    x_BGRQK: torch.Tensor, visible: torch.Tensor | None, first_position: int
) -> tuple[torch.Tensor, torch.Tensor]:
    """Softmax weights and row statistics of one block of queries.

    Args:
        x_BGRQK: scaled logits; overwritten.
        visible: broadcastable to it, or None where every query sees every key.
        first_position: the position, among the keys, of the block's first query.

    Returns:
        The weights (B, G, R, Q, K), and the statistics (len(ROW_FIELDS), B, G, R, Q). A query that does not see itself
        is padding: its statistics are NaN. One that sees nothing has weights of zero, as sdpa has it.
    """
    Q, _K = x_BGRQK.shape[-2:]
    if visible is not None:
        x_BGRQK = x_BGRQK.masked_fill_(~visible, -math.inf)
    max_logit = x_BGRQK.amax(-1, keepdim=True)
    x_BGRQK -= max_logit
    own = torch.arange(first_position, first_position + Q, device=x_BGRQK.device)
    self_logit = x_BGRQK.gather(-1, own.view(Q, 1).expand(*x_BGRQK.shape[:-1], 1)).squeeze(-1)
    p = x_BGRQK.exp()
    total = p.sum(-1, keepdim=True)
    p /= total
    if visible is None:
        finite_x, logit_std = x_BGRQK, x_BGRQK.std(-1, correction=0)
        sink_weight = p[..., 0]
    else:
        finite_x = x_BGRQK.masked_fill(~visible, 0.0)
        logit_std = _std_where(finite_x, visible)
        sink_weight = p.gather(-1, _first_seen_key(visible, p)).squeeze(-1)
    log_total = total.squeeze(-1).log()
    entropy_nats = log_total - (p * finite_x).sum(-1)
    statistics = torch.stack(
        (
            self_logit - log_total,
            entropy_nats.clamp(min=0) / math.log(2),
            1 / (p * p).sum(-1),
            sink_weight,
            1 / total.squeeze(-1),
            max_logit.squeeze(-1),
            logit_std,
        )
    )
    if visible is not None:
        sees_itself = visible.expand(x_BGRQK.shape[0], *visible.shape[1:]).gather(
            -1, own.view(Q, 1).expand(x_BGRQK.shape[0], *visible.shape[1:-1], 1)
        )
        statistics = statistics.masked_fill(~sees_itself.squeeze(-1), math.nan)
        p = p.masked_fill(~visible.any(-1, keepdim=True), 0.0)
    return p, statistics


def reduce_rows(
    q_BHQD: torch.Tensor, k_BGKD: torch.Tensor, scaling: float, keys: VisibleKeys, *, keep_weights: bool = False
) -> tuple[torch.Tensor, list[torch.Tensor]]:
    """A whole forward pass, in blocks of queries.

    Returns:
        The row statistics (len(ROW_FIELDS), B, H, T_q); and with `keep_weights` the weights (B, H, Q, K) of each block,
        else nothing more.
    """
    B, H, T = q_BHQD.shape[:3]
    out = torch.empty(len(ROW_FIELDS), B, H, T, dtype=torch.float32, device=q_BHQD.device)
    blocks = []
    for start in range(0, T, QUERY_BLOCK):
        stop = min(start + QUERY_BLOCK, T)
        x = logits_of_block(q_BHQD[:, :, start:stop], k_BGKD[:, :, : keys.offset + stop], scaling)
        p, statistics = reduce_block(x, keys.block(start, stop, x.device), keys.offset + start)
        out[..., start:stop] = statistics.flatten(2, 3)
        if keep_weights:
            blocks.append(p.flatten(1, 2))
    return out, blocks


def _std_where(x: torch.Tensor, visible: torch.Tensor) -> torch.Tensor:
    """Population standard deviation over the last dimension, where visible; x is 0 elsewhere."""
    count = visible.sum(-1, keepdim=True)
    mean = x.sum(-1, keepdim=True) / count
    deviation = (x - mean).masked_fill(~visible, 0.0)
    return ((deviation * deviation).sum(-1) / count.squeeze(-1)).sqrt()


def _first_seen_key(visible: torch.Tensor, like: torch.Tensor) -> torch.Tensor:
    """Index of the first key that each query sees, as an index into the last dimension of `like`."""
    first = visible.to(torch.uint8).argmax(-1, keepdim=True)
    return first.expand(*like.shape[:-1], 1)
