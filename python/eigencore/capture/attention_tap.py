"""The tap: row metrics of a model's attention, taken as it happens, with nothing changed in what the model computes.

transformers lets a model's attention be named; the tap registers one attention function and one mask function under its
own name, gives a model that name for as long as the tap is open, and counts that every attention layer called exactly
once per forward pass. Which tap a layer belongs to is looked up by the layer, so models do not disturb one another.
"""

from __future__ import annotations

import inspect
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

import numpy as np
import torch
from transformers import AttentionInterface, AttentionMaskInterface, PreTrainedModel
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.masking_utils import sdpa_mask

from eigencore.capture.record import AttentionRecord, AttentionRows
from eigencore.capture.row_reduction import VisibleKeys, logits_of_block, reduce_block, reduce_rows
from eigencore.errors import CaptureError, InputError, UnsupportedModelError
from eigencore.metrics import SpectralMetrics, metrics_from_log_magnitudes

if TYPE_CHECKING:
    from collections.abc import Iterator

SUPPORTED_MODEL_TYPES = ("llama",)
IMPLEMENTATION_NAME = "eigencore_tap"

_tap_of_layer: WeakKeyDictionary[torch.nn.Module, AttentionTap] = WeakKeyDictionary()


class AttentionTap:
    """What an open tap has seen. Make one with `tap`."""

    def __init__(self, num_layers: int) -> None:
        self.records: list[AttentionRecord] = []
        """One record per sequence (batch of sequences) seen, in order. A forward without a cache begins a new one."""
        self._num_layers = num_layers
        self._offset: int | None = None
        self._seen: dict[int, int] = {}

    @property
    def rows(self) -> AttentionRows:
        """Rows of the last record.

        Raises:
            CaptureError: no complete forward pass was seen.
        """
        if not self.records:
            raise CaptureError("no forward pass was seen; call the model inside the tap's `with` block")
        return self.records[-1].rows

    def metrics(self, spectrum: str = "eigen") -> SpectralMetrics:
        """Eigen metrics (L, B, H), as numpy, of the causal attention matrices of the last record; padding left out.

        Raises:
            CaptureError: no complete forward pass was seen.
            InputError: a spectrum other than "eigen": singular values need whole matrices, which a tap does not form.
        """
        if spectrum != "eigen":
            raise InputError(
                f"a tap sees rows, which give the spectrum 'eigen'; got {spectrum!r}. For singular values pass "
                "attention matrices to batch_metrics"
            )
        return metrics_from_log_magnitudes(self.rows.log_self_weight.cpu().numpy().astype(np.float64))

    def begin_forward(self, offset: int) -> None:
        """A forward pass over tokens from position `offset` on begins."""
        if offset == 0:
            self.records.append(AttentionRecord(self._num_layers))
        elif not self.records or offset > self.records[-1].length:
            known = self.records[-1].length if self.records else 0
            raise CaptureError(
                f"the cache holds {offset} tokens, of which this tap has seen {known}; "
                "open the tap before the first forward"
            )
        self.records[-1].truncate(offset)
        self._offset, self._seen = offset, {}

    def end_forward(self) -> None:
        """Counts the calls of the forward pass that ends, and completes its rows."""
        assert self._offset is not None
        missing = [layer for layer in range(self._num_layers) if layer not in self._seen]
        if missing:
            raise CaptureError(
                f"{len(missing)} of {self._num_layers} attention layers were not seen in this forward pass: {missing}"
            )
        self.records[-1].length = self._offset + self._seen[0]
        self._offset = None

    def attend(
        self,
        layer: torch.nn.Module,
        query: torch.Tensor,
        key: torch.Tensor,
        value: torch.Tensor,
        attention_mask: torch.Tensor | None,
        scaling: float,
        dropout: float,
        **kwargs: Any,
    ) -> tuple[torch.Tensor, None]:
        """Attention as sdpa computes it, its rows reduced on the way."""
        if self._offset is None:
            # Outside a forward pass, as when gradient checkpointing computes a layer again: nothing new to see.
            return _sdpa(layer, query, key, value, attention_mask, scaling, dropout, **kwargs)
        layer_idx, T = int(layer.layer_idx), query.shape[2]  # type: ignore[arg-type]
        if layer_idx in self._seen:
            raise CaptureError(f"attention layer {layer_idx} called twice in one forward pass")
        keys = VisibleKeys(self._offset, attention_mask)
        # A static cache is longer than what it holds.
        k, v = key[:, :, : self._offset + T], value[:, :, : self._offset + T]
        if T == 1 and dropout == 0.0 and not (torch.is_grad_enabled() and query.requires_grad):
            visible = keys.block(0, 1, query.device)
            p, statistics = reduce_block(logits_of_block(query, k, scaling), visible, self._offset)
            output = (p.flatten(2, 3).to(v.dtype) @ v).flatten(1, 2)[:, None]
            statistics = statistics.flatten(2, 3)
        else:
            with torch.no_grad():
                statistics = reduce_rows(query.detach(), k.detach(), scaling, keys)
            output, _ = _sdpa(layer, query, key, value, attention_mask, scaling, dropout, **kwargs)
        self.records[-1].write(layer_idx, self._offset, statistics)
        self._seen[layer_idx] = T
        return output, None


