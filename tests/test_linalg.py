import math
import threading

import mpmath
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import eigencore as ec
from eigencore.errors import InputError
from tests.oracles import causal_softmax
from tests.strategies import attention_like, block_triangular, causal, seeds

EPS = np.finfo(np.float64).eps


def by_magnitude(values):
    return np.sort(np.abs(values))[..., ::-1]


def matched_distance(got, expected):
    """Largest distance after pairing each value with a nearest one not yet taken."""
    left = list(expected)
    worst = 0.0
    for value in got:
        nearest = min(range(len(left)), key=lambda i: abs(left[i] - value))
        worst = max(worst, abs(left.pop(nearest) - value))
    return worst


@given(attention_like())
def test_eigvals_of_dense_attention_equal_lapack(a):
    assert matched_distance(ec.eigvals(a), np.linalg.eigvals(a)) < 1e-9
    np.testing.assert_allclose(np.abs(ec.eigvals(a)), by_magnitude(np.linalg.eigvals(a)), rtol=0, atol=1e-11)


@given(causal())
def test_eigvals_of_triangular_matrices_are_the_diagonal_exactly(a):
    expected = by_magnitude(np.diag(a))
    for matrix in (a, a.T, a[::-1, ::-1]):
        np.testing.assert_array_equal(ec.eigvals(matrix), expected)


@given(causal(), seeds)
def test_eigvals_of_permuted_triangular_matrices_are_exact(a, seed):
    order = np.random.default_rng(seed).permutation(len(a))
    np.testing.assert_array_equal(ec.eigvals(a[np.ix_(order, order)]), by_magnitude(np.diag(a)))


@given(block_triangular())
def test_eigvals_of_block_triangular_matrices_are_those_of_the_blocks(case):
    a, blocks = case
    expected = np.concatenate([np.linalg.eigvals(block) for block in blocks])
    scale = max(np.abs(block).max() for block in blocks)
    # A block of repeated or nearly defective eigenvalues moves by the root of the rounding, hence not eps itself.
    assert matched_distance(ec.eigvals(a), expected) < 1e-6 * scale


def test_eigvals_of_causal_attention_at_60_stay_real():
    # A solver without permutation gives some twenty complex pairs and errs by 1e-2 here.
    a = causal_softmax(np.random.default_rng(0).standard_normal((60, 60)))
    assert np.array_equal(ec.eigvals(a).imag, np.zeros(60))
    assert np.array_equal(ec.eigvals(a).real, by_magnitude(np.diag(a)))


@given(attention_like())
def test_svdvals_equal_lapack(a):
    expected = np.linalg.svd(a, compute_uv=False)
    np.testing.assert_allclose(ec.svdvals(a), expected, rtol=0, atol=64 * len(a) * EPS * expected[0])


@given(attention_like(), st.integers(-900, 900))
def test_spectra_scale_by_powers_of_two_exactly(a, exponent):
    scaled = np.ldexp(a, exponent)
    np.testing.assert_array_equal(ec.svdvals(scaled), np.ldexp(ec.svdvals(a), exponent))
    eigenvalues = ec.eigvals(a)
    np.testing.assert_array_equal(ec.eigvals(scaled).real, np.ldexp(eigenvalues.real, exponent))


@given(attention_like())
def test_eigvals_sum_to_the_trace_and_singular_squares_to_the_norm(a):
    n = len(a)
    assert abs(ec.eigvals(a).sum() - np.trace(a)) < 64 * n * EPS * np.linalg.norm(a)
    assert abs((ec.svdvals(a) ** 2).sum() - np.linalg.norm(a) ** 2) < 64 * n * EPS * np.linalg.norm(a) ** 2


@given(causal())
def test_svdvals_interlace_when_a_causal_row_is_appended(a):
    before, after = ec.svdvals(a[:-1, :-1]) if len(a) > 1 else np.empty(0), ec.svdvals(a)
    slack = 64 * len(a) * EPS * after[0]
    for i, s in enumerate(before):
        assert after[i + 1] - slack <= s <= after[i] + slack
    np.testing.assert_allclose(np.prod(after), np.prod(np.diag(a)), rtol=1e-6, atol=slack)


FAMILIES = {
    "identity": (np.eye(7), np.ones(7), np.ones(7)),
    "cyclic shift": (np.roll(np.eye(6), 1, axis=1), np.exp(2j * np.pi * np.arange(6) / 6), np.ones(6)),
    "rank one": (np.tile([0.5, 0.3, 0.2], (3, 1)), [1, 0, 0], [math.sqrt(3 * 0.38), 0, 0]),
    "total sink": (np.eye(9)[[0] * 9], [1] + [0] * 8, [3] + [0] * 8),
    "previous token": (np.eye(5)[[0, 0, 1, 2, 3]], [1, 0, 0, 0, 0], [math.sqrt(2), 1, 1, 1, 0]),
    "two-state chain": (np.array([[0.7, 0.3], [0.1, 0.9]]), [1, 0.6], None),
    "all zero": (np.zeros((4, 4)), np.zeros(4), np.zeros(4)),
    "all equal": (np.full((8, 8), 0.125), [1] + [0] * 7, [1] + [0] * 7),
    "nilpotent": (np.eye(6, k=1), np.zeros(6), [1] * 5 + [0]),
    "Jordan block": (0.5 * np.eye(6) + np.eye(6, k=1), np.full(6, 0.5), None),
    "blocks with 1 twice": (np.kron(np.eye(2), [[0.7, 0.3], [0.1, 0.9]]), [1, 1, 0.6, 0.6], None),
}


