"""From matrices, or from eigenvalues already known, to SpectralMetrics."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import numpy as np
import numpy.typing as npt

from eigencore import _core
from eigencore.arrays import (
    Array,
    as_array,
    check_cost,
    check_square,
    compute_dtype,
    is_traced,
    like_source,
    scalar_name,
)
from eigencore.errors import DtypeError, ShapeError
from eigencore.metrics.catalogue import select_metrics
from eigencore.metrics.measurement import check_spectrum, measure
from eigencore.metrics.spectral_metrics import SpectralMetrics, Status
from eigencore.solvers import Structure, core_structure

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

Spectrum: TypeAlias = Literal["eigen", "singular"]


def batch_metrics(
    a: object,
    *,
    spectrum: Spectrum = "eigen",
    structure: Structure = "auto",
    metrics: Iterable[str] | None = None,
    lengths: object = None,
    dtype: object = None,
    check: bool = False,
) -> SpectralMetrics:
    """Spectral metrics of square matrices, one number per matrix and metric.

    A torch tensor that requires a gradient gets one through every metric: by way of singular values for any matrix, by
    way of eigenvalues for triangular ones, where it stays on the diagonal. A matrix whose metric is NaN gets a
    gradient of NaN, or zero if nothing that is differentiated depends on it. Traced whole by torch.compile.

    Args:
        a: (..., n, n) numpy array, torch tensor or DLPack array of float16, bfloat16, float32 or float64, any layout;
            or a list of square matrices of unequal size. Causal input on a CUDA device is measured there; other
            tensors on a device are copied to the host.
        spectrum: "eigen", magnitudes of eigenvalues, or "singular".
        structure: "auto" finds triangular and block-triangular input; "causal", on the caller's word, reads only the
            diagonal, and for singular values nothing above it; "dense" does not look for triangular form first.
        metrics: names of the metrics wanted; None: all.
        lengths: (...) int, the size of the valid leading block of each matrix, 1 ... n; None: all of it.
        dtype: what to compute in, "float64" (default) or "float32".
        check: with structure="causal", read the upper triangle too and raise where it is not zero.

    Returns:
        Arrays of the leading shape (of a list: its length), of the caller's kind and on the caller's device. A matrix
        that holds NaN or infinity gets NaN and a status, and no other is touched by it.

    Raises:
        ShapeError: not (..., n, n) with n >= 1, lengths that do not fit, or n > 4096 where more than the diagonal is
            read.
        DtypeError: no array, or elements that are no floats.
        UnknownMetricError: no metric of that name for this spectrum.
        StructureError: `check` found weight above a diagonal.
        InputError: unknown `spectrum`, `structure` or `dtype`.
        GradientError: in the backward pass, eigenvalues of a matrix that is not triangular; magnitudes that are equal
            or zero where the metric has no gradient; a second derivative.
    """
    check_spectrum(spectrum)
    core_structure(structure)
    names = select_metrics(metrics, singular=spectrum == "singular")
    compute = compute_dtype(dtype)
    if isinstance(a, (list, tuple)):
        if lengths is not None:
            raise ShapeError("a list of matrices has its lengths in itself; leave `lengths` out")
        return _metrics_of_list(a, spectrum, structure, names, dtype, check)
    array = as_array(a)
    scalar_name(array)
    check_square(array)
    check_cost(int(array.shape[-1]), diagonal_only=structure == "causal" and spectrum == "eigen")
    if is_traced(array):
        from eigencore.metrics.torch_operator import measure_traced

        planes, status, sizes = measure_traced(array, spectrum, structure, lengths, compute, check)
        return _assemble(planes, status, sizes, names, spectrum, array)
    return _assemble(*measure(array, spectrum, structure, lengths, compute, check), names, spectrum, array)


def metrics_from_log_magnitudes(
    log_magnitudes: npt.NDArray[np.float64], valid: npt.NDArray[np.bool_] | None = None
) -> SpectralMetrics:
    """Eigen metrics of causal matrices whose self-weights are known, as from a tap.

    Args:
        log_magnitudes: (..., n) float64, ln of each eigenvalue, -inf for 0.
        valid: (..., n) False where an entry is padding; None: every entry counts.

    Returns:
        numpy arrays (...). NaN and status NON_FINITE where a valid entry is NaN or +inf; a series with no valid entry
        has NaN everywhere and status OK.
    """
    leading_shape, n = log_magnitudes.shape[:-1], log_magnitudes.shape[-1]
    counts = np.ones_like(log_magnitudes, bool) if valid is None else np.broadcast_to(valid, log_magnitudes.shape)
    bad = counts & ~(log_magnitudes < np.inf)
    running = _core.RunningSpectra(int(np.prod(leading_shape)))
    # Padding becomes +inf and sorts to the end, so each series is a valid head and a tail of padding.
    series = np.sort(np.where(counts & ~bad, log_magnitudes, np.inf).reshape(running.count, n), axis=-1)
    lengths = counts.sum(axis=-1)
    status = np.where(bad.any(axis=-1), Status.NON_FINITE, Status.OK).astype(np.uint8)
    ends_at = np.where(status == Status.OK, lengths, 0).reshape(-1)
    table = np.full((running.count, len(_core.METRIC_NAMES)), np.nan)
    for length in range(1, n + 1):
        rows = running.append(np.ascontiguousarray(series[:, length - 1]))
        table[ends_at == length] = rows[ends_at == length]
    names = select_metrics(None, singular=False)
    planes = np.ascontiguousarray(table.T).reshape(-1, *leading_shape)
    return _assemble(planes, status, lengths, names, "eigen", table)


def _assemble(
    planes: Array, status: Array, sizes: Array, names: tuple[str, ...], spectrum: Spectrum, source: Array
) -> SpectralMetrics:
    """Planes are (metrics, ...) in catalogue order."""
    planes = like_source(planes, source)
    columns = {name: planes[i, ...] for i, name in enumerate(_core.METRIC_NAMES) if name in names}
    return SpectralMetrics(
        spectrum=spectrum, n=like_source(sizes, source), status=like_source(status, source), **columns
    )


def _metrics_of_list(
    matrices: Sequence[object],
    spectrum: Spectrum,
    structure: Structure,
    names: tuple[str, ...],
    dtype: object,
    check: bool,
) -> SpectralMetrics:
    arrays = [as_array(matrix) for matrix in matrices]
    for position, array in enumerate(arrays):
        if len(array.shape) != 2:
            raise ShapeError(
                f"expected square matrices (n, n) in the list, got {tuple(array.shape)} at {position}; "
                "put arrays of one shape together with torch.stack or numpy.stack"
            )
        check_square(array)
    results = [
        batch_metrics(x, spectrum=spectrum, structure=structure, metrics=names, dtype=dtype, check=check)
        for x in arrays
    ]
    if not results:
        empty = np.empty((len(_core.METRIC_NAMES), 0))
        return _assemble(empty, np.empty(0, np.uint8), np.empty(0, np.int64), names, spectrum, empty)
    if len({isinstance(x, np.ndarray) for x in arrays}) > 1:
        raise DtypeError("expected a list of numpy arrays or of torch tensors, got both; convert one kind to the other")
    columns = {name: _stack([getattr(r, name) for r in results]) for name in ("n", "status", *names)}
    return SpectralMetrics(spectrum=spectrum, **columns)


def _stack(scalars: list[Any]) -> Array:
    if isinstance(scalars[0], (np.ndarray, np.generic)):
        return np.stack(scalars)
    import torch

    return torch.stack(scalars)
