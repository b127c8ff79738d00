"""Eigenvalues and singular values of batches of square matrices."""

from __future__ import annotations

from eigencore.arrays import Array, is_traced
from eigencore.solvers import Structure, eigenvalues, singular_values


def eigvals(a: object, *, structure: Structure = "auto", dtype: object = None) -> Array:
    """Eigenvalues of square matrices, by magnitude downwards.

    Triangular input, either way up, is found and read off its diagonal exactly; input that a symmetric permutation
    makes block-triangular is solved block by block, so that a reducible matrix never costs digits. A matrix is
    triangular where its other half is exactly zero: near-triangular input is solved, and its true eigenvalues are
    ill-conditioned.

    A torch tensor that requires a gradient gets one if it is triangular, or is said to be by structure="causal": each
    eigenvalue is the diagonal entry that it was read from, and the gradient stays among triangular matrices, that is,
    on the diagonal. Traced whole by torch.compile.

    Args:
        a: (..., n, n) numpy array, torch tensor or DLPack array of float16, bfloat16, float32 or float64, any layout.
        structure: "auto" looks for triangular form first; "causal" reads only the diagonal, on the caller's word that
            the upper triangle is zero; "dense" does not look, which is faster for matrices known to be full, and no
            less exact.
        dtype: what to compute in, "float64" (default) or "float32".

    Returns:
        (..., n) complex, of the caller's kind and on the caller's device. NaN for every eigenvalue of a matrix that
        holds NaN or infinity or on which the iteration did not converge.

    Raises:
        ShapeError: not (..., n, n) with n >= 1, or n > 4096 without structure="causal".
        DtypeError: no array, or elements that are no floats.
        InputError: unknown `structure` or `dtype`.
        GradientError: in the backward pass, a matrix that is not triangular, equal eigenvalues that are treated
            differently, or a second derivative.
    """
    if is_traced(a):
        from eigencore import torch_operators

        return torch_operators.eigvals(a, structure, dtype)
    return eigenvalues(a, structure, dtype)


def svdvals(a: object, *, dtype: object = None) -> Array:
    """Singular values of square matrices, downwards.

    A torch tensor that requires a gradient gets it: U diag(g) V^T for a gradient g of the singular values, from
    singular vectors computed in float64. Traced whole by torch.compile.

    Args:
        a: (..., n, n) numpy array, torch tensor or DLPack array of float16, bfloat16, float32 or float64, any layout.
        dtype: what to compute in, "float64" (default) or "float32".

    Returns:
        (..., n) real, of the caller's kind and on the caller's device; NaN for a matrix that holds NaN or infinity.

    Raises:
        ShapeError: not (..., n, n) with 1 <= n <= 4096.
        DtypeError: no array, or elements that are no floats.
        InputError: unknown `dtype`.
        GradientError: in the backward pass, equal singular values that are treated differently, one that is zero, or a
            second derivative.
    """
    if is_traced(a):
        from eigencore import torch_operators

        return torch_operators.svdvals(a, dtype)
    return singular_values(a, dtype)
