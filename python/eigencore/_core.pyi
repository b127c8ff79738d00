"""The compiled core. Private: arguments arrive validated by eigencore.arrays."""

import enum
from typing import Any

import numpy as np
import numpy.typing as npt

METRIC_NAMES: tuple[str, ...]
ROW_METRIC_NAMES: tuple[str, ...]

class Scalar(enum.Enum):
    float16 = 0
    bfloat16 = 1
    float32 = 2
    float64 = 3

class Structure(enum.Enum):
    auto = 0
    causal = 1
    dense = 2

class Spectrum(enum.Enum):
    eigen = 0
    singular = 1

_Status = npt.NDArray[np.uint8]
_F64 = npt.NDArray[np.float64]
_Lengths = npt.NDArray[np.int64] | None

def active_arch() -> str: ...
def available_arches() -> list[str]: ...
def use_arch(name: str) -> None: ...
def get_num_threads() -> int: ...
def set_num_threads(count: int) -> None: ...
def eigvals_f64(
    a: npt.NDArray[Any], scalar: Scalar, structure: Structure
) -> tuple[npt.NDArray[np.complex128], _Status]: ...
def eigvals_f32(
    a: npt.NDArray[Any], scalar: Scalar, structure: Structure
) -> tuple[npt.NDArray[np.complex64], _Status]: ...
def svdvals_f64(a: npt.NDArray[Any], scalar: Scalar) -> tuple[_F64, _Status]: ...
def svdvals_f32(a: npt.NDArray[Any], scalar: Scalar) -> tuple[npt.NDArray[np.float32], _Status]: ...
def metrics_f64(
    a: npt.NDArray[Any], scalar: Scalar, spectrum: Spectrum, structure: Structure, lengths: _Lengths
) -> tuple[_F64, _Status]: ...
def metrics_f32(
    a: npt.NDArray[Any], scalar: Scalar, spectrum: Spectrum, structure: Structure, lengths: _Lengths
) -> tuple[_F64, _Status]: ...
def row_metrics(a: npt.NDArray[Any], scalar: Scalar) -> tuple[_F64, _Status]: ...

class RunningSpectra:
    def __init__(self, count: int) -> None: ...
    def append(self, log_magnitudes: _F64) -> _F64: ...
    @property
    def count(self) -> int: ...
    @property
    def length(self) -> int: ...