@contextmanager
def tap(model: PreTrainedModel) -> Iterator[AttentionTap]:
    """Row metrics of every attention layer of `model`, for as long as the `with` block lasts.

    What the model computes stays the same (prefill is sdpa's own; a decoded token's row is computed once, in float32,
    and used). On leaving, also by an exception, the model is as it was.

    Args:
        model: a transformers model of Llama architecture, with or without its language-model head.

    Raises:
        UnsupportedModelError: another architecture.
        CaptureError: the model is tapped already; an attention layer did not call; a cache begun before the tap.
    """
    base = model.base_model
    layers = _attention_layers(model, base)
    if any(layer in _tap_of_layer for layer in layers):
        raise CaptureError("this model is tapped already; close the other tap first")
    AttentionInterface.register(IMPLEMENTATION_NAME, _tapped_attention)
    AttentionMaskInterface.register(IMPLEMENTATION_NAME, sdpa_mask)
    opened = AttentionTap(len(layers))

    def before(module: torch.nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        arguments = inspect.signature(module.forward).bind_partial(*args, **kwargs).arguments
        extra = arguments.get("kwargs", {})
        if extra.get("output_attentions") or getattr(module.config, "output_attentions", False):
            raise CaptureError("output_attentions=True has no effect under a tap; leave it out, or read the tap's rows")
        cache = arguments.get("past_key_values")
        opened.begin_forward(0 if cache is None else int(cache.get_seq_length()))

    def after(module: torch.nn.Module, args: tuple[Any, ...], output: Any) -> None:
        opened.end_forward()

    previous = model.config._attn_implementation
    with ExitStack() as stack:
        for layer in layers:
            _tap_of_layer[layer] = opened
            stack.callback(_tap_of_layer.pop, layer, None)
        stack.callback(base.register_forward_pre_hook(before, with_kwargs=True).remove)
        stack.callback(base.register_forward_hook(after).remove)
        stack.callback(model.set_attn_implementation, previous)
        model.set_attn_implementation(IMPLEMENTATION_NAME)
        yield opened


def _attention_layers(model: PreTrainedModel, base: torch.nn.Module) -> list[torch.nn.Module]:
    model_type = model.config.model_type
    if model_type not in SUPPORTED_MODEL_TYPES:
        raise UnsupportedModelError(
            f"cannot tap a model of type {model_type!r}; supported: {', '.join(SUPPORTED_MODEL_TYPES)}"
        )
    layers = [m for m in base.modules() if hasattr(m, "layer_idx") and hasattr(m, "num_key_value_groups")]
    if len(layers) != model.config.num_hidden_layers:
        raise UnsupportedModelError(
            f"expected {model.config.num_hidden_layers} attention layers, found {len(layers)} that can be tapped"
        )
    return layers


def _tapped_attention(
    module: torch.nn.Module,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | None,
    scaling: float,
    dropout: float = 0.0,
    **kwargs: Any,
) -> tuple[torch.Tensor, None]:
    opened = _tap_of_layer.get(module)
    if opened is None:
        raise CaptureError(
            f"attention {IMPLEMENTATION_NAME!r} was set on a model with no open tap; use eigencore.tap(model)"
        )
    return opened.attend(module, query, key, value, attention_mask, scaling, dropout, **kwargs)


def _sdpa(
    layer: torch.nn.Module,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | None,
    scaling: float,
    dropout: float,
    **kwargs: Any,
) -> tuple[torch.Tensor, None]:
    output, _ = sdpa_attention_forward(
        layer, query, key, value, attention_mask, dropout=dropout, scaling=scaling, **kwargs
    )
    return output, None
