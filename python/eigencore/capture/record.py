"""What a tap keeps: one record per sequence (batch of sequences), growing row by row with the cache."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from eigencore.capture.row_reduction import ROW_FIELDS
from eigencore.errors import CaptureError

_FIRST_CAPACITY = 64


@dataclass(frozen=True, eq=False)
class AttentionRows:
    """Row metrics of every attention row that was seen, float32, on the model's device; NaN on padding.

    Views of the record: rows that a cropped cache drops are overwritten by the next forward.
    """

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

    def __init__(self, num_layers: int, *, keeps_weights: bool = False) -> None:
        self._num_layers = num_layers
        self._weights: list[list[tuple[int, torch.Tensor]]] | None = (
            [[] for _ in range(num_layers)] if keeps_weights else None
        )
        self._buffer: torch.Tensor | None = None
        self._is_token: torch.Tensor | None = None
        self.length = 0
        """Number of tokens whose rows are complete in every layer."""

    @property
    def rows(self) -> AttentionRows:
        """The complete rows, as views."""
        if self._buffer is None or self.length == 0:
            raise CaptureError("no complete forward pass was seen")
        return AttentionRows(*self._buffer[..., : self.length].unbind(0))

    @property
    def is_token(self) -> torch.Tensor:
        """(B, T) bool, False on padding."""
        if self._is_token is None or self.length == 0:
            raise CaptureError("no complete forward pass was seen")
        return self._is_token[:, : self.length]

    @property
    def num_layers(self) -> int:
        return self._num_layers

    def weights(self, layer_idx: int) -> torch.Tensor:
        """(B, H, T, T) attention weights of one layer, zero above the diagonal; of a record that keeps them."""
        if self._weights is None or self.length == 0:
            raise CaptureError("no attention weights were kept")
        blocks = self._weights[layer_idx]
        _, first = blocks[0]
        matrix = first.new_zeros(*first.shape[:2], self.length, self.length)
        for start, block in blocks:
            stop = min(start + block.shape[2], self.length)
            matrix[:, :, start:stop, : min(block.shape[3], self.length)] = block[:, :, : stop - start, : self.length]
        return matrix

    def keep_weights(self, layer_idx: int, start: int, blocks: list[torch.Tensor]) -> None:
        """Keeps consecutive blocks (B, H, Q, K) of one layer's weights, the first of which begins at row `start`."""
        assert self._weights is not None
        # What a cropped cache dropped is written anew.
        kept = [(s, block[:, :, : start - s]) for s, block in self._weights[layer_idx] if s < start]
        for block in blocks:
            kept.append((start, block))
            start += block.shape[2]
        self._weights[layer_idx] = kept

    def reorder(self, beam_idx: torch.Tensor) -> None:
        """Row b becomes that of sequence beam_idx[b], as beam search does with the cache."""
        if self._buffer is not None and self._is_token is not None:
            self._buffer = self._buffer.index_select(2, beam_idx.to(self._buffer.device))
            self._is_token = self._is_token.index_select(0, beam_idx.to(self._is_token.device))
        for layer in self._weights or ():
            layer[:] = [(start, block.index_select(0, beam_idx.to(block.device))) for start, block in layer]

    def truncate(self, length: int) -> None:
        """Forgets rows beyond `length`: the cache was cropped, or a forward pass did not come to its end."""
        self.length = min(self.length, length)

    def write(self, layer_idx: int, start: int, statistics: torch.Tensor, is_token: torch.Tensor | None) -> None:
        """One layer's rows from position `start` on.

        Args:
            layer_idx: of the layer.
            start: position of the first row.
            statistics: (len(ROW_FIELDS), B, H, T_q).
            is_token: (B or 1, T_q) False on padding; None: no padding.
        """
        _, B, H, T = statistics.shape
        if self._buffer is not None and self._buffer.shape[2:4] != (B, H):
            known_B, known_H = self._buffer.shape[2:4]
            raise CaptureError(
                f"layer {layer_idx} attends with batch {B} and {H} heads where the record has batch {known_B} and "
                f"{known_H} heads; start a new record by a forward without a cache"
            )
        buffer, tokens = self._reserve(B, H, start + T, statistics.device)
        buffer[:, layer_idx, :, :, start : start + T] = statistics
        tokens[:, start : start + T] = True if is_token is None else is_token

    def _reserve(self, B: int, H: int, capacity: int, device: torch.device) -> tuple[torch.Tensor, torch.Tensor]:
        if self._buffer is None or self._is_token is None or self._buffer.shape[-1] < capacity:
            size = max(_FIRST_CAPACITY, capacity if self._buffer is None else 2 * capacity)
            # Not inference tensors, even where the first forward ran in inference mode: a later one may not.
            with torch.inference_mode(False):
                shape = (len(ROW_FIELDS), self._num_layers, B, H, size)
                buffer = torch.full(shape, torch.nan, dtype=torch.float32, device=device)
                tokens = torch.zeros(B, size, dtype=torch.bool, device=device)
            if self._buffer is not None and self._is_token is not None:
                buffer[..., : self.length] = self._buffer[..., : self.length]
                tokens[:, : self.length] = self._is_token[:, : self.length]
            self._buffer, self._is_token = buffer, tokens
        return self._buffer, self._is_token
