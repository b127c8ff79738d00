"""From the gradient of metrics to the gradient of the matrices that they are of, or an error where there is none.

B matrices in a batch, its leading dimensions flattened; K of them, those of whose metrics a gradient is wanted; n rows;
M metrics, all that the spectrum has.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch

from eigencore.metrics.catalogue import select_metrics
from eigencore.metrics.metric_gradients import gradient_of_magnitudes, refuse, scale_of_gradients
from eigencore.spectrum_gradients import Chosen, SingularVectors, refuse_ties, refuse_zeros, triangular_diagonals


@dataclass(frozen=True)
class Wanted:
    """The matrices of whose metrics a gradient is wanted."""

    a_Knn: torch.Tensor
    inside_Kn: torch.Tensor
    """False on the rows and columns that are padding."""
    grad_MK: torch.Tensor
    planes_MK: torch.Tensor
    names: tuple[str, ...]
    chosen: Chosen

    def gradient_of(self, m_Kn: torch.Tensor, inside_Kn: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """(K, n) of magnitudes, downwards, and its scale (K,)."""
        g_Kn = gradient_of_magnitudes(self.grad_MK, self.names, m_Kn, inside_Kn, self.chosen)
        return g_Kn, scale_of_gradients(self.grad_MK, self.planes_MK, g_Kn, m_Kn)


def gradient_through_metrics(
    grad: torch.Tensor,
    a: torch.Tensor,
    planes: torch.Tensor,
    lengths: torch.Tensor | None,
    spectrum: str,
    structure: str,
    compute: str,
) -> torch.Tensor:
    """Of matrices (..., n, n), from the gradient (M, ...) of their metrics, planes (M, ...).

    Raises:
        GradientError: a metric has no gradient at a matrix.
    """
    names, n = select_metrics(None, singular=spectrum == "singular"), a.shape[-1]
    grad_MB, planes_MB = (x.reshape(len(names), -1) for x in (grad, planes))
    inside_Bn = torch.ones(grad_MB.shape[1], n, dtype=torch.bool, device=a.device)
    if lengths is not None:
        inside_Bn = torch.arange(n, device=a.device) < lengths.to(a.device).reshape(-1, 1)
    wanted_MB = grad_MB != 0
    failed_B = (wanted_MB & planes_MB.isnan()).any(0)
    chosen = Chosen.of(wanted_MB.any(0) & ~failed_B, tuple(a.shape[:-2]))
    rows_K = chosen.rows_K
    for name, infinite_B in zip(names, wanted_MB & planes_MB.isinf(), strict=True):
        refuse(infinite_B[rows_K], name, chosen)

    wanted = Wanted(chosen.matrices(a), inside_Bn[rows_K], grad_MB[:, rows_K], planes_MB[:, rows_K], names, chosen)
    read_Bnn = inside_Bn[:, :, None] & inside_Bn[:, None, :]
    if spectrum == "eigen":
        found_Knn = _through_eigenvalues(wanted, structure, getattr(torch, compute))
        read_Bnn = read_Bnn & torch.eye(n, dtype=torch.bool, device=a.device)
    else:
        found_Knn = _through_singular_values(wanted, structure)
        read_Bnn = read_Bnn.tril() if structure == "causal" else read_Bnn
    out_Bnn = torch.zeros(read_Bnn.shape, dtype=torch.float64, device=a.device)
    out_Bnn[failed_B] = torch.nan
    out_Bnn[rows_K] = found_Knn
    return torch.where(read_Bnn, out_Bnn, 0.0).reshape(a.shape).to(a.dtype)


def _through_eigenvalues(wanted: Wanted, structure: str, computed_in: torch.dtype) -> torch.Tensor:
    entries_Kn = triangular_diagonals(wanted.a_Knn, wanted.chosen, structure, wanted.inside_Kn)
    # As they were computed in, so that entries which became equal there are seen to be. Padding sorts to the end.
    magnitudes_Kn = torch.where(wanted.inside_Kn, entries_Kn.to(computed_in).to(torch.float64).abs(), -1.0)
    m_Kn, position_Kn = magnitudes_Kn.sort(-1, descending=True)
    g_Kn, scale_K = wanted.gradient_of(m_Kn, m_Kn >= 0)
    exact_K = torch.zeros_like(scale_K)
    refuse_zeros(m_Kn, g_Kn, exact_K, scale_K, wanted.chosen, "eigenvalue")
    refuse_ties(m_Kn, g_Kn, exact_K, scale_K, wanted.chosen, "magnitudes of eigenvalues")
    return torch.diag_embed(torch.zeros_like(g_Kn).scatter(-1, position_Kn, g_Kn) * entries_Kn.sign())


def _through_singular_values(wanted: Wanted, structure: str) -> torch.Tensor:
    # Rows and columns of zeros add singular values of zero, which sort to the end: the block's come first.
    block_Knn = torch.where(wanted.inside_Kn[:, :, None] & wanted.inside_Kn[:, None, :], wanted.a_Knn, 0.0)
    svd = SingularVectors.of(block_Knn.tril() if structure == "causal" else block_Knn)
    g_Kn, scale_K = wanted.gradient_of(svd.values_Kn, wanted.inside_Kn)
    return svd.matrix_gradient(g_Kn, scale_K, wanted.chosen)
