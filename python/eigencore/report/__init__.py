"""One-file HTML reports."""

from eigencore.report.trace_page import trace_page

__all__ = ["trace_page"]
