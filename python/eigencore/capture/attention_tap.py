"""The tap: row metrics of a model's attention, taken as it happens, with nothing changed in what the model computes.

transformers lets a model's attention be named; the tap registers one attention function and one mask function under its
own name, gives a model that name for as long as the tap is open, and counts that every attention layer called exactly
once per forward pass. Which tap a layer belongs to is looked up by the layer, so models do not disturb one another.
"""

from __future__ import annotations

import inspect
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary, ref

import numpy as np
import torch
from transformers import AttentionInterface, AttentionMaskInterface, PreTrainedModel
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.masking_utils import sdpa_mask

from eigencore.capture.record import AttentionRecord, AttentionRows
from eigencore.capture.row_reduction import VisibleKeys, logits_of_block, reduce_block, reduce_rows
from eigencore.capture.weight_spectra import singular_metrics
from eigencore.errors import CaptureError, InputError, UnsupportedModelError
from eigencore.metrics import SpectralMetrics, metrics_from_log_magnitudes

if TYPE_CHECKING:
    from collections.abc import Iterator

SUPPORTED_MODEL_TYPES = ("llama",)
IMPLEMENTATION_NAME = "eigencore_tap"

_tap_of_layer: WeakKeyDictionary[torch.nn.Module, AttentionTap] = WeakKeyDictionary()


