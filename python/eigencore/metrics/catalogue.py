"""The catalogue: what each metric is, in which unit and range, and where it comes from.

m are the magnitudes of a spectrum (|eigenvalues| or singular values) sorted downwards, S their sum, p = m / S, n their
number; a is an attention matrix of n rows.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from eigencore.errors import UnknownMetricError

if TYPE_CHECKING:
    from collections.abc import Iterable


@dataclass(frozen=True)
class Metric:
    """One metric."""

    name: str
    formula: str
    range: str
    unit: str
    edge_cases: str
    source: str
    singular_only: bool = False


_RATIO = "NaN where S = 0"

SPECTRUM_METRICS: tuple[Metric, ...] = (
    Metric(
        "spectral_entropy",
        "-sum p log2 p",
        "0 ... log2 n",
        "bits",
        f"0 log 0 = 0; {_RATIO}",
        "Shannon 1948; Roy & Vetterli 2007",
    ),
    Metric(
        "normalized_entropy",
        "spectral_entropy / log2 n",
        "0 ... 1",
        "1",
        f"NaN for n = 1; {_RATIO}",
        "Shannon 1948, relative to its largest value",
    ),
    Metric("effective_rank", "2 ** spectral_entropy", "1 ... n", "1", _RATIO, "Roy & Vetterli 2007"),
    Metric("dominant_ratio", "m_1 / S", "1/n ... 1", "1", _RATIO, "5A spectrum table"),
    Metric(
        "condition_number",
        "m_1 / m_n",
        "1 ... inf",
        "1",
        "from a solver, inf where m_n <= n eps m_1 (eps of the dtype computed in); exact from a diagonal; "
        "NaN where m_1 = 0",
        "numerical analysis",
    ),
    Metric(
        "degeneracy",
        "1 - std(m) / (mean(m) sqrt(n - 1)), population std",
        "0 (one value has it all) ... 1 (all equal)",
        "1",
        f"NaN for n = 1; {_RATIO}",
        "named in the 5A spectrum table, which fixes only the value 1; this closed form is ours",
    ),
    Metric(
        "phi_proximity",
        "max over i with m_(i+1) > 1e-10 of max(0, 1 - |m_i / m_(i+1) - phi| / phi), phi the golden ratio",
        "0 ... 1",
        "1",
        "0 where there is no such pair; the best of n - 1 ratios, so high by chance: read it only against a null model",
        "5A spectrum table, to the letter",
    ),
    Metric("spectral_gap", "1 - m_2 / m_1", "0 ... 1", "1", "NaN for n = 1 or m_1 = 0", "Markov chains"),
    Metric("participation_ratio", "S**2 / sum m**2", "1 ... n", "1", _RATIO, "inverse participation ratio"),
    Metric(
        "log_abs_det",
        "sum ln m",
        "-inf ... 0 for row-stochastic a",
        "nats",
        "-inf where a magnitude is 0, or from a solver counts as 0",
        "LLM-Check (2024): its attention score is this per row, summed over heads",
    ),
    Metric(
        "stable_rank",
        "sum m**2 / m_1**2",
        "1 ... n",
        "1",
        _RATIO,
        "Rudelson & Vershynin 2007",
        singular_only=True,
    ),
)

ROW_METRICS: tuple[Metric, ...] = (
    Metric(
        "row_entropy",
        "-sum_j q_ij log2 q_ij with q_i = a_i / sum_j a_ij",
        "0 ... log2 n",
        "bits",
        "NaN where the row has no mass",
        "Shannon 1948",
    ),
    Metric("row_mass", "sum_j a_ij", "0 ... 1", "1", "less than 1 where a model has sinks outside the keys", ""),
    Metric("self_weight", "a_ii", "0 ... 1", "1", "its mean is trace / n", ""),
    Metric("sink_weight", "a_i0", "0 ... 1", "1", "", "attention sinks: Xiao et al. 2024"),
    Metric("row_participation", "1 / sum_j a_ij**2", "1 ... n", "1", "NaN where the row is zero", ""),
    Metric("max_weight", "max_j a_ij", "0 ... 1", "1", "", ""),
    Metric(
        "laplacian",
        "d_i - a_ii with d_i = sum_(u >= i) a_ui / (n - i), 0-based",
        "-1 ... 1",
        "1",
        "",
        "LapEigvals (2025), plain definition",
    ),
)


def select_metrics(names: Iterable[str] | None, *, singular: bool) -> tuple[str, ...]:
    """The metrics asked for, in catalogue order; None: all that the spectrum has.

    Raises:
        UnknownMetricError: a name that the spectrum does not have.
    """
    known = [m.name for m in SPECTRUM_METRICS if singular or not m.singular_only]
    if names is None:
        return tuple(known)
    wanted = [names] if isinstance(names, str) else list(names)
    for name in wanted:
        if name == "stable_rank" and not singular:
            raise UnknownMetricError("stable_rank is defined for singular values only; pass spectrum='singular'")
        if name not in known:
            raise UnknownMetricError(f"unknown metric {name!r}; known are {', '.join(known)}")
    return tuple(name for name in known if name in wanted)
