"""One-file HTML reports."""

from eigencore.report.trace_page import comparison_page, trace_page

__all__ = ["comparison_page", "trace_page"]
