"""What callers may hand in, and what comes back: kinds, types, layouts, and errors that name the value."""

import numpy as np
import pytest
import torch

import eigencore as ec
from eigencore import _core
from eigencore.errors import DtypeError, ShapeError
from tests.oracles import causal_softmax

CALLS = {
    "batch_metrics": lambda a: ec.batch_metrics(a).spectral_entropy,
    "eigvals": ec.eigvals,
    "svdvals": ec.svdvals,
    "row_metrics": lambda a: ec.row_metrics(a).row_entropy,
}
calls = pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)


@pytest.fixture
def a():
    return causal_softmax(np.random.default_rng(0).standard_normal((2, 3, 9, 9)))


@calls
@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_numpy_types_are_widened_exactly(call, dtype, a):
    low = a.astype(dtype)
    np.testing.assert_array_equal(call(low), call(low.astype(np.float64)))


@calls
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
def test_torch_in_torch_out(call, dtype, a):
    low = torch.from_numpy(a).to(dtype)
    result = call(low)
    assert isinstance(result, torch.Tensor)
    np.testing.assert_array_equal(result.numpy(), call(low.double().numpy()))


def test_every_float16_and_bfloat16_value_is_read_exactly():
    bits = np.arange(2**16, dtype=np.uint16)
    for values, reference in (
        (bits.view(np.float16), bits.view(np.float16).astype(np.float64)),
        (torch.from_numpy(bits.copy()).view(torch.bfloat16), (bits.astype(np.uint32) << 16).view(np.float32)),
    ):
        finite = np.isfinite(reference)
        singular = np.asarray(ec.svdvals(values.reshape(-1, 1, 1)))[:, 0]
        np.testing.assert_array_equal(singular[finite], np.abs(reference[finite].astype(np.float64)))
        assert np.isnan(singular[~finite]).all()


@calls
def test_any_layout_gives_the_same(call, a):
    expected = call(a)
    wide = np.zeros((2, 3, 18, 27))
    wide[..., ::2, ::3] = a
    fortran = np.asfortranarray(a)
    read_only = a.copy()
    read_only.flags.writeable = False
    unaligned = np.frombuffer(b"\0" + a.tobytes(), np.float64, offset=1).reshape(a.shape)
    for view in (wide[..., ::2, ::3], fortran, read_only, unaligned, a.astype(">f8"), a.copy()[::-1][::-1]):
        np.testing.assert_array_equal(call(view), expected)
    np.testing.assert_array_equal(call(a[::-1, :, ::-1, ::-1]), call(a[::-1, :, ::-1, ::-1].copy()))
    np.testing.assert_array_equal(call(np.swapaxes(a, -1, -2)), call(np.swapaxes(a, -1, -2).copy()))
    np.testing.assert_array_equal(call(np.swapaxes(a, 0, 1)), np.swapaxes(expected, 0, 1))
    np.testing.assert_array_equal(
        call(np.broadcast_to(a, (4, 2, 3, 9, 9))), np.broadcast_to(expected, (4, *expected.shape))
    )
    np.testing.assert_array_equal(call(torch.from_numpy(a).mT), call(np.swapaxes(a, -1, -2)))


@calls
@pytest.mark.parametrize("dtype", ["f2", "f4", "f8"])
def test_either_byte_order_gives_the_same(call, dtype, a):
    for order in "<>":
        swapped, native = a.astype(order + dtype), a.astype(dtype)
        np.testing.assert_array_equal(call(swapped), call(native))
        np.testing.assert_array_equal(call(swapped[..., ::-1, ::-1]), call(native[..., ::-1, ::-1]))


@calls
def test_inputs_are_left_as_they_were(call, a):
    before = a.copy()
    call(a)
    np.testing.assert_array_equal(a, before)


class OnlyDLPack:
    """An array of some other library."""

    def __init__(self, array):
        self._array = array

    def __dlpack__(self, **kwargs):
        return self._array.__dlpack__(**kwargs)

    def __dlpack_device__(self):
        return self._array.__dlpack_device__()


@calls
def test_dlpack_is_read(call, a):
    np.testing.assert_array_equal(call(OnlyDLPack(a)), call(a))
    brain = torch.from_numpy(a).bfloat16()
    np.testing.assert_array_equal(np.asarray(call(OnlyDLPack(brain))), call(brain.double().numpy()))


@calls
def test_a_tensor_that_requires_grad_is_read(call, a):
    np.testing.assert_array_equal(call(torch.from_numpy(a).requires_grad_()).detach().numpy(), call(a))


