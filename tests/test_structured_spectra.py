"""Spectra of structured matrices on every instruction-set level, each among matrices of other structure.

The eigenvalues of many of these are ill-conditioned, so that no solver gives them to full precision. What a good one
gives is the exact spectrum of a matrix nearby, and that can be checked: the smallest singular value of A - λI is the
distance to it.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

import eigencore as ec
from eigencore import _core
from tests.oracles import backward_errors, eigenvalues_to_60_digits, matching_distance, scaled_to_one
from tests.strategies import FAMILIES, Structured, among_others, seeds

SUBNORMAL = np.finfo(np.float64).smallest_subnormal
ARCHES = ec.available_arches()

every_level = pytest.mark.parametrize("arch", ARCHES)
every_family = pytest.mark.parametrize("family", FAMILIES)


@contextmanager
def level(arch: str) -> Iterator[None]:
    before = ec.active_arch()
    _core.use_arch(arch)
    try:
        yield
    finally:
        _core.use_arch(before)


def rounding(a: np.ndarray, dtype: type) -> float:
    """What a backward stable solver may change in `a`."""
    return float(64 * len(a) * np.finfo(dtype).eps * np.linalg.norm(a))


def assert_spectrum_is_that_of_a_matrix_nearby(case: Structured, values: np.ndarray, dtype: type = np.float64) -> None:
    """values: (n,) by magnitude downwards."""
    a, exponent = scaled_to_one(case.a)
    values = np.ldexp(values.real, -exponent) + 1j * np.ldexp(values.imag, -exponent)
    n, unit = len(a), np.ldexp(SUBNORMAL, -exponent)
    error = rounding(a, dtype) + 2 * unit
    assert (np.diff(np.abs(values)) <= 4 * np.finfo(dtype).eps * np.abs(values[:-1]) + 2 * unit).all()
    np.testing.assert_array_equal(np.sort_complex(values), np.sort_complex(values.conj()))
    assert backward_errors(a, values[values.imag >= 0]).max() <= error
    assert abs(values.sum() - np.trace(a)) <= n * error
    assert np.linalg.norm(values) <= np.linalg.norm(a) + n * error
    if case.eigenvalues is not None:
        expected = np.ldexp(case.eigenvalues.real, -exponent) + 1j * np.ldexp(case.eigenvalues.imag, -exponent)
        assert matching_distance(values, expected) <= case.condition * error


def assert_singular_values_are_those(case: Structured, sigma: np.ndarray, dtype: type = np.float64) -> None:
    a, exponent = scaled_to_one(case.a)
    sigma = np.ldexp(sigma.astype(np.float64), -exponent)
    error = rounding(a, dtype) + 2 * np.ldexp(SUBNORMAL, -exponent)
    assert (sigma >= 0).all()
    assert (np.diff(sigma) <= 0).all()
    np.testing.assert_allclose(sigma, np.linalg.svd(a, compute_uv=False), rtol=0, atol=error)
    assert abs(np.linalg.norm(sigma) - np.linalg.norm(a)) <= error
    if case.singular_values is not None:
        np.testing.assert_allclose(sigma, np.ldexp(case.singular_values, -exponent), rtol=0, atol=error)


@every_level
@every_family
@settings(max_examples=20)
@given(data=st.data())
def test_spectra_of_a_family_among_others(arch: str, family: str, data: st.DataObject) -> None:
    batch, position, case = data.draw(among_others(family))
    with level(arch):
        eigenvalues, sigma = ec.eigvals(batch), ec.svdvals(batch)
    assert_spectrum_is_that_of_a_matrix_nearby(case, eigenvalues[position])
    assert_singular_values_are_those(case, sigma[position])
    for matrix, found in zip(batch, sigma, strict=True):
        assert_singular_values_are_those(Structured(matrix), found)


@every_level
@every_family
@settings(max_examples=8)
@given(data=st.data())
def test_float32_spectra_of_a_family_among_others(arch: str, family: str, data: st.DataObject) -> None:
    batch, position, _ = data.draw(among_others(family))
    narrow = np.stack([scaled_to_one(matrix)[0] for matrix in batch]).astype(np.float32)
    with level(arch):
        eigenvalues, sigma = ec.eigvals(narrow, dtype="float32"), ec.svdvals(narrow, dtype="float32")
    case = Structured(narrow[position].astype(np.float64))
    assert_spectrum_is_that_of_a_matrix_nearby(case, eigenvalues[position], np.float32)
    assert_singular_values_are_those(case, sigma[position], np.float32)


@st.composite
def with_bad_lanes(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """A batch, the same with NaN or infinity in some of its matrices, and in which."""
    batch, _, _ = draw(st.sampled_from(list(FAMILIES)).flatmap(among_others))
    is_bad = np.isin(np.arange(len(batch)), list(draw(st.sets(st.integers(0, len(batch) - 1)))))
    rng, n = np.random.default_rng(draw(seeds)), batch.shape[-1]
    spoilt = batch.copy()
    for matrix in is_bad.nonzero()[0]:
        spoilt[matrix, rng.integers(n), rng.integers(n)] = draw(st.sampled_from([np.nan, np.inf, -np.inf]))
    return batch, spoilt, is_bad


@every_level
@settings(max_examples=25)
@given(with_bad_lanes())
def test_bad_lanes_leave_the_spectra_of_others_bitwise_alone(
    arch: str, drawn: tuple[np.ndarray, np.ndarray, np.ndarray]
) -> None:
    batch, spoilt, is_bad = drawn
    with level(arch):
        for dtype in ("float64", "float32"):
            for clean, dirty in (
                (ec.eigvals(batch, structure="dense", dtype=dtype), ec.eigvals(spoilt, structure="dense", dtype=dtype)),
                (ec.svdvals(batch, dtype=dtype), ec.svdvals(spoilt, dtype=dtype)),
            ):
                np.testing.assert_array_equal(dirty[~is_bad], clean[~is_bad])
                assert np.isnan(dirty[is_bad]).all()


@every_level
@settings(max_examples=25)
@given(with_bad_lanes(), st.sampled_from(["eigen", "singular"]))
def test_bad_lanes_leave_the_metrics_of_others_bitwise_alone(
    arch: str, drawn: tuple[np.ndarray, np.ndarray, np.ndarray], spectrum: str
) -> None:
    batch, spoilt, is_bad = drawn
    with level(arch):
        clean, dirty = (ec.batch_metrics(a, spectrum=spectrum, structure="dense") for a in (batch, spoilt))
    np.testing.assert_array_equal(dirty.status == ec.Status.NON_FINITE, is_bad)
    for name in clean.metric_names:
        found, expected = getattr(dirty, name), getattr(clean, name)
        np.testing.assert_array_equal(found[~is_bad], expected[~is_bad], err_msg=name)
        assert np.isnan(found[is_bad]).all()


ILL_CONDITIONED = ["near_triangular", "nearly_nilpotent", "jordan_like", "sharp_attention", "graded", "toeplitz"]


@settings(max_examples=25)
@given(st.lists(st.sampled_from(ILL_CONDITIONED), min_size=1, max_size=5), st.integers(2, 7), seeds)
def test_ill_conditioned_eigenvalues_are_as_near_as_their_condition_lets_them(
    families: list[str], n: int, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    batch = np.stack([FAMILIES[family](rng, n).a for family in families])
    expected, conditions = eigenvalues_to_60_digits(batch[0])
    reach = conditions * rounding(batch[0], np.float64)
    distances = np.abs(np.subtract.outer(expected, expected)) + np.diag(np.full(n, np.inf))
    assume((reach < 0.01 * distances.min(1)).all())
    for arch in ARCHES:
        with level(arch):
            found = ec.eigvals(batch)[0]
        errors = np.abs(np.subtract.outer(found, expected)).min(0)
        assert (errors <= reach).all(), (arch, families[0], errors / reach)
