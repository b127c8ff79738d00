import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import eigencore as ec
from eigencore.errors import DtypeError, InputError, NumericalError, ShapeError, StructureError, UnknownMetricError
from eigencore.metrics import SPECTRUM_METRICS, Status, metrics_from_log_magnitudes
from eigencore.metrics.on_device import diagonal_metrics, is_causal
from tests.oracles import EIGEN_METRICS, assert_metrics_match, causal_softmax, spectrum_metrics
from tests.strategies import attention_like, causal, seeds

EPS = np.finfo(np.float64).eps


def causal_batch(*shape, seed=0):
    return causal_softmax(2 * np.random.default_rng(seed).standard_normal(shape))


@given(causal())
def test_causal_metrics_equal_the_definitions(a):
    expected = spectrum_metrics(np.diag(a))
    for structure in ("auto", "causal"):
        metrics = ec.batch_metrics(a, structure=structure)
        assert metrics.metric_names == EIGEN_METRICS
        for name in EIGEN_METRICS:
            assert_metrics_match(getattr(metrics, name), expected[name], name)


@given(attention_like())
def test_dense_eigen_metrics_equal_the_definitions_on_the_same_spectrum(a):
    expected = spectrum_metrics(ec.eigvals(a), resolution=len(a) * EPS if len(a) > 1 else 0.0)
    metrics = ec.batch_metrics(a)
    for name in EIGEN_METRICS:
        assert_metrics_match(getattr(metrics, name), expected[name], name)


@given(attention_like())
def test_singular_metrics_equal_the_definitions_on_the_same_spectrum(a):
    expected = spectrum_metrics(ec.svdvals(a), resolution=len(a) * EPS, singular=True)
    metrics = ec.batch_metrics(a, spectrum="singular")
    assert metrics.metric_names == (*EIGEN_METRICS, "stable_rank")
    for name in metrics.metric_names:
        assert_metrics_match(getattr(metrics, name), expected[name], name)


@given(causal())
def test_log_abs_det_is_the_same_for_both_spectra(a):
    eigen, singular = ec.batch_metrics(a), ec.batch_metrics(a, spectrum="singular")
    if np.isfinite(singular.log_abs_det) and singular.condition_number < 1e10:
        assert singular.log_abs_det == pytest.approx(float(eigen.log_abs_det), rel=1e-5, abs=1e-9)


@given(causal(), st.floats(0.01, 100))
def test_ratios_do_not_depend_on_scale(a, factor):
    before, after = ec.batch_metrics(a), ec.batch_metrics(a * factor)
    for name in set(EIGEN_METRICS) - {"phi_proximity", "log_abs_det"}:
        np.testing.assert_allclose(getattr(after, name), getattr(before, name), rtol=1e-9, atol=1e-12, err_msg=name)


@given(causal())
def test_degeneracy_is_a_form_of_the_participation_ratio(a):
    n, metrics = len(a), ec.batch_metrics(a)
    if n > 1:
        d = float(metrics.degeneracy)
        assert float(metrics.participation_ratio) == pytest.approx(n / (1 + (n - 1) * (1 - d) ** 2), rel=1e-9)


def test_golden_values():
    zero_logits = np.tril(np.ones((6, 6))) / np.arange(1, 7)[:, None]
    assert ec.batch_metrics(zero_logits, spectrum="singular").condition_number == pytest.approx(11.93, abs=5e-3)
    sixty = np.tril(np.ones((60, 60))) / np.arange(1, 61)[:, None]
    assert ec.batch_metrics(sixty, spectrum="singular").condition_number == pytest.approx(178.3, abs=5e-2)
    assert ec.batch_metrics(sixty).condition_number == pytest.approx(60, rel=1e-15)
    previous = np.eye(60)[np.maximum(np.arange(60) - 1, 0)]
    sink = np.eye(60)[np.zeros(60, int)]
    for a, rank in ((previous, 58.9), (sink, 1.0)):
        assert ec.batch_metrics(a, spectrum="singular").effective_rank == pytest.approx(rank, abs=0.05)
        assert ec.batch_metrics(a).effective_rank == 1.0


def test_dirichlet_rows_have_the_expected_log_determinant():
    rng, T = np.random.default_rng(5), 60
    a = np.zeros((4000, T, T))
    for i in range(T):
        a[:, i, : i + 1] = rng.dirichlet(np.ones(i + 1), size=len(a))
    values = np.asarray(ec.batch_metrics(a, structure="causal", metrics=["log_abs_det"]).log_abs_det)
    harmonic = np.cumsum(1 / np.arange(1, T))
    expected = -harmonic.sum()
    assert expected == pytest.approx(-220.79, abs=5e-3)
    assert abs(values.mean() - expected) < 5 * values.std() / math.sqrt(len(values))


