"""From matrices, or from eigenvalues already known, to SpectralMetrics."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import numpy as np
import numpy.typing as npt

from eigencore import _core
from eigencore.arrays import (
    Array,
    ComputeDtype,
    as_array,
    as_matrix_batch,
    check_cost,
    check_square,
    compute_dtype,
    like_source,
    scalar_name,
)
from eigencore.errors import DtypeError, InputError, ShapeError, StructureError
from eigencore.linalg import Structure, core_structure
from eigencore.metrics.catalogue import select_metrics
from eigencore.metrics.spectral_metrics import SpectralMetrics, Status

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    import torch

Spectrum: TypeAlias = Literal["eigen", "singular"]
_SPECTRA = {"eigen": _core.Spectrum.eigen, "singular": _core.Spectrum.singular}


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

    Args:
        a: (..., n, n) numpy array, torch tensor or DLPack array of float16, bfloat16, float32 or float64, any layout;
            or a list of square matrices of unequal size. Causal input on a CUDA device is measured there; other
            tensors on a device are copied to the host. Gradients do not flow through.
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
    """
    if not isinstance(spectrum, str) or spectrum not in _SPECTRA:
        raise InputError(f"spectrum is 'eigen' or 'singular', got {spectrum!r}")
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
    leading_shape, n = tuple(array.shape[:-2]), int(array.shape[-1])
    check_cost(n, diagonal_only=structure == "causal" and spectrum == "eigen")
    checked_lengths = _check_lengths(lengths, leading_shape, n)
    if check and structure == "causal":
        _check_causal(array, checked_lengths)
    if not isinstance(array, np.ndarray) and array.device.type == "cuda" and spectrum == "eigen":
        measured = _measured_on_device(array, structure, names, checked_lengths, compute)
        if measured is not None:
            return measured
    batch = as_matrix_batch(array)
    measure = _core.metrics_f64 if compute == "float64" else _core.metrics_f32
    flat_lengths = None if checked_lengths is None else checked_lengths.reshape(-1)
    table, status = measure(batch.elements, batch.scalar, _SPECTRA[spectrum], core_structure(structure), flat_lengths)
    return _assemble(table, status, leading_shape, checked_lengths, n, names, spectrum, array)


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
    return _assemble(table.T, status.reshape(-1), leading_shape, lengths, n, names, "eigen", table)


def _assemble(
    table: npt.NDArray[np.float64],
    status: npt.NDArray[np.uint8],
    leading_shape: tuple[int, ...],
    lengths: npt.NDArray[np.int64] | None,
    n: int,
    names: tuple[str, ...],
    spectrum: Spectrum,
    source: Array,
) -> SpectralMetrics:
    sizes = np.full(leading_shape, n, np.int64) if lengths is None else lengths
    planes = table.reshape(len(_core.METRIC_NAMES), *leading_shape)
    columns = {name: like_source(planes[i, ...], source) for i, name in enumerate(_core.METRIC_NAMES) if name in names}
    return SpectralMetrics(
        spectrum=spectrum,
        n=like_source(sizes, source),
        status=like_source(status.reshape(leading_shape), source),
        **columns,
    )


def _measured_on_device(
    a: torch.Tensor,
    structure: Structure,
    names: tuple[str, ...],
    lengths: npt.NDArray[np.int64] | None,
    compute: ComputeDtype,
) -> SpectralMetrics | None:
    """Eigen metrics of causal matrices where they lie, or None for others."""
    from eigencore.metrics import on_device

    if structure == "dense" or (structure == "auto" and not on_device.is_causal(a, lengths)):
        return None
    columns, status = on_device.diagonal_metrics(a, lengths, compute)
    sizes = np.full(tuple(status.shape), a.shape[-1], np.int64) if lengths is None else lengths
    return SpectralMetrics(
        spectrum="eigen", n=like_source(sizes, status), status=status, **{name: columns[name] for name in names}
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
        return _assemble(empty, np.empty(0, np.uint8), (0,), None, 0, names, spectrum, empty)
    if len({isinstance(x, np.ndarray) for x in arrays}) > 1:
        raise DtypeError("expected a list of numpy arrays or of torch tensors, got both; convert one kind to the other")
    columns = {name: _stack([getattr(r, name) for r in results]) for name in ("n", "status", *names)}
    return SpectralMetrics(spectrum=spectrum, **columns)


def _stack(scalars: list[Any]) -> Array:
    if isinstance(scalars[0], (np.ndarray, np.generic)):
        return np.stack(scalars)
    import torch

    return torch.stack(scalars)


def _check_lengths(lengths: object, leading_shape: tuple[int, ...], n: int) -> npt.NDArray[np.int64] | None:
    if lengths is None:
        return None
    # A copy: the caller may go on to change what was handed in.
    values = np.array(_to_host(lengths))
    if values.dtype.kind not in "iu" and values.size:
        raise DtypeError(f"expected lengths of an integer type, got {values.dtype}")
    if values.shape != leading_shape:
        raise ShapeError(f"expected lengths of shape {leading_shape}, one per matrix, got {values.shape}")
    wrong = np.argwhere((values < 1) | (values > n))
    if len(wrong):
        at = tuple(int(i) for i in wrong[0])
        raise ShapeError(f"expected lengths from 1 to {n}, got {int(values[at])} at {at}")
    return values.astype(np.int64, order="C")


def _to_host(value: object) -> Any:
    return value.detach().cpu() if hasattr(value, "detach") else value


def _check_causal(array: Array, lengths: npt.NDArray[np.int64] | None) -> None:
    n = int(array.shape[-1])
    upper = np.triu(np.ones((n, n), bool), 1)
    if isinstance(array, np.ndarray):
        outside = (array != 0) & upper
    else:
        import torch

        outside = ((array != 0) & torch.from_numpy(upper).to(array.device)).cpu().numpy()
    if lengths is not None:
        outside &= np.arange(n) < lengths[..., None, None]
    found = np.argwhere(outside)
    if len(found):
        at = tuple(int(i) for i in found[0])
        raise StructureError(
            f"structure='causal', but the entry at {at}, above the diagonal, is {float(array[at])!r}; "
            "pass structure='auto', or set the upper triangle to exactly zero"
        )
