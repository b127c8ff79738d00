"""What a tap keeps: one record per sequence (batch of sequences), growing row by row with the cache."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from eigencore.capture.row_reduction import ROW_FIELDS
from eigencore.errors import CaptureError

_FIRST_CAPACITY = 64


@dataclass(frozen=True)
class AttentionRows:
    """Row metrics of every attention row that was seen, float32, on the model's device; NaN on padding."""

    log_self_weight: torch.Tensor
    """(L, B, H, T) ln a_ii <= 0, exact where the weight itself underflows."""
    row_entropy: torch.Tensor
    """(L, B, H, T) entropy of each row, in bits, in [0, log2 of the keys seen]."""
    row_participation: torch.Tensor
    """(L, B, H, T) 1 / sum_j a_ij**2, in [1, keys seen]."""
    sink_weight: torch.Tensor
    """(L, B, H, T) weight on the first token that is no padding, in [0, 1]."""
    max_weight: torch.Tensor
    """(L, B, H, T) largest weight of each row, in [0, 1]."""
    max_logit: torch.Tensor
    """(L, B, H, T) largest scaled score of each row."""
    logit_std: torch.Tensor
    """(L, B, H, T) population standard deviation of the scaled scores of each row."""

    @property
    def self_weight(self) -> torch.Tensor:
        """(L, B, H, T) a_ii, in [0, 1]: the eigenvalues of the causal attention matrix."""
        return self.log_self_weight.exp()


class AttentionRecord:
    """Rows of one batch of sequences, from its first token on."""

    def __init__(self, num_layers: int) -> None:
        self._num_layers = num_layers
        self._buffer: torch.Tensor | None = None
        self.length = 0
        """Number of tokens whose rows are complete in every layer."""

    @property
    def rows(self) -> AttentionRows:
        """The complete rows, as views."""
        if self._buffer is None or self.length == 0:
            raise CaptureError("no complete forward pass was seen")
        return AttentionRows(*self._buffer[..., : self.length].unbind(0))

    def truncate(self, length: int) -> None:
        """Forgets rows beyond `length`: the cache was cropped, or a forward pass did not come to its end."""
        self.length = min(self.length, length)

    def write(self, layer_idx: int, start: int, statistics: torch.Tensor) -> None:
        """statistics: (len(ROW_FIELDS), B, H, T_q), of the tokens from position `start` on."""
        _, B, H, T = statistics.shape
        buffer = self._reserve(B, H, start + T, statistics.device)
        if buffer.shape[2:4] != (B, H):
            raise CaptureError(
                f"layer {layer_idx} attends with batch {B} and {H} heads where the record has batch "
                f"{buffer.shape[2]} and {buffer.shape[3]} heads; start a new record by a forward without a cache"
            )
        buffer[:, layer_idx, :, :, start : start + T] = statistics.to(buffer.device)

    def _reserve(self, B: int, H: int, capacity: int, device: torch.device) -> torch.Tensor:
        if self._buffer is None:
            size = max(_FIRST_CAPACITY, capacity)
            self._buffer = torch.full((len(ROW_FIELDS), self._num_layers, B, H, size), torch.nan, device=device)
        elif self._buffer.shape[-1] < capacity:
            grown = torch.full_like(self._buffer, torch.nan).repeat(
                1, 1, 1, 1, 2 * capacity // self._buffer.shape[-1] + 1
            )
            grown[..., : self.length] = self._buffer[..., : self.length]
            self._buffer = grown
        return self._buffer
