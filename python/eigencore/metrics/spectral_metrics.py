"""What batch_metrics returns."""

from __future__ import annotations

import enum
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any

import numpy as np

from eigencore.errors import NumericalError

if TYPE_CHECKING:
    import pandas as pd

    from eigencore.arrays import Array


class Status(enum.IntEnum):
    """What became of one matrix."""

    OK = 0
    """It has its metrics."""
    NON_FINITE = 1
    """What was read of it holds NaN or infinity, or its spectrum is beyond float64."""
    NOT_CONVERGED = 2
    """The eigenvalue or singular value iteration hit its cap."""


_REASONS = {
    Status.NON_FINITE: "hold NaN, infinity or a spectrum beyond float64: screen the input with numpy.isfinite",
    Status.NOT_CONVERGED: "did not converge: compute in float64, or look at their scale",
}


@dataclass(frozen=True, eq=False, repr=False)
class SpectralMetrics:
    """Metrics of a batch of spectra; each field is an array over the batch, or None where it was not asked for.

    Definitions with ranges, units and sources: `eigencore.metrics.SPECTRUM_METRICS`.
    """

    spectrum: str
    """"eigen" (magnitudes of eigenvalues) or "singular"."""
    n: Array
    """(...,) int64 number of values in each spectrum."""
    status: Array
    """(...,) uint8, see `Status`; every metric of a matrix is NaN where this is not 0."""
    spectral_entropy: Array | None = None
    """(...,) entropy of p = m / sum m, in bits, in [0, log2 n]."""
    normalized_entropy: Array | None = None
    """(...,) spectral entropy over log2 n, in [0, 1]; NaN for n = 1."""
    effective_rank: Array | None = None
    """(...,) 2 ** spectral entropy, in [1, n] (Roy & Vetterli 2007)."""
    dominant_ratio: Array | None = None
    """(...,) largest magnitude over the sum of magnitudes, in [1/n, 1]."""
    condition_number: Array | None = None
    """(...,) largest over smallest magnitude, in [1, inf]."""
    degeneracy: Array | None = None
    """(...,) 1 - std(m) / (mean(m) sqrt(n - 1)), in [0, 1], 1 where all magnitudes are equal; NaN for n = 1."""
    phi_proximity: Array | None = None
    """(...,) nearness of the best ratio of neighbours to the golden ratio, in [0, 1]; high by chance alone."""
    spectral_gap: Array | None = None
    """(...,) 1 - m_2 / m_1, in [0, 1]; NaN for n = 1."""
    participation_ratio: Array | None = None
    """(...,) (sum m)**2 / sum m**2, in [1, n]."""
    log_abs_det: Array | None = None
    """(...,) sum of ln m, in nats; at most 0 for row-stochastic matrices."""
    stable_rank: Array | None = None
    """(...,) sum m**2 / m_1**2, in [1, n]; singular values only (Rudelson & Vershynin 2007)."""

    @property
    def metric_names(self) -> tuple[str, ...]:
        """Names of the metrics that are there, in catalogue order."""
        given = (f.name for f in fields(self) if f.name not in ("spectrum", "n", "status"))
        return tuple(name for name in given if getattr(self, name) is not None)

    def __repr__(self) -> str:
        shape, failed = tuple(self.status.shape), int((_host(self.status) != Status.OK).sum())
        return (
            f"<SpectralMetrics of {self.spectrum} spectra: shape {shape}, {len(self.metric_names)} metrics, "
            f"{failed} failed>"
        )

    def _repr_html_(self) -> str:
        from eigencore.metrics.notebook import histogram, table_html

        rows = [
            [name, *(f"{found[key]:.4g}" for key in ("mean", "min", "max")), histogram(_host(getattr(self, name)))]
            for name, found in self.summary().items()
            if name != "phi_proximity"  # high by chance alone, and there is no null model to set beside it
        ]
        return table_html(repr(self), ["metric", "mean", "min", "max", "distribution"], rows)

    def to_dict(self) -> dict[str, Array]:
        """Metric name -> array (...), and "status"."""
        return {**{name: getattr(self, name) for name in self.metric_names}, "status": self.status}

    def to_pandas(self) -> pd.DataFrame:
        """One row per matrix: its index in each leading dimension (dim_0, dim_1, ...), n, the metrics, the status."""
        import pandas as pd

        index = np.indices(_host(self.status).shape)
        columns: dict[str, Any] = {f"dim_{axis}": values.reshape(-1) for axis, values in enumerate(index)}
        columns["n"] = _host(self.n).reshape(-1)
        columns |= {name: _host(values).reshape(-1) for name, values in self.to_dict().items()}
        return pd.DataFrame(columns)

    def summary(self) -> dict[str, dict[str, float]]:
        """Metric name -> mean, median, minimum and maximum over the matrices where it is not NaN, and their number."""
        rows: dict[str, dict[str, float]] = {}
        for name in self.metric_names:
            values = _host(getattr(self, name)).reshape(-1)
            values = values[~np.isnan(values)]
            spread = (values.mean(), np.median(values), values.min(), values.max()) if values.size else (np.nan,) * 4
            rows[name] = dict(zip(("mean", "median", "min", "max"), map(float, spread), strict=True))
            rows[name]["n"] = int(values.size)
        return rows

    def raise_for_status(self) -> None:
        """Does nothing where every matrix has its metrics.

        Raises:
            NumericalError: says how many matrices failed, why, and the index of the first of each kind.
        """
        status = _host(self.status)
        complaints = []
        for code, reason in _REASONS.items():
            failed = np.argwhere(status == code)
            if len(failed):
                first = tuple(int(i) for i in failed[0])
                complaints.append(f"{len(failed)} of {status.size} matrices (first: {first}) {reason}")
        if complaints:
            raise NumericalError("; ".join(complaints))


def _host(array: Array) -> Any:
    return array if isinstance(array, np.ndarray) else array.detach().cpu().numpy()
