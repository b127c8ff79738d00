"""From the gradient of spectra to the gradient of their matrices, or an error where there is none.

B matrices in a batch, its leading dimensions flattened; K of them, those to whose spectrum a gradient comes; n rows.
Everything is float64 here, whatever the matrices are of and whatever their spectra were computed in.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch

from eigencore.errors import GradientError

# Gradients of equal values may differ by so much, relative to their scale, and no digit that matters depends on which
# of their vectors the solver chose.
ALIKE = torch.finfo(torch.float64).eps ** 0.5


@dataclass(frozen=True)
class Chosen:
    """The matrices of a batch to whose spectrum a gradient comes."""

    rows_K: torch.Tensor
    leading_shape: tuple[int, ...]

    @classmethod
    def of(cls, wanted_B: torch.Tensor, leading_shape: tuple[int, ...]) -> Chosen:
        return cls(wanted_B.nonzero().squeeze(-1), leading_shape)

    def name(self, k: int) -> str:
        """One of them as its caller knows it."""
        at, index = int(self.rows_K[k]), []
        for size in reversed(self.leading_shape):
            index.append(at % size)
            at //= size
        return f"matrix {tuple(reversed(index))}" if index else "the matrix"

    def matrices(self, a: torch.Tensor) -> torch.Tensor:
        """(K, n, n) float64."""
        n = a.shape[-1]
        return a.detach().reshape(-1, n, n)[self.rows_K].to(torch.float64)


def gradient_through_eigenvalues(
    grad: torch.Tensor, a: torch.Tensor, eigenvalues: torch.Tensor, structure: str
) -> torch.Tensor:
    """Of triangular matrices (..., n, n), from the gradient (..., n) of their eigenvalues: on the diagonal.

    Raises:
        GradientError: a matrix is not triangular, or equal eigenvalues have different gradients.
    """
    n, leading_shape = a.shape[-1], tuple(a.shape[:-2])
    eigenvalues_Bn = eigenvalues.reshape(-1, n)
    wanted_B = (grad.reshape(-1, n) != 0).any(-1)
    # Eigenvalues of triangular matrices are real and stay so, whatever happens to the half that is not zero.
    g_Bn = grad.reshape(-1, n).real.to(torch.float64)
    failed_B = ~torch.isfinite(eigenvalues_Bn).all(-1)
    diagonal_Bn = torch.zeros_like(g_Bn)
    diagonal_Bn[wanted_B & failed_B] = torch.nan
    chosen = Chosen.of(wanted_B & ~failed_B, leading_shape)
    entries_Kn = triangular_diagonals(chosen.matrices(a), chosen, structure)
    # As it was computed in, so that entries which became equal there are seen to be.
    entries_Kn = entries_Kn.to(eigenvalues.real.dtype)
    # Entries are found again by value: those of one magnitude stand in no particular order among the eigenvalues.
    position_Kn, rank_Kn = _order(entries_Kn), _order(eigenvalues_Bn[chosen.rows_K].real)
    ranked_Kn = g_Bn[chosen.rows_K].gather(-1, rank_Kn)
    sorted_Kn = entries_Kn.gather(-1, position_Kn)
    refuse_ties(sorted_Kn, ranked_Kn, torch.zeros_like(sorted_Kn[:, 0]), scale_of(ranked_Kn), chosen, "eigenvalues")
    diagonal_Bn[chosen.rows_K] = torch.zeros_like(ranked_Kn).scatter(-1, position_Kn, ranked_Kn)
    return torch.diag_embed(diagonal_Bn).reshape(a.shape).to(a.dtype)


def gradient_through_singular_values(grad: torch.Tensor, a: torch.Tensor, values: torch.Tensor) -> torch.Tensor:
    """Of matrices (..., n, n), from the gradient (..., n) of their singular values: U diag(g) V^T.

    Raises:
        GradientError: equal values have different gradients, or one that is zero has a gradient.
    """
    n, leading_shape = a.shape[-1], tuple(a.shape[:-2])
    g_Bn = grad.reshape(-1, n).to(torch.float64)
    wanted_B = (g_Bn != 0).any(-1)
    failed_B = ~torch.isfinite(values.reshape(-1, n)).all(-1)
    out_Bnn = torch.zeros(len(g_Bn), n, n, dtype=torch.float64, device=a.device)
    out_Bnn[wanted_B & failed_B] = torch.nan
    chosen = Chosen.of(wanted_B & ~failed_B, leading_shape)
    svd = SingularVectors.of(chosen.matrices(a))
    g_Kn = g_Bn[chosen.rows_K]
    out_Bnn[chosen.rows_K] = svd.matrix_gradient(g_Kn, scale_of(g_Kn), chosen)
    return out_Bnn.reshape(a.shape).to(a.dtype)


@dataclass(frozen=True)
class SingularVectors:
    """U, the singular values downwards, and V^T of K matrices."""

    u_Knn: torch.Tensor
    values_Kn: torch.Tensor
    vt_Knn: torch.Tensor

    @classmethod
    def of(cls, a_Knn: torch.Tensor) -> SingularVectors:
        if not len(a_Knn):
            return cls(a_Knn, a_Knn[..., 0], a_Knn)
        scale = a_Knn.abs().amax((-2, -1), keepdim=True)
        scale = torch.where(scale > 0, scale, 1.0)
        u, values, vt = torch.linalg.svd(a_Knn / scale)
        return cls(u, values * scale[..., 0], vt)

    def matrix_gradient(self, g_Kn: torch.Tensor, scale_K: torch.Tensor, chosen: Chosen) -> torch.Tensor:
        """(K, n, n) U diag(g) V^T. Raises GradientError where there is none, for which see `refuse_ties`."""
        n = g_Kn.shape[-1]
        resolution_K = n * torch.finfo(torch.float64).eps * self.values_Kn[:, 0]
        refuse_zeros(self.values_Kn, g_Kn, resolution_K, scale_K, chosen, "singular value")
        refuse_ties(self.values_Kn, g_Kn, resolution_K, scale_K, chosen, "singular values")
        return (self.u_Knn * g_Kn[:, None, :]) @ self.vt_Knn


def triangular_diagonals(
    a_Knn: torch.Tensor, chosen: Chosen, structure: str, inside_Kn: torch.Tensor | None = None
) -> torch.Tensor:
    """The diagonals (K, n) of matrices of which one half is zero, or said to be.

    Raises:
        GradientError: a matrix is not triangular within its length.
    """
    if structure != "causal":
        nonzero_Knn = a_Knn != 0
        if inside_Kn is not None:
            nonzero_Knn &= inside_Kn[:, :, None] & inside_Kn[:, None, :]
        dense_K = nonzero_Knn.triu(1).any(-1).any(-1) & nonzero_Knn.tril(-1).any(-1).any(-1)
        if dense_K.any():
            raise GradientError(
                f"{chosen.name(_first(dense_K))} is not triangular, and only eigenvalues of triangular matrices have "
                "gradients here. Take singular values, which have them for every matrix (svdvals, "
                "spectrum='singular'), or pass structure='causal' if the matrix is meant to be lower triangular"
            )
    return a_Knn.diagonal(dim1=-2, dim2=-1)


def scale_of(g_Kn: torch.Tensor) -> torch.Tensor:
    """(K,) the largest gradient, for want of knowing how much cancelled on its way here."""
    return g_Kn.abs().amax(-1)


def refuse_ties(
    values_Kn: torch.Tensor,
    g_Kn: torch.Tensor,
    resolution_K: torch.Tensor,
    scale_K: torch.Tensor,
    chosen: Chosen,
    kind: str,
) -> None:
    """Raises GradientError where sorted values are equal and their gradients, to the given scale, are not."""
    tied = (values_Kn[:, :-1] - values_Kn[:, 1:]).abs() <= resolution_K[:, None]
    apart = (g_Kn[:, :-1] - g_Kn[:, 1:]).abs() > ALIKE * scale_K[:, None]
    wrong = tied & apart
    if wrong.any():
        k, i = (int(x) for x in wrong.nonzero()[0])
        raise GradientError(
            f"{kind} {i} and {i + 1} of {chosen.name(k)} are equal ({float(values_Kn[k, i]):.6g}), and what is "
            "differentiated tells them apart, so it has no gradient there. Use what treats equal values alike "
            "(spectral_entropy, effective_rank, participation_ratio, log_abs_det), or leave the matrix out"
        )


def refuse_zeros(
    values_Kn: torch.Tensor,
    g_Kn: torch.Tensor,
    resolution_K: torch.Tensor,
    scale_K: torch.Tensor,
    chosen: Chosen,
    kind: str,
) -> None:
    """Raises GradientError where a magnitude is zero and its gradient is not: a magnitude has a kink there."""
    wrong = (values_Kn <= resolution_K[:, None]) & (g_Kn.abs() > ALIKE * scale_K[:, None])
    if wrong.any():
        k, i = (int(x) for x in wrong.nonzero()[0])
        raise GradientError(
            f"{kind} {i} of {chosen.name(k)} is zero to working precision ({float(values_Kn[k, i]):.3g}), where what "
            "is differentiated has no gradient. Leave the matrix out, or move it away from zero, as with "
            "a + 1e-6 * torch.eye(n)"
        )


def _first(wrong_K: torch.Tensor) -> int:
    return int(wrong_K.nonzero()[0])


def _order(x_Kn: torch.Tensor) -> torch.Tensor:
    """The order by magnitude downwards, and by value where magnitudes are equal."""
    by_value = x_Kn.argsort(dim=-1, stable=True)
    by_magnitude = x_Kn.gather(-1, by_value).abs().argsort(dim=-1, descending=True, stable=True)
    return by_value.gather(-1, by_magnitude)
