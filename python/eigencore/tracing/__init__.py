"""Token-by-token generation with what attention did at each step, and the loops that texts end in."""

from eigencore.tracing.generation import trace_generation
from eigencore.tracing.loops import LoopEvent, find_loop
from eigencore.tracing.trace import Trace, load_trace

__all__ = ["LoopEvent", "Trace", "find_loop", "load_trace", "trace_generation"]