@pytest.mark.parametrize("spectrum", ["eigen", "singular"])
def test_edge_cases_of_zero_and_of_size_one(spectrum):
    zero = ec.batch_metrics(np.zeros((3, 3)), spectrum=spectrum)
    one = ec.batch_metrics(np.array([[0.25]]), spectrum=spectrum)
    singular = spectrum == "singular"
    for metrics, magnitudes in ((zero, [0, 0, 0]), (one, [0.25])):
        expected = spectrum_metrics(magnitudes, singular=singular)
        for name in metrics.metric_names:
            assert_metrics_match(getattr(metrics, name), expected[name], name)
    assert zero.log_abs_det == -math.inf
    assert zero.phi_proximity == 0
    assert math.isnan(zero.condition_number)
    assert one.condition_number == 1
    assert math.isnan(one.normalized_entropy)
    assert zero.status == one.status == Status.OK


def test_a_diagonal_is_exact_where_a_solver_has_no_say():
    a = np.diag([1.0, 1e-17])
    assert ec.batch_metrics(a).condition_number == pytest.approx(1e17, rel=1e-15)
    assert ec.batch_metrics(a, spectrum="singular").condition_number == math.inf
    assert ec.batch_metrics(a, spectrum="singular").log_abs_det == -math.inf
    assert ec.batch_metrics(np.diag([1.0, 0.0])).condition_number == math.inf


def test_the_tolerance_is_of_the_dtype_computed_in():
    a = np.diag([1.0, 1e-6])
    a = a.copy()
    assert np.isfinite(ec.batch_metrics(a, spectrum="singular", dtype="float32").condition_number)
    a[1, 1] = 1e-8
    assert np.isfinite(ec.batch_metrics(a, spectrum="singular").condition_number)
    assert ec.batch_metrics(a, spectrum="singular", dtype="float32").condition_number == math.inf


def test_extreme_scales_keep_their_ratios():
    a = causal_batch(12, 12)
    for factor in (2.0**-1000, 2.0**1000):
        for spectrum in ("eigen", "singular"):
            scaled, plain = (ec.batch_metrics(x, spectrum=spectrum) for x in (a * factor, a))
            assert scaled.spectral_entropy == plain.spectral_entropy
            assert scaled.participation_ratio == plain.participation_ratio


@given(st.integers(1, 12), seeds)
def test_lengths_measure_the_leading_block_alone(n, seed):
    rng = np.random.default_rng(seed)
    a, lengths = causal_batch(2, 5, n, n, seed=seed), rng.integers(1, n + 1, size=(2, 5))
    for spectrum in ("eigen", "singular"):
        padded = a.copy()
        for at in np.ndindex(2, 5):
            padded[at][lengths[at] :] = np.nan
            padded[at][:, lengths[at] :] = np.nan
        metrics = ec.batch_metrics(padded, lengths=lengths, spectrum=spectrum)
        np.testing.assert_array_equal(metrics.n, lengths)
        for at in np.ndindex(2, 5):
            k = lengths[at]
            alone = ec.batch_metrics(a[at][:k, :k], spectrum=spectrum)
            for name in metrics.metric_names:
                np.testing.assert_array_equal(getattr(metrics, name)[at], getattr(alone, name), err_msg=name)


@pytest.mark.parametrize(
    ("lengths", "error", "words"),
    [
        ([1, 2], ShapeError, r"\(3,\)"),
        ([1, 2, 5], ShapeError, r"1 to 4, got 5 at \(2,\)"),
        ([0, 2, 3], ShapeError, "got 0"),
        ([1.0, 2.0, 3.0], DtypeError, "float64"),
    ],
)
def test_wrong_lengths_are_named(lengths, error, words):
    with pytest.raises(error, match=words):
        ec.batch_metrics(np.zeros((3, 4, 4)), lengths=lengths)


@pytest.mark.parametrize("kind", [np.asarray, torch.from_numpy])
def test_lists_of_unequal_sizes(kind):
    matrices = [causal_batch(n, n, seed=n) for n in (3, 7, 3, 1)]
    metrics = ec.batch_metrics([kind(a) for a in matrices], spectrum="singular")
    assert isinstance(metrics.spectral_entropy, np.ndarray if kind is np.asarray else torch.Tensor)
    np.testing.assert_array_equal(np.asarray(metrics.n), [3, 7, 3, 1])
    for i, a in enumerate(matrices):
        assert float(metrics.stable_rank[i]) == float(ec.batch_metrics(a, spectrum="singular").stable_rank)


