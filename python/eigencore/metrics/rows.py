"""Row metrics of attention matrices: exact, and in no need of a spectrum."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from eigencore import _core
from eigencore.arrays import Array, as_matrix_batch, like_source


@dataclass(frozen=True, eq=False)
class RowMetrics:
    """Row metrics of a batch of attention matrices a, float64; NaN in a matrix that holds NaN or infinity."""

    row_entropy: Array
    """(..., n) entropy of each row renormalised over its keys, in bits, in [0, log2 n]; NaN in a row of no mass."""
    row_mass: Array
    """(..., n) sum of each row; 1, or less where a model has sinks outside the keys."""
    self_weight: Array
    """(..., n) a_ii, in [0, 1]; its mean is trace / n."""
    sink_weight: Array
    """(..., n) a_i0, in [0, 1]."""
    row_participation: Array
    """(..., n) 1 / sum_j a_ij**2, in [1, n]; NaN in a row of zeros."""
    max_weight: Array
    """(..., n) largest weight of each row, in [0, 1]."""
    laplacian: Array
    """(..., n) d_i - a_ii with d_i = sum over u >= i of a_ui / (n - i), 0-based: LapEigvals' plain definition."""
    status: Array
    """(...,) uint8, see `Status`."""

    def to_dict(self) -> dict[str, Array]:
        """Metric name -> (..., n), and "status"."""
        return {name: getattr(self, name) for name in (*_core.ROW_METRIC_NAMES, "status")}

    def summary(self) -> dict[str, float]:
        """Metric name -> mean over all rows where it is not NaN."""
        values = {name: _as_numpy(getattr(self, name)) for name in _core.ROW_METRIC_NAMES}
        return {k: float(np.nanmean(v)) if not np.isnan(v).all() else float("nan") for k, v in values.items()}


def row_metrics(a: object) -> RowMetrics:
    """Row metrics of attention matrices.

    Args:
        a: (..., n, n) numpy array, torch tensor or DLPack array of float16, bfloat16, float32 or float64, any layout;
            weights of at least 0. Sums are accumulated in float64, on the host.

    Returns:
        Arrays (..., n), of the caller's kind and on the caller's device.

    Raises:
        ShapeError: not (..., n, n) with n >= 1.
        DtypeError: no array, or elements that are no floats.
    """
    batch = as_matrix_batch(a)
    table, status = _core.row_metrics(batch.elements, batch.scalar)
    shape = (*batch.leading_shape, batch.n)
    columns = {
        name: like_source(plane.reshape(shape).copy(), batch.source)
        for name, plane in zip(_core.ROW_METRIC_NAMES, table, strict=True)
    }
    return RowMetrics(status=like_source(status.reshape(batch.leading_shape), batch.source), **columns)


def _as_numpy(array: Array) -> np.ndarray:
    return array if isinstance(array, np.ndarray) else array.cpu().numpy()
