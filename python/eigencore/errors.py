"""Every error that eigencore raises on purpose.

EigencoreError
├── InputError (ValueError)     an argument cannot be used; the message names the value and the cure
│   ├── ShapeError              not (..., n, n), or lengths that do not fit
│   ├── DtypeError              complex, object, string or integer elements, or no array at all
│   ├── StructureError          declared causal, but with weight above the diagonal
│   └── UnknownMetricError      no metric of that name
├── NumericalError              raised only by raise_for_status(): some matrices have no result
├── GradientError               raised in a backward pass: what was asked for has no gradient, or none that is known
├── ModelError                  the model cannot be had or cannot be used
│   ├── ModelNotFoundError      no such name, path or hub id, or no weights there
│   └── UnsupportedModelError   its attention cannot be captured
├── CaptureError                the tap did not see what it must see
└── StoreError                  a run folder cannot be written or read
    ├── RunExistsError          something stands there already, or another process is writing it
    └── UnreadableRunError      not there, or damaged
        └── SchemaError         written by an incompatible version, or not a run folder at all
"""

from __future__ import annotations


class EigencoreError(Exception):
    """Base of all errors raised by eigencore."""


class InputError(EigencoreError, ValueError):
    """An argument cannot be used."""


class ShapeError(InputError):
    """An array does not have the shape that was asked for."""


class DtypeError(InputError):
    """An argument is no array, or one of elements that have no spectrum here."""


class StructureError(InputError):
    """A matrix lacks the structure that the caller declared."""


class UnknownMetricError(InputError):
    """No metric of that name exists."""


class NumericalError(EigencoreError):
    """Some matrices of a batch have no result."""


class GradientError(EigencoreError):
    """A gradient was asked for where there is none."""


class ModelError(EigencoreError):
    """A model cannot be loaded or used."""


class ModelNotFoundError(ModelError):
    """No model of that name, or no weights where it was looked for."""


class UnsupportedModelError(ModelError):
    """The attention of this model cannot be captured."""


class CaptureError(EigencoreError):
    """A tap did not see the attention that it must see."""


class StoreError(EigencoreError):
    """A run folder cannot be written or read."""


class RunExistsError(StoreError):
    """Something stands where a run shall be, or another process is writing there."""


class UnreadableRunError(StoreError):
    """A run folder is not there, or damaged."""


class SchemaError(UnreadableRunError):
    """A file is of a schema that this version does not read."""
