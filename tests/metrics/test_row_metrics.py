import numpy as np
import pytest
from hypothesis import given

import eigencore as ec
from eigencore.metrics import ROW_METRICS
from tests.oracles import assert_metrics_match, row_metrics
from tests.strategies import attention_like, causal

NAMES = [m.name for m in ROW_METRICS]


@given(attention_like())
def test_rows_of_dense_attention_equal_the_definitions(a):
    expected, got = row_metrics(a), ec.row_metrics(a)
    for name in NAMES:
        assert_metrics_match(getattr(got, name), expected[name], name)


@given(causal())
def test_rows_of_causal_attention_equal_the_definitions(a):
    expected, got = row_metrics(a), ec.row_metrics(a)
    for name in NAMES:
        assert_metrics_match(getattr(got, name), expected[name], name)


def test_laplacian_of_zero_logits_has_its_closed_form():
    T = 40
    a = np.tril(np.ones((T, T))) / np.arange(1, T + 1)[:, None]
    harmonic = np.concatenate([[0], np.cumsum(1 / np.arange(1, T + 1))])
    i = np.arange(T)
    expected = (harmonic[T] - harmonic[i]) / (T - i) - 1 / (i + 1)
    np.testing.assert_allclose(ec.row_metrics(a).laplacian, expected, rtol=0, atol=1e-14)


def test_rows_that_do_not_sum_to_one_are_renormalised_for_their_entropy():
    got = ec.row_metrics(np.array([[0.5, 0.0], [0.1, 0.1]]))
    np.testing.assert_allclose(got.row_mass, [0.5, 0.2])
    np.testing.assert_allclose(got.row_entropy, [0.0, 1.0], atol=1e-15)
    empty = ec.row_metrics(np.zeros((2, 2)))
    assert np.isnan(empty.row_entropy).all()
    assert np.isnan(empty.row_participation).all()
    np.testing.assert_array_equal(empty.row_mass, [0, 0])


def test_expected_entropy_of_dirichlet_rows():
    rng, k = np.random.default_rng(0), 30
    a = rng.dirichlet(np.ones(k), size=(300, k))
    nats = np.asarray(ec.row_metrics(a).row_entropy) * np.log(2)
    expected = (1 / np.arange(1, k + 1)).sum() - 1
    assert nats.mean() == pytest.approx(expected, abs=5 * nats.std() / np.sqrt(nats.size))


def test_summary_is_the_mean_over_rows():
    a = np.random.default_rng(1).dirichlet(np.ones(5), size=(3, 5))
    got = ec.row_metrics(a)
    assert got.summary()["self_weight"] == pytest.approx(np.trace(a, axis1=1, axis2=2).mean() / 5)
    assert set(got.to_dict()) == {*NAMES, "status"}