class AttentionTap:
    """What an open tap has seen. Make one with `tap`."""

    def __init__(self, num_layers: int, *, keeps_weights: bool = False) -> None:
        self.records: list[AttentionRecord] = []
        """One record per sequence (batch of sequences) seen, in order. A forward without a cache begins a new one."""
        self._num_layers = num_layers
        self._keeps_weights = keeps_weights
        self._record_of_cache: WeakKeyDictionary[Any, AttentionRecord] = WeakKeyDictionary()
        self._forward: _Forward | None = None

    @property
    def rows(self) -> AttentionRows:
        """Rows of the last record.

        Raises:
            CaptureError: no complete forward pass was seen.
        """
        return self._last().rows

    def metrics(self, spectrum: str = "eigen") -> SpectralMetrics:
        """Metrics (L, B, H), as numpy, of the causal attention matrices of the last record; padding left out.

        Args:
            spectrum: "eigen", or "singular" under a tap that was opened for it.

        Raises:
            CaptureError: no complete forward pass was seen.
            InputError: another spectrum, or singular values under a tap that keeps no weights.
        """
        check_spectrum(spectrum)
        record = self._last()
        if spectrum == "singular":
            if not self._keeps_weights:
                raise InputError("this tap keeps no weights; open it with tap(model, spectrum='singular')")
            return singular_metrics(record)
        logs = record.rows.log_self_weight.cpu().numpy().astype(np.float64)
        return metrics_from_log_magnitudes(logs, record.is_token.cpu().numpy()[None, :, None])

    def begin_forward(self, cache: Any) -> None:
        """A forward pass begins, on top of what `cache` (None: no cache) holds."""
        offset = 0 if cache is None else int(cache.get_seq_length())
        if offset == 0:
            record = AttentionRecord(self._num_layers, keeps_weights=self._keeps_weights)
        else:
            known = self._record_of_cache.get(cache)
            if known is None or offset > known.length:
                seen = 0 if known is None else known.length
                raise CaptureError(
                    f"the cache holds {offset} tokens, of which this tap has seen {seen}; "
                    "open the tap before the first forward"
                )
            record = known
            record.truncate(offset)
        self._forward = _Forward(record, offset)

    def end_forward(self, cache: Any) -> None:
        """Counts the calls of the forward pass that ends, and completes its rows.

        cache: what the model gave back, None where it keeps none.
        """
        assert self._forward is not None
        forward, self._forward = self._forward, None
        missing = [layer for layer in range(self._num_layers) if layer not in forward.seen]
        if missing:
            raise CaptureError(
                f"{len(missing)} of {self._num_layers} attention layers were not seen in this forward pass: {missing}"
            )
        forward.record.length = forward.offset + forward.seen[0]
        if forward.offset == 0:
            self.records.append(forward.record)
        if cache is not None:
            if cache not in self._record_of_cache:
                self._follow_reordering(cache)
            self._record_of_cache[cache] = forward.record

    def close(self) -> None:
        """Lets go of the caches that were followed."""
        for cache in list(self._record_of_cache):
            vars(cache).pop("reorder_cache", None)

    def attend(
        self,
        layer: torch.nn.Module,
        query: torch.Tensor,
        key: torch.Tensor,
        value: torch.Tensor,
        attention_mask: torch.Tensor | None,
        *,
        scaling: float,
        dropout: float = 0.0,
        **kwargs: Any,
    ) -> tuple[torch.Tensor, None]:
        """Attention as sdpa computes it, its rows reduced on the way."""
        sdpa = partial(sdpa_attention_forward, layer, query, key, value, attention_mask)
        sdpa = partial(sdpa, scaling=scaling, dropout=dropout, **kwargs)
        forward = self._forward
        if forward is None:
            # Outside a forward pass, as when gradient checkpointing computes a layer again: nothing new to see.
            return sdpa()
        layer_idx, T = int(layer.layer_idx), query.shape[2]  # type: ignore[arg-type]
        if layer_idx in forward.seen:
            raise CaptureError(f"attention layer {layer_idx} called twice in one forward pass")
        if not forward.seen:
            _check_mask(attention_mask, forward.offset, T)
        keys = VisibleKeys(forward.offset, attention_mask)
        # A static cache is longer than what it holds.
        k, v = key[:, :, : forward.offset + T], value[:, :, : forward.offset + T]
        alone = T == 1 and dropout == 0.0 and not (torch.is_grad_enabled() and query.requires_grad)
        with torch.autocast(query.device.type, enabled=False):
            if alone:
                scores = logits_of_block(query, k, scaling)
                p, statistics = reduce_block(scores, keys.block(0, 1, query.device), forward.offset)
                output = (p.flatten(2, 3).to(v.dtype) @ v).flatten(1, 2)[:, None]
                statistics, blocks = statistics.flatten(2, 3), [p.flatten(1, 2)]
            else:
                with torch.no_grad():
                    statistics, blocks = reduce_rows(
                        query.detach(), k.detach(), scaling, keys, keep_weights=self._keeps_weights
                    )
        if not alone:
            output, _ = sdpa()
        forward.record.write(layer_idx, forward.offset, statistics, keys.tokens(T))
        if self._keeps_weights:
            forward.record.keep_weights(layer_idx, forward.offset, blocks)
        forward.seen[layer_idx] = T
        return output, None

    def _follow_reordering(self, cache: Any) -> None:
        """Beam search reorders a cache's sequences; the rows of its record go with them."""
        reorder_cache, weak_cache = cache.reorder_cache, ref(cache)

        def reorder(beam_idx: torch.Tensor) -> Any:
            self._record_of_cache[weak_cache()].reorder(beam_idx)
            return reorder_cache(beam_idx)

        cache.reorder_cache = reorder

    def _last(self) -> AttentionRecord:
        if not self.records:
            raise CaptureError("no complete forward pass was seen; call the model inside the tap's `with` block")
        return self.records[-1]


@dataclass
class _Forward:
    """A forward pass under way."""

    record: AttentionRecord
    offset: int
    seen: dict[int, int] = field(default_factory=dict)
    """Layer index -> number of queries it was called with."""


def check_spectrum(spectrum: str | None) -> None:
    """Raises InputError for what is no spectrum."""
    if spectrum not in (None, "eigen", "singular"):
        raise InputError(f"spectrum is 'eigen' or 'singular', got {spectrum!r}")