@calls
def test_one_matrix_and_empty_batches(call, a):
    for kind in (np.asarray, torch.from_numpy):
        alone, batch = call(kind(a[0, 0])), call(kind(a))
        assert alone.shape == batch.shape[2:]
        np.testing.assert_array_equal(alone, batch[0, 0])
    assert call(np.empty((0, 3, 4, 4))).shape[:2] == (0, 3)
    assert call(torch.empty(2, 0, 4, 4)).shape[:2] == (2, 0)


@calls
@pytest.mark.parametrize(
    ("value", "error", "words"),
    [
        (np.zeros((4, 3, 5)), ShapeError, r"\(4, 3, 5\)"),
        (np.zeros(5), ShapeError, r"\(5,\)"),
        (np.zeros((2, 0, 0)), ShapeError, r"\(2, 0, 0\)"),
        (np.zeros((0, 0)), ShapeError, r"\(0, 0\).*0 x 0"),
        (np.float64(1), DtypeError, "float64"),
        (np.zeros(()), ShapeError, r"\(\)"),
        (torch.zeros(2, 3), ShapeError, r"\(2, 3\)"),
        (np.ma.masked_invalid(np.eye(2)), DtypeError, "masked"),
        (torch.eye(2).to_sparse(), DtypeError, "sparse"),
        (torch.empty(2, 2, device="meta"), DtypeError, "meta"),
        (np.zeros((2, 2), complex), DtypeError, "complex128"),
        (torch.zeros(2, 2, dtype=torch.complex64), DtypeError, "complex64"),
        (np.zeros((2, 2), object), DtypeError, "object"),
        (np.array([["a", "b"], ["c", "d"]]), DtypeError, "str"),
        (np.zeros((2, 2), int), DtypeError, "int64"),
        (np.zeros((2, 2), bool), DtypeError, "bool"),
        (np.zeros((2, 2), np.longdouble), DtypeError, "longdouble|float128"),
        ("attention", DtypeError, "str"),
        (None, DtypeError, "NoneType"),
        (3.5, DtypeError, "float"),
    ],
)
def test_bad_input_is_named(call, value, error, words):
    with pytest.raises(error, match=words):
        call(value)


@calls
@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_a_bad_matrix_leaves_the_others_bitwise_as_they_are(call, bad, a):
    expected = call(a)
    spoiled = a.copy()
    spoiled[1, 2, 4, 3] = bad
    result = call(spoiled)
    assert np.isnan(result[1, 2]).all()
    others = np.ones((2, 3), bool)
    others[1, 2] = False
    np.testing.assert_array_equal(result[others], expected[others])


def test_sizes_that_would_take_minutes_say_so():
    large = np.broadcast_to(np.float64(0.5), (4097, 4097))
    calls = (ec.eigvals, ec.svdvals, ec.batch_metrics, lambda a: ec.batch_metrics(a, spectrum="singular"))
    for call in calls:
        with pytest.raises(ShapeError, match=r"n = 4097.*minutes.*structure='causal'"):
            call(large)
    assert ec.batch_metrics(large, structure="causal").effective_rank == pytest.approx(4097)
    assert ec.eigvals(large, structure="causal").shape == (4097,)


SPECTRA = [_core.eigvals_f64, _core.eigvals_f32, _core.svdvals_f64, _core.svdvals_f32]
MEASURES = [_core.metrics_f64, _core.metrics_f32]


@pytest.mark.parametrize(
    ("array", "scalar", "words"),
    [
        (np.zeros((4, 4)), _core.Scalar.float64, "shape"),
        (np.zeros((1, 4, 3)), _core.Scalar.float64, "shape"),
        (np.zeros((1, 0, 0)), _core.Scalar.float64, "n >= 1"),
        (np.zeros((1, 4, 4), np.float32), _core.Scalar.float64, "item size"),
        (np.zeros((1, 4, 4)), _core.Scalar.bfloat16, "item size"),
    ],
)
def test_the_core_reads_no_array_that_is_not_as_described(array, scalar, words):
    for solve in SPECTRA:
        structure = () if "svdvals" in solve.__name__ else (_core.Structure.auto,)
        with pytest.raises(ValueError, match=words):
            solve(array, scalar, *structure)
    for measure in MEASURES:
        with pytest.raises(ValueError, match=words):
            measure(array, scalar, _core.Spectrum.eigen, _core.Structure.auto, None)
    with pytest.raises(ValueError, match=words):
        _core.row_metrics(array, scalar)


@pytest.mark.parametrize("measure", MEASURES)
@pytest.mark.parametrize("lengths", [[0, 1], [1, 5], [-1, 1], [1], [[1, 1]], [2**62, 1]])
def test_the_core_reads_nothing_beyond_lengths_that_do_not_fit(measure, lengths):
    with pytest.raises(ValueError, match="lengths"):
        measure(
            np.zeros((2, 4, 4)), _core.Scalar.float64, _core.Spectrum.eigen, _core.Structure.auto, np.array(lengths)
        )