def test_lists_that_cannot_be_measured():
    assert ec.batch_metrics([]).spectral_entropy.shape == (0,)
    with pytest.raises(ShapeError, match="at 1"):
        ec.batch_metrics([np.eye(2), np.zeros((1, 2, 2))])
    with pytest.raises(DtypeError, match="both"):
        ec.batch_metrics([np.eye(2), torch.eye(2)])
    with pytest.raises(ShapeError, match="lengths"):
        ec.batch_metrics([np.eye(2)], lengths=[1])


def test_metrics_asked_for_are_the_only_ones_there():
    metrics = ec.batch_metrics(np.eye(3), metrics=["degeneracy", "spectral_entropy"])
    assert metrics.metric_names == ("spectral_entropy", "degeneracy")
    assert metrics.effective_rank is None
    with pytest.raises(UnknownMetricError, match="'entropy'"):
        ec.batch_metrics(np.eye(3), metrics=["entropy"])
    with pytest.raises(UnknownMetricError, match="singular"):
        ec.batch_metrics(np.eye(3), metrics=["stable_rank"])


def test_unknown_options_are_named():
    with pytest.raises(InputError, match="'both'"):
        ec.batch_metrics(np.eye(3), spectrum="both")
    with pytest.raises(InputError, match="'lower'"):
        ec.batch_metrics(np.eye(3), structure="lower")


def test_check_verifies_the_callers_word():
    a = causal_batch(4, 5, 5)
    ec.batch_metrics(a, structure="causal", check=True)
    a[2, 1, 3] = 1e-12
    ec.batch_metrics(a, structure="causal")
    for array in (a, torch.from_numpy(a)):
        with pytest.raises(StructureError, match=r"\(2, 1, 3\).*1e-12"):
            ec.batch_metrics(array, structure="causal", check=True)
    ec.batch_metrics(a, structure="causal", check=True, lengths=[5, 5, 3, 5])


def test_causal_singular_values_read_nothing_above_the_diagonal():
    a = causal_batch(3, 6, 6)
    spoiled = a + np.triu(np.full((6, 6), np.nan), 1)
    expected = ec.batch_metrics(a, spectrum="singular")
    got = ec.batch_metrics(spoiled, spectrum="singular", structure="causal")
    np.testing.assert_array_equal(got.effective_rank, expected.effective_rank)


def test_dense_is_no_less_exact_on_triangular_input():
    a = causal_batch(60, 60)
    dense, causal_metrics = ec.batch_metrics(a, structure="dense"), ec.batch_metrics(a, structure="causal")
    assert dense.spectral_entropy == causal_metrics.spectral_entropy


def test_a_spectrum_beyond_float64_is_a_status():
    metrics = ec.batch_metrics(np.stack([np.full((2, 2), 1.7e308), np.eye(2)]))
    np.testing.assert_array_equal(metrics.status, [Status.NON_FINITE, Status.OK])


def test_float32_keeps_the_ratios_of_input_that_only_float64_holds():
    a = np.random.default_rng(1).dirichlet(np.ones(6), size=6)
    for scale in (1e-200, 1e200):
        metrics = ec.batch_metrics(a * scale, dtype="float32")
        assert metrics.status == Status.OK
        assert metrics.spectral_entropy == pytest.approx(float(ec.batch_metrics(a).spectral_entropy), rel=1e-4)


def test_results_do_not_follow_lengths_that_change_afterwards():
    lengths = np.array([2, 3])
    metrics = ec.batch_metrics(causal_batch(2, 3, 3), lengths=lengths)
    lengths[0] = 99
    np.testing.assert_array_equal(metrics.n, [2, 3])
    assert ec.batch_metrics(np.eye(3), lengths=2).n.shape == ()
    assert ec.batch_metrics(np.empty((0, 3, 3)), lengths=[]).n.shape == (0,)


def test_one_matrix_as_a_table():
    frame = ec.batch_metrics(np.eye(3)).to_pandas()
    assert len(frame) == 1
    assert frame.effective_rank[0] == pytest.approx(3)


def test_status_says_which_matrix_failed():
    a = causal_batch(2, 3, 4, 4)
    a[1, 0, 2, 2] = np.nan
    metrics = ec.batch_metrics(a)
    np.testing.assert_array_equal(metrics.status, [[0, 0, 0], [Status.NON_FINITE, 0, 0]])
    with pytest.raises(NumericalError, match=r"1 of 6 matrices \(first: \(1, 0\)\) hold NaN"):
        metrics.raise_for_status()
    ec.batch_metrics(a[0]).raise_for_status()