@pytest.mark.parametrize("name", FAMILIES)
def test_spectra_of_closed_forms(name):
    a, eigenvalues, singular_values = FAMILIES[name]
    assert matched_distance(ec.eigvals(a), np.asarray(eigenvalues)) < 1e-14
    if singular_values is not None:
        np.testing.assert_allclose(ec.svdvals(a), singular_values, rtol=0, atol=1e-14)


def test_eigvals_of_a_circulant_are_the_transform_of_its_row():
    row = np.random.default_rng(1).dirichlet(np.ones(12))
    a = np.stack([np.roll(row, i) for i in range(12)])
    assert matched_distance(ec.eigvals(a), np.fft.fft(row)) < 1e-13


def test_svdvals_of_zero_logits_have_the_golden_values():
    for n, sigma_1 in ((6, 1.337686), (60, 1.592873), (256, 1.686427), (1024, 1.749012)):
        a = np.tril(np.ones((n, n))) / np.arange(1, n + 1)[:, None]
        assert ec.svdvals(a)[0] == pytest.approx(sigma_1, abs=1e-6)
        np.testing.assert_array_equal(ec.eigvals(a), 1 / np.arange(1, n + 1))


def test_doubly_stochastic_matrices_have_largest_singular_value_one():
    rng = np.random.default_rng(2)
    a = sum(w * np.eye(9)[rng.permutation(9)] for w in rng.dirichlet(np.ones(5)))
    assert ec.svdvals(a)[0] == pytest.approx(1, abs=1e-14)


def test_eigvals_of_a_badly_balanced_matrix_equal_mpmath():
    rng = np.random.default_rng(3)
    d = 10.0 ** np.linspace(-8, 8, 8)
    a = rng.standard_normal((8, 8)) * d[:, None] / d
    with mpmath.workdps(60):
        expected = [complex(z) for z in mpmath.eig(mpmath.matrix(a.tolist()), left=False, right=False)]
    assert matched_distance(ec.eigvals(a), expected) < 1e-12 * max(map(abs, expected))


@pytest.mark.parametrize(("dtype", "spread", "tolerance"), [("float64", 18, 1e-10), ("float32", 8, 1e-4)])
def test_balancing_sees_small_entries_beside_a_large_diagonal(dtype, spread, tolerance):
    g = np.random.default_rng(3).standard_normal((4, 4))
    d = 10.0 ** (spread * np.arange(4))
    expected = np.linalg.eigvals(g)
    assert matched_distance(ec.eigvals(g * d[:, None] / d, dtype=dtype), expected) < tolerance


def test_float32_computes_in_float32():
    a = np.random.default_rng(4).dirichlet(np.ones(20), size=(3, 20))
    single = ec.eigvals(a, dtype="float32")
    assert single.dtype == np.complex64
    assert ec.svdvals(a, dtype=np.float32).dtype == np.float32
    error = np.abs(np.abs(single) - by_magnitude(np.linalg.eigvals(a))).max()
    assert 1e-9 < error < 1e-4


def test_causal_reads_only_the_diagonal():
    a = np.full((4, 5, 5), np.nan)
    a[:, range(5), range(5)] = np.arange(1, 6)
    np.testing.assert_array_equal(ec.eigvals(a, structure="causal"), np.tile([5, 4, 3, 2, 1], (4, 1)))


def test_other_threads_run_while_the_core_computes():
    a = np.random.default_rng(5).dirichlet(np.ones(300), size=(2, 300))
    worker = threading.Thread(target=ec.svdvals, args=(a,))
    turns = 0
    worker.start()
    while worker.is_alive():
        turns += 1
    # With the lock held, this loop would get a turn or two: before the call and after it.
    assert turns > 1000


def test_unknown_options_are_named():
    a = np.eye(2)
    with pytest.raises(InputError, match="'banded'"):
        ec.eigvals(a, structure="banded")
    with pytest.raises(InputError, match="float16"):
        ec.svdvals(a, dtype="float16")


@pytest.mark.parametrize("n", [1, 5, 40])
@pytest.mark.parametrize("count", [1, 9])
@pytest.mark.parametrize("structure", ["causal", "dense"])
def test_a_spectrum_beyond_float32_is_nan_there(n: int, count: int, structure: ec.linalg.Structure) -> None:
    a = np.tile(np.tril(np.full((n, n), 0.5)) + np.eye(n), (count, 1, 1))
    a[0] *= 1e300
    for values in (ec.eigvals(a, structure=structure, dtype="float32"), ec.svdvals(a, dtype="float32")):
        assert np.isnan(values[0]).all()
        assert np.isfinite(values[1:]).all()
    assert np.isfinite(ec.svdvals(a)).all()
    np.testing.assert_array_equal(ec.batch_metrics(a, spectrum="singular", dtype="float32").status, ec.Status.OK)
