"""Who watches a generation: sits where `generate` asks whether to stop, and sees each token as it is chosen."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from transformers import PreTrainedModel, StoppingCriteria

from eigencore.metrics.catalogue import select_metrics
from eigencore.tracing.signals import OUTPUT_SIGNALS, output_signals, top_next_tokens
from eigencore.tracing.trace import F64

if TYPE_CHECKING:
    from eigencore.capture import AttentionTap

Progress = Callable[[int], None]
ShouldStop = Callable[[], bool]


class StepObserver(StoppingCriteria):
    """Collects what each step says of its output, and singular metrics where they are asked for.

    Args:
        tap: open on the model.
        singular_every: measure singular values at steps 0, K, 2 K, …; None: never.
        progress: called with the number of tokens generated so far.
        should_stop: asked after each token; True ends the generation there.
    """

    def __init__(
        self, tap: AttentionTap, singular_every: int | None, progress: Progress | None, should_stop: ShouldStop | None
    ) -> None:
        self._tap, self._singular_every = tap, singular_every
        self._progress, self._should_stop = progress, should_stop
        self._logits: torch.Tensor | None = None
        self._signals: list[torch.Tensor] = []
        self._top: list[tuple[torch.Tensor, torch.Tensor]] = []
        self._singular: dict[int, dict[str, F64]] = {}
        self.interrupted = False
        """Whether `should_stop` ended the generation."""

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
        step = self.num_steps
        self._signals.append(output_signals(self._logits, input_ids[0, -1]))
        self._top.append(top_next_tokens(self._logits))
        if self._singular_every is not None and step % self._singular_every == 0:
            measured = self._tap.metrics("singular").to_dict()
            self._singular[step] = {
                name: np.asarray(measured[name])[:, 0] for name in select_metrics(None, singular=True)
            }
        if self._progress is not None:
            self._progress(self.num_steps)
        self.interrupted = self._should_stop is not None and self._should_stop()
        return torch.full((input_ids.shape[0],), self.interrupted, device=input_ids.device)

    @property
    def num_steps(self) -> int:
        """Tokens chosen so far."""
        return len(self._signals)

    def signals(self) -> dict[str, F64]:
        """Signal name -> (S,)."""
        table = torch.stack(self._signals).cpu().numpy()
        return {name: table[:, i].copy() for i, name in enumerate(OUTPUT_SIGNALS)}

    def top_tokens(self) -> tuple[F64, list[list[int]]]:
        """(S, K) probabilities, downwards, of the most probable next tokens, and (S, K) their ids."""
        probabilities, token_ids = (torch.stack(parts).cpu() for parts in zip(*self._top, strict=True))
        return probabilities.numpy(), token_ids.tolist()

    def singular_metrics(self) -> dict[str, F64]:
        """Metric name -> (S, L, H), NaN at the steps where they were not measured; empty where they never were."""
        if not self._singular:
            return {}
        names = next(iter(self._singular.values()))
        series = {name: np.full((self.num_steps, *names[name].shape), np.nan) for name in names}
        for step, measured in self._singular.items():
            for name, values in measured.items():
                series[name][step] = values
        return series
