"""Spectra by the core: the work behind `eigvals` and `svdvals`, and behind the torch operators of the same names."""

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


def eigenvalues(a: object, structure: str, dtype: object) -> Array:
    """(..., n) complex, by magnitude downwards; NaN for matrices that have none. Raises as `eigvals` does."""
    batch = as_matrix_batch(a)
    check_cost(batch.n, diagonal_only=structure == "causal")
    solve = _core.eigvals_f64 if compute_dtype(dtype) == "float64" else _core.eigvals_f32
    values, _ = solve(batch.elements, batch.scalar, core_structure(structure))
    return _with_leading_shape(values, batch.leading_shape, batch.source)


def singular_values(a: object, dtype: object) -> Array:
    """(..., n) downwards; NaN for matrices that have none. Raises as `svdvals` does."""
    batch = as_matrix_batch(a)
    check_cost(batch.n, diagonal_only=False)
    solve = _core.svdvals_f64 if compute_dtype(dtype) == "float64" else _core.svdvals_f32
    values, _ = solve(batch.elements, batch.scalar)
    return _with_leading_shape(values, batch.leading_shape, batch.source)


def _with_leading_shape(values: npt.NDArray[Any], leading_shape: tuple[int, ...], source: Array) -> Array:
    return like_source(values.reshape(*leading_shape, values.shape[-1]), source)
