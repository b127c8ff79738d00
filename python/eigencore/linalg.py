"""Eigenvalues and singular values of batches of square matrices."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, TypeAlias, get_args

from eigencore import _core
from eigencore.arrays import Array, as_matrix_batch, check_cost, compute_dtype, like_source
from eigencore.errors import InputError

if TYPE_CHECKING:
    import numpy.typing as npt

Structure: TypeAlias = Literal["auto", "causal", "dense"]

_STRUCTURES = {
    "auto": _core.Structure.auto,
    "causal": _core.Structure.causal,
    "dense": _core.Structure.dense,
}


def core_structure(structure: str) -> _core.Structure:
    """The core's name for a structure.

    Raises:
        InputError: no such structure.
    """
    if not isinstance(structure, str) or structure not in _STRUCTURES:
        raise InputError(f"structure is one of {', '.join(get_args(Structure))}; got {structure!r}")
    return _STRUCTURES[structure]


def eigvals(a: object, *, structure: Structure = "auto", dtype: object = None) -> Array:
    """Eigenvalues of square matrices, by magnitude downwards.

    Triangular input, either way up, is found and read off its diagonal exactly; input that a symmetric permutation
    makes block-triangular is solved block by block, so that a reducible matrix never costs digits. A matrix is
    triangular where its other half is exactly zero: near-triangular input is solved, and its true eigenvalues are
    ill-conditioned.

    Args:
        a: (..., n, n) numpy array, torch tensor or DLPack array of float16, bfloat16, float32 or float64, any layout.
            Gradients do not flow through.
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
    """
    batch = as_matrix_batch(a)
    check_cost(batch.n, diagonal_only=structure == "causal")
    solve = _core.eigvals_f64 if compute_dtype(dtype) == "float64" else _core.eigvals_f32
    values, _ = solve(batch.elements, batch.scalar, core_structure(structure))
    return _with_leading_shape(values, batch.leading_shape, batch.source)


def svdvals(a: object, *, dtype: object = None) -> Array:
    """Singular values of square matrices, downwards.

    Args:
        a: (..., n, n) numpy array, torch tensor or DLPack array of float16, bfloat16, float32 or float64, any layout.
            Gradients do not flow through.
        dtype: what to compute in, "float64" (default) or "float32".

    Returns:
        (..., n) real, of the caller's kind and on the caller's device; NaN for a matrix that holds NaN or infinity.

    Raises:
        ShapeError: not (..., n, n) with 1 <= n <= 4096.
        DtypeError: no array, or elements that are no floats.
        InputError: unknown `dtype`.
    """
    batch = as_matrix_batch(a)
    check_cost(batch.n, diagonal_only=False)
    solve = _core.svdvals_f64 if compute_dtype(dtype) == "float64" else _core.svdvals_f32
    values, _ = solve(batch.elements, batch.scalar)
    return _with_leading_shape(values, batch.leading_shape, batch.source)


def _with_leading_shape(values: npt.NDArray[Any], leading_shape: tuple[int, ...], source: Array) -> Array:
    return like_source(values.reshape(*leading_shape, values.shape[-1]), source)
