"""A scoped, read-only tap on a model's attention."""

from eigencore.capture.attention_tap import AttentionTap, tap
from eigencore.capture.record import AttentionRows

__all__ = ["AttentionRows", "AttentionTap", "tap"]
