"""The one place where what a caller hands in becomes what the core reads, and results become what the caller uses.

numpy, torch and DLPack arrays come in; `MatrixBatch` goes to the core: a numpy view (count, n, n) with the element type
named apart, since numpy has no bfloat16. No element is converted here, and nothing is copied unless the leading
dimensions cannot be flattened in place or the bytes are not native.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, TypeGuard

import numpy as np
import numpy.typing as npt

from eigencore import _core
from eigencore.errors import DtypeError, InputError, ShapeError

if TYPE_CHECKING:
    import torch

Array: TypeAlias = "npt.NDArray[Any] | torch.Tensor"
ComputeDtype: TypeAlias = Literal["float32", "float64"]

FLOAT_TYPES = "float16, bfloat16, float32 or float64"
_SCALARS = {
    "float16": _core.Scalar.float16,
    "bfloat16": _core.Scalar.bfloat16,
    "float32": _core.Scalar.float32,
    "float64": _core.Scalar.float64,
}
_NUMPY_FLOATS = {("f", 2): "float16", ("f", 4): "float32", ("f", 8): "float64"}


@dataclass(frozen=True)
class MatrixBatch:
    """Square matrices as the core reads them."""

    elements: npt.NDArray[Any]
    """(count, n, n) in any layout; 16-bit types as uint16."""
    scalar: _core.Scalar
    leading_shape: tuple[int, ...]
    """The caller's shape without the last two dimensions."""
    source: Array
    """What the caller handed in, as numpy or torch."""

    @property
    def n(self) -> int:
        return int(self.elements.shape[-1])


def is_torch(value: object) -> TypeGuard[torch.Tensor]:
    """Whether `value` is a torch tensor, without importing torch."""
    torch = sys.modules.get("torch")
    return torch is not None and isinstance(value, torch.Tensor)


def is_traced(value: object) -> TypeGuard[torch.Tensor]:
    """Whether autograd or torch.compile follows a tensor, so that what is done with it has to be an operator."""
    if isinstance(value, np.ndarray) or not is_torch(value):
        return False
    torch = sys.modules["torch"]
    return bool((value.requires_grad and torch.is_grad_enabled()) or torch.compiler.is_compiling())


def as_array(value: object) -> Array:
    """numpy or torch as they are, anything with DLPack through it.

    Raises:
        DtypeError: `value` is none of these.
    """
    if isinstance(value, np.ma.MaskedArray):
        raise DtypeError("a masked array has no spectrum; fill it, or pass lengths for padding")
    if isinstance(value, np.ndarray):
        return np.asarray(value)
    if is_torch(value):
        return _dense_tensor(value)
    if hasattr(value, "__dlpack__"):
        return _from_dlpack(value)
    raise DtypeError(
        f"expected an array (numpy, torch or DLPack) of shape (..., n, n), got {type(value).__name__}"
        + ("; wrap nested lists in numpy.asarray" if isinstance(value, (list, tuple)) else "")
    )


def _dense_tensor(value: Any) -> torch.Tensor:
    import torch

    if value.layout != torch.strided or value.device.type == "meta":
        kind = "on device meta" if value.device.type == "meta" else f"of layout {value.layout}"
        raise DtypeError(f"expected a dense tensor with elements, got one {kind}; use .to_dense() or materialise it")
    tensor: torch.Tensor = value
    return tensor


def _from_dlpack(value: Any) -> Array:
    try:
        return np.from_dlpack(value)
    except (BufferError, RuntimeError, TypeError, ValueError) as numpy_error:
        # numpy has no bfloat16 and sees no device but the host; torch has both.
        try:
            import torch

            return torch.utils.dlpack.from_dlpack(value)
        except Exception as torch_error:
            raise DtypeError(
                f"cannot read {type(value).__name__} through DLPack: numpy says {numpy_error}; torch says {torch_error}"
            ) from torch_error


def check_square(array: Array) -> None:
    """Raises ShapeError unless `array` is (..., n, n) with n >= 1."""
    shape = tuple(array.shape)
    if len(shape) < 2 or shape[-1] != shape[-2]:
        raise ShapeError(f"expected (..., n, n), got {shape}")
    if shape[-1] == 0:
        raise ShapeError(f"expected n >= 1, got {shape}: a 0 x 0 matrix has no spectrum")


LARGEST_SOLVED = 4096


def check_cost(n: int, *, diagonal_only: bool) -> None:
    """Raises ShapeError for matrices whose spectrum would take minutes each, unless only diagonals are read."""
    if n > LARGEST_SOLVED and not diagonal_only:
        raise ShapeError(
            f"n = {n}: a spectrum takes O(n**3), {n**3 / 1e10:.0f} minutes for each matrix; up to n = {LARGEST_SOLVED} "
            "it is done. Eigenvalues of causal matrices cost O(n): structure='causal'"
        )


def scalar_name(array: Array) -> str:
    """'float32' and the like.

    Raises:
        DtypeError: the elements are no floating-point numbers.
    """
    if isinstance(array, np.ndarray):
        # dtype.name would be found by looking at strings, which small batches feel.
        known = _NUMPY_FLOATS.get((array.dtype.kind, array.dtype.itemsize))
        name = array.dtype.name if known is None else known
    else:
        name = str(array.dtype).removeprefix("torch.")
    if name not in _SCALARS:
        raise DtypeError(f"expected elements of {FLOAT_TYPES}, got {name}; convert them with astype or .to first")
    return name


def as_matrix_batch(value: object) -> MatrixBatch:
    """Host array or tensor (..., n, n) of any float type and layout -> what the core reads.

    Raises:
        DtypeError: no array, or elements that are no floats.
        ShapeError: not (..., n, n) with n >= 1.
    """
    source = as_array(value)
    name = scalar_name(source)
    check_square(source)
    return core_view(source, name)


def core_view(source: Array, name: str) -> MatrixBatch:
    """What the core reads of matrices (..., n, n) that were looked at, whose elements are of the type `name`."""
    host = source if isinstance(source, np.ndarray) else _host_view(source)
    if not host.dtype.isnative:
        host = host.astype(host.dtype.newbyteorder("="))
    if host.itemsize == 2:
        host = host.view(np.uint16)
    n = host.shape[-1]
    flat = host.reshape(-1, n, n) if host.size else np.empty((0, n, n), host.dtype)
    return MatrixBatch(flat, _SCALARS[name], tuple(host.shape[:-2]), source)


def _host_view(tensor: torch.Tensor) -> npt.NDArray[Any]:
    import torch

    tensor = tensor.detach().cpu().resolve_neg()
    if tensor.dtype == torch.bfloat16:
        tensor = tensor.view(torch.uint16)
    view: npt.NDArray[Any] = tensor.numpy()
    return view


def like_source(values: Array, source: Array) -> Array:
    """A result as the caller's kind of array, on the caller's device. A tensor is there already."""
    if isinstance(source, np.ndarray) or not isinstance(values, np.ndarray):
        return values
    import torch

    return torch.from_numpy(np.asarray(values, order="C")).to(source.device)


def compute_dtype(dtype: object) -> ComputeDtype:
    """None, "float64", numpy.float32, torch.float64 … -> the type that the core computes in (None: float64).

    Raises:
        InputError: another type.
    """
    name = "float64" if dtype is None else str(getattr(dtype, "__name__", dtype)).removeprefix("torch.")
    if name == "float64":
        return "float64"
    if name == "float32":
        return "float32"
    raise InputError(f"dtype is what to compute in, 'float64' or 'float32', got {dtype!r}")
