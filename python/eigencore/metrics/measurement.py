"""From one batch of matrices to the table of its metrics: by the core, or by torch where a CUDA tensor lies."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from eigencore import _core
from eigencore.arrays import Array, ComputeDtype, core_view, is_torch, scalar_name
from eigencore.errors import DtypeError, InputError, ShapeError, StructureError
from eigencore.solvers import core_structure

if TYPE_CHECKING:
    import torch

_SPECTRA = {"eigen": _core.Spectrum.eigen, "singular": _core.Spectrum.singular}


def check_spectrum(spectrum: str) -> None:
    """Raises InputError unless there is such a spectrum."""
    if not isinstance(spectrum, str) or spectrum not in _SPECTRA:
        raise InputError(f"spectrum is 'eigen' or 'singular', got {spectrum!r}")


def measure(
    array: Array,
    spectrum: str,
    structure: str,
    lengths: object,
    compute: ComputeDtype,
    check: bool,
) -> tuple[Array, Array, npt.NDArray[np.int64]]:
    """The metrics of square matrices (..., n, n), without a gradient.

    Returns:
        planes (metrics, ...) in catalogue order; status (...); the size of each spectrum (...), always on the host.

    Raises:
        ShapeError, DtypeError: lengths that do not fit.
        StructureError: `check` found weight above a diagonal.
    """
    leading_shape, n = tuple(array.shape[:-2]), int(array.shape[-1])
    checked_lengths = _check_lengths(lengths, leading_shape, n)
    sizes = np.full(leading_shape, n, np.int64) if checked_lengths is None else checked_lengths
    if check and structure == "causal":
        _check_causal(array, checked_lengths)
    if not isinstance(array, np.ndarray) and array.device.type == "cuda" and spectrum == "eigen":
        measured = _measured_on_device(array, structure, checked_lengths, compute)
        if measured is not None:
            return (*measured, sizes)
    batch = core_view(array, scalar_name(array))
    solve = _core.metrics_f64 if compute == "float64" else _core.metrics_f32
    flat_lengths = None if checked_lengths is None else checked_lengths.reshape(-1)
    table, status = solve(batch.elements, batch.scalar, _SPECTRA[spectrum], core_structure(structure), flat_lengths)
    return table.reshape(len(table), *leading_shape), status.reshape(leading_shape), sizes


def _measured_on_device(
    a: torch.Tensor, structure: str, lengths: npt.NDArray[np.int64] | None, compute: ComputeDtype
) -> tuple[torch.Tensor, torch.Tensor] | None:
    """Eigen metrics of causal matrices where they lie, or None for others."""
    import torch

    from eigencore.metrics import on_device

    if structure == "dense" or (structure == "auto" and not on_device.is_causal(a, lengths)):
        return None
    columns, status = on_device.diagonal_metrics(a, lengths, compute)
    return torch.stack([columns[name] for name in _core.METRIC_NAMES if name in columns]), status


def _check_lengths(lengths: object, leading_shape: tuple[int, ...], n: int) -> npt.NDArray[np.int64] | None:
    if lengths is None:
        return None
    # A copy: the caller may go on to change what was handed in.
    values = np.array(lengths.detach().cpu().numpy() if is_torch(lengths) else lengths)
    if values.dtype.kind not in "iu" and values.size:
        raise DtypeError(f"expected lengths of an integer type, got {values.dtype}")
    if values.shape != leading_shape:
        raise ShapeError(f"expected lengths of shape {leading_shape}, one per matrix, got {values.shape}")
    wrong = np.argwhere((values < 1) | (values > n))
    if len(wrong):
        at = tuple(int(i) for i in wrong[0])
        raise ShapeError(f"expected lengths from 1 to {n}, got {int(values[at])} at {at}")
    return values.astype(np.int64, order="C")


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
