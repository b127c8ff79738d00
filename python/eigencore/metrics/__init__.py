"""Metrics of spectra and of attention rows, from matrices."""

from eigencore.metrics.catalogue import ROW_METRICS, SPECTRUM_METRICS, Metric
from eigencore.metrics.rows import RowMetrics, row_metrics
from eigencore.metrics.spectra import batch_metrics, metrics_from_log_magnitudes
from eigencore.metrics.spectral_metrics import SpectralMetrics, Status

__all__ = [
    "ROW_METRICS",
    "SPECTRUM_METRICS",
    "Metric",
    "RowMetrics",
    "SpectralMetrics",
    "Status",
    "batch_metrics",
    "metrics_from_log_magnitudes",
    "row_metrics",
]