def test_results_as_tables():
    a = causal_batch(2, 3, 4, 4)
    a[0, 1, 0, 0] = np.inf
    metrics = ec.batch_metrics(a)
    frame = metrics.to_pandas()
    assert list(frame.columns) == ["dim_0", "dim_1", "n", *EIGEN_METRICS, "status"]
    row = frame[(frame.dim_0 == 1) & (frame.dim_1 == 2)].iloc[0]
    assert row.spectral_entropy == metrics.spectral_entropy[1, 2]
    summary = metrics.summary()["spectral_entropy"]
    finite = metrics.spectral_entropy[np.isfinite(metrics.spectral_entropy)]
    assert summary["n"] == 5
    assert summary["mean"] == pytest.approx(finite.mean())
    assert set(metrics.to_dict()) == {*EIGEN_METRICS, "status"}


@given(causal(), seeds)
def test_torch_operations_on_the_device_equal_the_core(a, seed):
    rng = np.random.default_rng(seed)
    n = len(a)
    batch = np.stack([a, causal_softmax(rng.standard_normal((n, n))), np.zeros((n, n))])
    lengths = rng.integers(1, n + 1, size=3)
    for given_lengths in (None, lengths):
        expected = ec.batch_metrics(batch, lengths=given_lengths)
        table, status = diagonal_metrics(torch.from_numpy(batch), given_lengths, "float64")
        assert set(table) == set(EIGEN_METRICS)
        for name in EIGEN_METRICS:
            assert_metrics_match(table[name].numpy(), getattr(expected, name), name)
        np.testing.assert_array_equal(status.numpy(), expected.status)


def test_torch_operations_screen_matrix_by_matrix():
    batch = torch.eye(3).repeat(2, 1, 1)
    batch[1, 2, 2] = torch.inf
    table, status = diagonal_metrics(batch, None, "float64")
    assert status.tolist() == [Status.OK, Status.NON_FINITE]
    assert table["effective_rank"][0] == pytest.approx(3)
    assert all(torch.isnan(values[1]) for values in table.values())
    assert is_causal(batch, None)
    batch[0, 0, 2] = 1e-30
    assert not is_causal(batch, None)
    assert is_causal(batch, np.array([2, 3]))


@given(st.integers(1, 30), seeds)
def test_running_spectra_equal_each_prefix(n, seed):
    logs = np.log(np.random.default_rng(seed).dirichlet(np.ones(4), size=n)).T
    for length in range(1, n + 1):
        metrics = metrics_from_log_magnitudes(np.ascontiguousarray(logs[:, :length]))
        for series in range(4):
            expected = spectrum_metrics(np.exp(logs[series, :length]))
            for name in EIGEN_METRICS:
                assert_metrics_match(getattr(metrics, name)[series], expected[name], name)


def test_running_spectra_leave_padding_out_and_keep_underflow():
    logs = np.array([[np.nan, 0.0, -1.0], [0.0, -2000.0, -1.0], [np.nan, np.nan, np.nan]])
    metrics = metrics_from_log_magnitudes(logs, ~np.isnan(logs))
    np.testing.assert_array_equal(metrics.n, [2, 3, 0])
    np.testing.assert_array_equal(metrics.status, [Status.OK] * 3)
    assert metrics.log_abs_det[0] == -1.0
    # e**-2000 is 0 in float64; its logarithm is known all the same.
    assert metrics.log_abs_det[1] == -2001.0
    assert metrics.condition_number[1] == math.inf
    assert math.isnan(metrics.spectral_entropy[2])


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_a_failed_row_is_a_status_and_not_padding(bad):
    logs = np.array([[0.0, bad, -1.0], [0.0, -2.0, -1.0]])
    metrics = metrics_from_log_magnitudes(logs)
    np.testing.assert_array_equal(metrics.status, [Status.NON_FINITE, Status.OK])
    assert math.isnan(metrics.effective_rank[0])
    assert metrics.effective_rank[1] == pytest.approx(spectrum_metrics(np.exp(logs[1]))["effective_rank"])


def test_the_catalogue_names_what_the_core_computes():
    from eigencore import _core

    assert tuple(m.name for m in SPECTRUM_METRICS) == _core.METRIC_NAMES
    for metric in SPECTRUM_METRICS:
        assert metric.formula
        assert metric.source
