"""eigencore: the spectrum of attention in transformers.

Numbers from matrices need numpy alone; whatever needs torch or transformers is loaded when it is first used.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from eigencore import errors
from eigencore.errors import EigencoreError
from eigencore.linalg import eigvals, svdvals
from eigencore.machine import active_arch, available_arches, get_num_threads, set_num_threads
from eigencore.metrics import RowMetrics, SpectralMetrics, Status, batch_metrics, row_metrics
from eigencore.version import __version__

if TYPE_CHECKING:
    from eigencore.capture import AttentionRows, AttentionTap, tap
    from eigencore.models import load_model
    from eigencore.tracing import LoopEvent, Trace, find_loop, load_trace, trace_generation

_LOADED_WHEN_USED = {
    "AttentionRows": "eigencore.capture",
    "AttentionTap": "eigencore.capture",
    "tap": "eigencore.capture",
    "load_model": "eigencore.models",
    "LoopEvent": "eigencore.tracing",
    "Trace": "eigencore.tracing",
    "find_loop": "eigencore.tracing",
    "load_trace": "eigencore.tracing",
    "trace_generation": "eigencore.tracing",
}

__all__ = [
    "AttentionRows",
    "AttentionTap",
    "EigencoreError",
    "LoopEvent",
    "RowMetrics",
    "SpectralMetrics",
    "Status",
    "Trace",
    "__version__",
    "active_arch",
    "available_arches",
    "batch_metrics",
    "eigvals",
    "errors",
    "find_loop",
    "get_num_threads",
    "load_model",
    "load_trace",
    "row_metrics",
    "set_num_threads",
    "svdvals",
    "tap",
    "trace_generation",
]


def __getattr__(name: str) -> Any:
    if name not in _LOADED_WHEN_USED:
        raise AttributeError(f"module 'eigencore' has no attribute {name!r}")
    value = getattr(import_module(_LOADED_WHEN_USED[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
