"""The derivatives of every metric with respect to the magnitudes of its spectrum.

K spectra of up to n magnitudes, downwards; padding stands at the end as zero. Derivatives are taken with respect to
r = m / m_1, as if m_1 were a constant: all metrics but log_abs_det are blind to scale, and that one's derivative scales
like theirs, by 1 / m_1.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch

from eigencore.errors import GradientError
from eigencore.metrics.on_device import PHI, PHI_FLOOR
from eigencore.spectrum_gradients import Chosen, scale_of


@dataclass(frozen=True)
class Spectra:
    """Spectra relative to their largest magnitude, and what their metrics share."""

    m_Kn: torch.Tensor
    inside_Kn: torch.Tensor
    """False on padding."""
    r_Kn: torch.Tensor
    size_K1: torch.Tensor
    total_K1: torch.Tensor
    squares_K1: torch.Tensor

    @classmethod
    def of(cls, m_Kn: torch.Tensor, inside_Kn: torch.Tensor) -> Spectra:
        m_Kn = torch.where(inside_Kn, m_Kn, 0.0)
        r_Kn = m_Kn / largest(m_Kn)
        size_K1 = inside_Kn.sum(-1, keepdim=True, dtype=torch.float64)
        return cls(m_Kn, inside_Kn, r_Kn, size_K1, r_Kn.sum(-1, keepdim=True), r_Kn.square().sum(-1, keepdim=True))

    def at(self, position_K1: torch.Tensor | int) -> torch.Tensor:
        """(K, n) 1 at one position of each spectrum, 0 elsewhere."""
        here: torch.Tensor = torch.arange(self.r_Kn.shape[-1], device=self.r_Kn.device) == position_K1
        return here.to(torch.float64)

    @property
    def p_Kn(self) -> torch.Tensor:
        return self.r_Kn / self.total_K1

    @property
    def entropy_K1(self) -> torch.Tensor:
        """In bits."""
        return -torch.xlogy(self.p_Kn, self.p_Kn).sum(-1, keepdim=True) / math.log(2)


def _spectral_entropy(s: Spectra) -> torch.Tensor:
    return -(s.p_Kn.log2() + s.entropy_K1) / s.total_K1


def _normalized_entropy(s: Spectra) -> torch.Tensor:
    return _spectral_entropy(s) / s.size_K1.log2()


def _effective_rank(s: Spectra) -> torch.Tensor:
    return _spectral_entropy(s) * s.entropy_K1.exp2() * math.log(2)


def _dominant_ratio(s: Spectra) -> torch.Tensor:
    return (s.at(0) - 1 / s.total_K1) / s.total_K1


def _condition_number(s: Spectra) -> torch.Tensor:
    last = s.at(s.size_K1 - 1)
    smallest = (s.r_Kn * last).sum(-1, keepdim=True)
    return s.at(0) / smallest - last / smallest.square()


def _degeneracy(s: Spectra) -> torch.Tensor:
    mean = s.total_K1 / s.size_K1
    deviation = torch.where(s.inside_Kn, s.r_Kn - mean, 0.0)
    std = (deviation.square().sum(-1, keepdim=True) / s.size_K1).sqrt()
    return (std / mean - deviation / std) / (s.total_K1 * (s.size_K1 - 1).sqrt())


def _phi_proximity(s: Spectra) -> torch.Tensor:
    larger, smaller = s.r_Kn[:, :-1], s.r_Kn[:, 1:]
    counts = s.inside_Kn[:, 1:] & (s.m_Kn[:, 1:] > PHI_FLOOR)
    distance = torch.where(counts, larger / smaller - PHI, torch.inf)
    best = distance.abs().amin(-1, keepdim=True) if distance.shape[-1] else torch.full_like(s.total_K1, torch.inf)
    resolution = 4 * s.r_Kn.shape[-1] * torch.finfo(torch.float64).eps
    holds = (distance.abs() <= best + resolution) & (best < PHI)
    slope = torch.where(holds, -distance.sign() / PHI, 0.0)
    slope = torch.where(holds.sum(-1, keepdim=True) > 1, torch.nan, slope)  # two pairs are the best
    partial = torch.zeros_like(s.r_Kn)
    partial[:, :-1] += torch.where(holds, slope / smaller, slope)
    partial[:, 1:] -= torch.where(holds, slope * larger / smaller.square(), slope)
    return partial


def _spectral_gap(s: Spectra) -> torch.Tensor:
    return s.at(0) * s.r_Kn[:, 1:2] - s.at(1)


def _participation_ratio(s: Spectra) -> torch.Tensor:
    ratio = s.total_K1 / s.squares_K1
    return 2 * ratio - 2 * ratio.square() * s.r_Kn


def _log_abs_det(s: Spectra) -> torch.Tensor:
    return 1 / s.r_Kn


def _stable_rank(s: Spectra) -> torch.Tensor:
    return 2 * (s.r_Kn - s.at(0) * s.squares_K1)


PARTIALS: dict[str, Callable[[Spectra], torch.Tensor]] = {
    "spectral_entropy": _spectral_entropy,
    "normalized_entropy": _normalized_entropy,
    "effective_rank": _effective_rank,
    "dominant_ratio": _dominant_ratio,
    "condition_number": _condition_number,
    "degeneracy": _degeneracy,
    "phi_proximity": _phi_proximity,
    "spectral_gap": _spectral_gap,
    "participation_ratio": _participation_ratio,
    "log_abs_det": _log_abs_det,
    "stable_rank": _stable_rank,
}
"""(K, n) each; on padding anything, and not finite where there is no derivative."""

_ELSEWHERE = {
    "degeneracy": "all magnitudes are equal. Use participation_ratio, which says the same and is smooth there",
    "phi_proximity": "two pairs of neighbours are the best alike. Leave the matrix out",
}
_ZERO = "a magnitude is zero. Leave the matrix out, or move it away from zero, as with a + 1e-6 * torch.eye(n)"


def largest(m_Kn: torch.Tensor) -> torch.Tensor:
    """(K, 1) m_1, or 1 where all is zero."""
    return torch.where(m_Kn[:, :1] > 0, m_Kn[:, :1], 1.0)


def gradient_of_magnitudes(
    grad_MK: torch.Tensor, names: tuple[str, ...], m_Kn: torch.Tensor, inside_Kn: torch.Tensor, chosen: Chosen
) -> torch.Tensor:
    """(K, n) from the gradient (metrics, K) of the metrics of spectra.

    Raises:
        GradientError: a metric with a gradient has no derivative at a spectrum.
    """
    spectra = Spectra.of(m_Kn, inside_Kn)
    g_Kn = torch.zeros_like(spectra.r_Kn)
    for name, grad_K in zip(names, grad_MK, strict=True):
        wanted_K = grad_K != 0
        if not wanted_K.any():
            continue
        partial_Kn = PARTIALS[name](spectra)
        refuse(wanted_K & (inside_Kn & ~torch.isfinite(partial_Kn)).any(-1), name, chosen)
        g_Kn += torch.where(wanted_K[:, None] & inside_Kn, grad_K[:, None] * partial_Kn, 0.0)
    return g_Kn / largest(spectra.m_Kn)


def scale_of_gradients(
    grad_MK: torch.Tensor, planes_MK: torch.Tensor, g_Kn: torch.Tensor, m_Kn: torch.Tensor
) -> torch.Tensor:
    """(K,) what a gradient of magnitudes is large or small beside: that of an entropy at its maximum is rounding."""
    terms_MK = torch.where(grad_MK != 0, grad_MK.abs() * planes_MK.abs().clamp(min=1), 0.0)
    return torch.maximum(terms_MK.sum(0) / largest(m_Kn)[:, 0], scale_of(g_Kn))


def refuse(wrong_K: torch.Tensor, name: str, chosen: Chosen) -> None:
    """Raises GradientError where a metric has no derivative."""
    if wrong_K.any():
        at = chosen.name(int(wrong_K.nonzero()[0]))
        raise GradientError(f"{name} of {at} has no gradient there: {_ELSEWHERE.get(name, _ZERO)}")