@contextmanager
def tap(model: PreTrainedModel, *, spectrum: str | None = None) -> Iterator[AttentionTap]:
    """Row metrics of every attention layer of `model`, for as long as the `with` block lasts.

    The model computes as with sdpa, whatever implementation it was set to: prefill is sdpa's own call; a decoded
    token's row is computed once, in float32 or better, and used. On leaving, also by an exception, the model is as it
    was.

    Args:
        model: a transformers model of Llama architecture, with or without its language-model head.
        spectrum: None or "eigen": rows alone, which give the eigenvalues of causal attention. "singular": the weights
            are kept too, 2 T**2 bytes for each sequence, layer and head, and metrics("singular") can be asked for.

    Raises:
        UnsupportedModelError: no such model.
        InputError: another spectrum.
        CaptureError: the model, or one that shares its config, is tapped already; an attention layer did not call; a
            cache was begun before the tap; a mask lets tokens see what comes after them.
    """
    check_spectrum(spectrum)
    layers = _attention_layers(model)
    base = model.base_model
    if model.config._attn_implementation == IMPLEMENTATION_NAME:
        raise CaptureError("this model, or one that shares its config, is tapped already; close the other tap first")
    AttentionInterface.register(IMPLEMENTATION_NAME, _tapped_attention)
    AttentionMaskInterface.register(IMPLEMENTATION_NAME, sdpa_mask)
    opened = AttentionTap(len(layers), keeps_weights=spectrum == "singular")

    def before(module: torch.nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        arguments = inspect.signature(module.forward).bind_partial(*args, **kwargs).arguments
        extra = arguments.get("kwargs", {})
        if extra.get("output_attentions") or getattr(module.config, "output_attentions", False):
            raise CaptureError("output_attentions=True has no effect under a tap; leave it out, or read the tap's rows")
        opened.begin_forward(arguments.get("past_key_values"))

    def after(module: torch.nn.Module, args: tuple[Any, ...], output: Any) -> None:
        opened.end_forward(getattr(output, "past_key_values", None))

    previous = model.config._attn_implementation
    with ExitStack() as stack:
        for layer in layers:
            _tap_of_layer[layer] = opened
            stack.callback(_tap_of_layer.pop, layer, None)
        stack.callback(base.register_forward_pre_hook(before, with_kwargs=True).remove)
        stack.callback(base.register_forward_hook(after).remove)
        stack.callback(opened.close)
        stack.callback(model.set_attn_implementation, previous)
        model.set_attn_implementation(IMPLEMENTATION_NAME)
        yield opened


def _attention_layers(model: PreTrainedModel) -> list[torch.nn.Module]:
    if not isinstance(model, PreTrainedModel):
        raise UnsupportedModelError(f"expected a transformers PreTrainedModel, got {type(model).__name__}")
    model_type = model.config.model_type
    if model_type not in SUPPORTED_MODEL_TYPES:
        raise UnsupportedModelError(
            f"cannot tap a model of type {model_type!r}; supported: {', '.join(SUPPORTED_MODEL_TYPES)}"
        )
    layers = [m for m in model.base_model.modules() if hasattr(m, "layer_idx") and hasattr(m, "num_key_value_groups")]
    if len(layers) != model.config.num_hidden_layers:
        raise UnsupportedModelError(
            f"expected {model.config.num_hidden_layers} attention layers, found {len(layers)} that can be tapped"
        )
    return layers


def _check_mask(mask: torch.Tensor | None, offset: int, T: int) -> None:
    if mask is None:
        return
    if mask.dtype != torch.bool:
        raise CaptureError(f"expected a padding mask (1 keep, 0 pad) or a bool mask, got one of {mask.dtype}")
    if T > 1 and bool(mask[..., : offset + T].triu(offset + 1).any()):
        raise CaptureError("the attention mask lets tokens see what comes after them; a tap measures causal attention")


def _tapped_attention(module: torch.nn.Module, *args: Any, **kwargs: Any) -> tuple[torch.Tensor, Any]:
    opened = _tap_of_layer.get(module)
    if opened is None:
        # A model that shares its config with a tapped one.
        return sdpa_attention_forward(module, *args, **kwargs)
    return opened.attend(module, *args, **kwargs)
