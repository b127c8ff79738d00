"""Eigen metrics of attention matrices that grow by a row at each step."""

from __future__ import annotations

import numpy as np

from eigencore import _core
from eigencore.metrics.catalogue import select_metrics
from eigencore.tracing.trace import F32, F64


def eigen_metrics_SLH(log_self_weight: F32, P: int, every: int) -> dict[str, F64]:
    """Eigen metric name -> (S, L, H): the spectrum grows by one eigenvalue per row, and is never computed anew.

    Args:
        log_self_weight: (P + S - 1, L, H) ln of the eigenvalues, in the order of the rows.
        P: number of prompt tokens.
        every: metrics at steps 0, K, 2 K, …; NaN between.
    """
    R, L, H = log_self_weight.shape
    running = _core.RunningSpectra(L * H)
    table = np.full((R - P + 1, L * H, len(_core.METRIC_NAMES)), np.nan)
    for row in range(R):
        metrics = running.append(log_self_weight[row].reshape(-1).astype(np.float64))
        step = row - P + 1
        if step >= 0 and step % every == 0:
            table[step] = metrics
    names = select_metrics(None, singular=False)
    return {name: table[:, :, i].reshape(-1, L, H).copy() for i, name in enumerate(_core.METRIC_NAMES) if name in names}
