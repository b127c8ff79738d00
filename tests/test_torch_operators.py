"""Gradients through spectra and their metrics, errors where there are none, and torch.compile."""

import math
import subprocess
import sys

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch._dynamo.testing import CompileCounter

import eigencore as ec
from eigencore.errors import GradientError, ShapeError, StructureError
from eigencore.metrics import SPECTRUM_METRICS, Status
from tests.oracles import EIGEN_METRICS, causal_softmax
from tests.strategies import seeds

SINGULAR_METRICS = tuple(m.name for m in SPECTRUM_METRICS)
BY_SPECTRUM = [("eigen", name) for name in EIGEN_METRICS] + [("singular", name) for name in SINGULAR_METRICS]


@pytest.fixture(autouse=True)
def _fresh_compiler():
    yield
    torch.compiler.reset()


def dense(*shape, seed=0):
    return torch.from_numpy(np.random.default_rng(seed).dirichlet(np.ones(shape[-1]), size=shape[:-1]))


def causal(*shape, seed=0):
    return torch.from_numpy(causal_softmax(2 * np.random.default_rng(seed).standard_normal(shape)))


def gradient(function, a):
    leaf = a.detach().clone().requires_grad_()
    (found,) = torch.autograd.grad(function(leaf), leaf)
    return found


def of(name, spectrum="eigen", **options):
    return lambda x: getattr(ec.batch_metrics(x, spectrum=spectrum, **options), name)


def metrics_in_torch(m):
    """The definitions in torch, of a spectrum (n,) downwards: what autograd makes of them is the oracle."""
    n, S = len(m), m.sum()
    p = m / S
    entropy = -(p * p.log2()).sum()
    phi = (1 + math.sqrt(5)) / 2
    return {
        "spectral_entropy": entropy,
        "normalized_entropy": entropy / math.log2(n),
        "effective_rank": 2**entropy,
        "dominant_ratio": m[0] / S,
        "condition_number": m[0] / m[-1],
        "degeneracy": 1 - m.std(correction=0) / (m.mean() * math.sqrt(n - 1)),
        "phi_proximity": (1 - (m[:-1] / m[1:] - phi).abs() / phi).clamp(min=0).max(),
        "spectral_gap": 1 - m[1] / m[0],
        "participation_ratio": S**2 / (m**2).sum(),
        "log_abs_det": m.log().sum(),
        "stable_rank": (m**2).sum() / m[0] ** 2,
    }


def assert_gradients_match(got, expected):
    scale = expected.abs().max()
    torch.testing.assert_close(got, expected, rtol=1e-9, atol=1e-10 * float(scale))


# -- spectra --


@settings(max_examples=25)
@given(st.integers(2, 24), seeds)
def test_gradient_of_svdvals_is_that_of_lapack(n, seed):
    a, weights = dense(n, n, seed=seed), dense(n, seed=seed + 1)
    expected = gradient(lambda x: (torch.linalg.svdvals(x) * weights).sum(), a)
    got = gradient(lambda x: (ec.svdvals(x) * weights).sum(), a)
    torch.testing.assert_close(got, expected, rtol=1e-7, atol=1e-8)


@pytest.mark.parametrize("shape", [(1, 1), (4, 4), (2, 2, 3, 3)])
def test_gradient_of_svdvals_by_differences(shape):
    assert torch.autograd.gradcheck(ec.svdvals, dense(*shape).requires_grad_())


@pytest.mark.parametrize("half", [torch.tril, torch.triu])
@pytest.mark.parametrize("structure", ["auto", "dense"])
def test_gradient_of_eigvals_of_triangular_matrices_by_differences(half, structure):
    a = (dense(2, 3, 3) - 0.3).requires_grad_()  # of either sign
    assert torch.autograd.gradcheck(lambda x: ec.eigvals(half(x), structure=structure), a)


def test_gradient_of_eigvals_that_are_told_to_be_the_diagonal():
    a = dense(2, 4, 4).requires_grad_()
    assert torch.autograd.gradcheck(lambda x: ec.eigvals(x, structure="causal"), a)


def test_gradient_of_an_eigenvalue_goes_to_the_entry_it_was_read_from():
    a = torch.diag(torch.tensor([0.5, -2.0, 2.0, 0.25], dtype=torch.float64))
    for weight in (torch.tensor([1.0, 10.0, 100.0, 1000.0]), torch.tensor([10.0, 1.0, 100.0, 1000.0])):
        values = ec.eigvals(a).real
        got = gradient(lambda x, w=weight: (ec.eigvals(x).real * w).sum(), a)
        # 2 and -2 are of one magnitude, and stand in no particular order.
        expected = {float(v): float(w) for v, w in zip(values, weight, strict=True)}
        assert got.diagonal().tolist() == [expected[x] for x in a.diagonal().tolist()]


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
@pytest.mark.parametrize("compute", ["float32", "float64"])
def test_gradients_are_of_the_type_of_the_matrix(dtype, compute):
    a = dense(2, 4, 4).to(dtype)
    expected = gradient(lambda x: torch.linalg.svdvals(x).prod(-1).sum(), a.double()).to(dtype)
    got = gradient(lambda x: ec.svdvals(x, dtype=compute).prod(-1).sum(), a)
    assert got.dtype == dtype
    # The product of the values is computed in float32 or float64, whatever the matrix is of.
    torch.testing.assert_close(got, expected, rtol=1e-2 if dtype.itemsize == 2 else 1e-4, atol=1e-6)


@pytest.mark.parametrize("layout", [lambda x: x.mT, lambda x: x[:, ::2], lambda x: x[0].expand(3, 4, 6, 6)])
def test_gradients_of_any_layout(layout):
    a = dense(3, 4, 6, 6)
    weights = torch.linspace(1, 2, 6, dtype=torch.float64)
    expected = gradient(lambda x: (torch.linalg.svdvals(layout(x)) * weights).sum(), a)
    torch.testing.assert_close(gradient(lambda x: (ec.svdvals(layout(x)) * weights).sum(), a), expected)


# -- metrics --


@pytest.mark.parametrize(("spectrum", "name"), BY_SPECTRUM)
@settings(max_examples=5)
@given(n=st.integers(2, 24), seed=seeds)
def test_gradients_of_metrics_are_those_of_the_definitions(spectrum, name, n, seed):
    signs = torch.from_numpy(np.random.default_rng(seed).choice([-1.0, 1.0], size=(n, 1)))
    a = (causal(n, n, seed=seed) + 0.05 * torch.eye(n)) * signs

    def oracle(x):
        by_diagonal = x.diagonal().abs().sort(descending=True).values
        return metrics_in_torch(by_diagonal if spectrum == "eigen" else torch.linalg.svdvals(x))[name]

    got = gradient(lambda x: getattr(ec.batch_metrics(x, spectrum=spectrum), name), a)
    expected = gradient(oracle, a)
    assert_gradients_match(got, expected)


@pytest.mark.parametrize(("spectrum", "name"), BY_SPECTRUM)
def test_gradients_of_metrics_by_differences(spectrum, name):
    a = (causal(1, 2, 3, 3, seed=3) + 0.05 * torch.eye(3)).requires_grad_()
    lengths = torch.tensor([[3, 2]])

    def metric(x, structure, half=torch.tril):
        return getattr(ec.batch_metrics(half(x), spectrum=spectrum, structure=structure, lengths=lengths), name)

    assert torch.autograd.gradcheck(lambda x: metric(x, "auto"), a)
    assert torch.autograd.gradcheck(lambda x: metric(x, "causal", half=lambda y: y), a)


@settings(max_examples=25)
@given(st.integers(1, 12), seeds)
def test_gradient_of_log_abs_det_is_the_inverse_transposed(n, seed):
    a = causal(n, n, seed=seed) + torch.eye(n)
    got = gradient(lambda x: ec.batch_metrics(x, spectrum="singular").log_abs_det, a)
    torch.testing.assert_close(got, torch.linalg.inv(a).mT, rtol=1e-9, atol=1e-10)
    by_diagonal = gradient(lambda x: ec.batch_metrics(x).log_abs_det, a)
    torch.testing.assert_close(by_diagonal, torch.diag(1 / a.diagonal()))


@pytest.mark.parametrize("spectrum", ["eigen", "singular"])
def test_padding_has_no_gradient_and_no_say_in_one(spectrum):
    a, lengths = causal(5, 6, 6, seed=1), torch.tensor([6, 4, 2, 5, 3])
    spoiled = a.clone()
    for matrix, k in zip(spoiled, lengths, strict=True):
        matrix[k:], matrix[:, k:] = torch.nan, torch.nan
    got = gradient(lambda x: ec.batch_metrics(x, spectrum=spectrum, lengths=lengths).effective_rank.sum(), spoiled)
    for i, k in enumerate(lengths.tolist()):
        alone = gradient(lambda x: ec.batch_metrics(x, spectrum=spectrum).effective_rank, a[i, :k, :k])
        torch.testing.assert_close(got[i, :k, :k], alone, rtol=1e-9, atol=1e-11)
        assert not got[i, k:].any()
        assert not got[i, :, k:].any()


def test_what_is_not_read_has_no_gradient():
    a = causal(3, 6, 6)
    garbage = a + torch.triu(torch.full((6, 6), torch.nan), 1)
    expected = gradient(lambda x: ec.batch_metrics(x.tril(), spectrum="singular").effective_rank.sum(), a)
    got = gradient(lambda x: ec.batch_metrics(x, spectrum="singular", structure="causal").effective_rank.sum(), garbage)
    torch.testing.assert_close(got, expected, rtol=0, atol=0)
    by_diagonal = gradient(lambda x: ec.batch_metrics(x, structure="causal").effective_rank.sum(), garbage)
    torch.testing.assert_close(by_diagonal, torch.diag_embed(by_diagonal.diagonal(dim1=-2, dim2=-1)))
    assert by_diagonal.any()


def test_equal_values_that_are_treated_alike_have_gradients():
    q = torch.linalg.qr(torch.randn(2, 5, 5, dtype=torch.float64, generator=torch.Generator().manual_seed(0))).Q
    nuclear = gradient(lambda x: ec.svdvals(x).sum(), q)
    torch.testing.assert_close(nuclear, q)  # U V^T
    # All values are equal, so these are at their largest, where a gradient is zero.
    for name in ("spectral_entropy", "effective_rank", "participation_ratio"):
        got = gradient(lambda x, name=name: getattr(ec.batch_metrics(x, spectrum="singular"), name).sum(), q)
        torch.testing.assert_close(got, torch.zeros_like(q), rtol=0, atol=1e-13)
    repeated = torch.diag(torch.tensor([1.0, 0.5, 0.5, 1.0], dtype=torch.float64))
    p = torch.tensor([1 / 3, 1 / 6, 1 / 6, 1 / 3], dtype=torch.float64)
    expected = torch.diag(-(p.log2() - (p * p.log2()).sum()) / 3)
    for spectrum in ("eigen", "singular"):
        got = gradient(lambda x, s=spectrum: ec.batch_metrics(x, spectrum=s).spectral_entropy, repeated)
        torch.testing.assert_close(got, expected)


def test_a_failed_matrix_has_a_gradient_of_nan_only_if_it_is_asked_for_one():
    a = causal(3, 4, 4)
    a[1, 2, 1] = torch.nan
    for call in (
        lambda x: ec.svdvals(x)[..., 0],
        lambda x: ec.eigvals(x).real.sum(-1),
        lambda x: ec.batch_metrics(x).effective_rank,
        lambda x: ec.batch_metrics(x, spectrum="singular").effective_rank,
    ):
        everything = gradient(lambda x, call=call: call(x).sum(), a)
        assert everything[1].isnan().any()
        assert everything[[0, 2]].isfinite().all()
        without = gradient(lambda x, call=call: call(x).nansum(), a)
        assert not without[1].any()
        torch.testing.assert_close(without[[0, 2]], everything[[0, 2]], rtol=0, atol=0)


def test_phi_proximity_has_no_gradient_where_it_does_not_look():
    # The ratio of the last two is the nearest to the golden one, but they are under the floor of 1e-10.
    a = torch.diag(torch.tensor([1.0, 0.8, 1.6e-11, 1e-11], dtype=torch.float64))
    expected = torch.tensor([1 / 0.8, -1 / 0.8**2, 0, 0], dtype=torch.float64) * 2 / (1 + math.sqrt(5))
    torch.testing.assert_close(gradient(of("phi_proximity"), a).diagonal(), expected)


def test_extreme_scales_have_gradients():
    a = causal(6, 6)
    for factor in (2.0**-500, 2.0**500):
        for spectrum in ("eigen", "singular"):
            plain = gradient(lambda x, s=spectrum: ec.batch_metrics(x, spectrum=s).effective_rank, a)
            got = gradient(lambda x, s=spectrum: ec.batch_metrics(x, spectrum=s).effective_rank, a * factor)
            torch.testing.assert_close(got * factor, plain, rtol=1e-9, atol=1e-11)


def test_results_with_gradients_are_results_all_the_same():
    a = causal(2, 3, 5, 5)
    plain, traced = ec.batch_metrics(a), ec.batch_metrics(a.clone().requires_grad_())
    assert traced.effective_rank.requires_grad
    for name in (*EIGEN_METRICS, "n", "status"):
        torch.testing.assert_close(getattr(traced, name).detach(), getattr(plain, name), rtol=0, atol=0)
        assert getattr(traced, name).dtype == getattr(plain, name).dtype
    assert traced.summary() == plain.summary()
    assert traced.to_pandas().equals(plain.to_pandas())
    assert repr(traced) == repr(plain)
    assert traced._repr_html_() == plain._repr_html_()
    lengths = torch.full((2, 3), 4)
    shorter = ec.batch_metrics(a.clone().requires_grad_(), lengths=lengths)
    lengths[0, 0] = 99
    assert (shorter.n == 4).all()
    with torch.no_grad():
        assert not ec.batch_metrics(a.clone().requires_grad_()).effective_rank.requires_grad


def test_gradients_through_a_list_of_unequal_sizes():
    matrices = [causal(n, n, seed=n).requires_grad_() for n in (3, 5)]
    ec.batch_metrics(matrices, spectrum="singular").stable_rank.sum().backward()
    for a in matrices:
        expected = gradient(lambda x: metrics_in_torch(torch.linalg.svdvals(x))["stable_rank"], a)
        assert_gradients_match(a.grad, expected)


# -- where there is none --

SWAP = torch.tensor([[0.0, 1.0], [1.0, 0.0]], dtype=torch.float64)
EYE = torch.eye(3, dtype=torch.float64)


@pytest.mark.parametrize(
    ("call", "a", "words"),
    [
        (lambda x: ec.eigvals(x).real, dense(2, 3, 3), r"matrix \(0,\) is not triangular.*svdvals.*structure='causal'"),
        (lambda x: ec.eigvals(x).imag, SWAP, r"the matrix is not triangular"),
        (of("effective_rank"), dense(2, 1, 3, 3), r"matrix \(0, 0\) is not triangular.*spectrum='singular'"),
        (lambda x: ec.svdvals(x)[..., 0], EYE, r"singular values 0 and 1 of the matrix are equal.*spectral_entropy"),
        (lambda x: ec.svdvals(x), torch.ones(3, 3), r"singular value 1 of the matrix is zero.*1e-6 \* torch.eye"),
        (lambda x: ec.svdvals(x), torch.zeros(2, 2, 2), r"singular value 0 of matrix \(0,\) is zero"),
        (lambda x: ec.eigvals(x)[..., 1].abs(), EYE, r"eigenvalues 0 and 1 of the matrix are equal"),
        (of("dominant_ratio"), EYE, r"magnitudes of eigenvalues 0 and 1 of the matrix are equal"),
        (of("spectral_gap", "singular"), EYE, r"singular values 0 and 1"),
        (of("condition_number"), torch.diag(torch.tensor([2.0, 1.0, 1.0])), r"magnitudes of eigenvalues 1 and 2"),
        (of("spectral_entropy"), torch.diag(torch.tensor([1.0, 0.0])), r"spectral_entropy of the matrix.*is zero"),
        (of("participation_ratio"), torch.diag(torch.tensor([1.0, 0.0])), r"eigenvalue 1 of the matrix is zero"),
        (of("participation_ratio", "singular"), torch.ones(2, 2), r"singular value 1 of the matrix is zero"),
        (of("log_abs_det", "singular"), torch.ones(2, 2), r"log_abs_det of the matrix.*zero.*1e-6 \* torch.eye"),
        (of("condition_number"), torch.zeros(2, 2) + torch.diag(torch.tensor([1.0, 0.0])), r"condition_number.*zero"),
        (of("degeneracy"), EYE, r"degeneracy of the matrix.*all magnitudes are equal.*participation_ratio"),
        (of("degeneracy", "singular"), EYE, r"all magnitudes are equal|singular values 0 and 1"),
        (of("phi_proximity"), torch.diag(torch.tensor([4.0, 2.0, 1.0])), r"phi_proximity.*best alike"),
        (
            of("condition_number", "singular", dtype="float32"),
            torch.diag(torch.tensor([1.0, 1e-8])),
            "condition_number",
        ),
        (of("log_abs_det", lengths=[2]), torch.diag(torch.tensor([1.0, 0.0, 1.0]))[None], r"matrix \(0,\).*zero"),
    ],
)
def test_what_has_no_gradient_says_so_and_what_to_do(call, a, words):
    result = call(a.clone().requires_grad_())
    with pytest.raises(GradientError, match=words):
        result.sum().backward()


def test_only_matrices_whose_gradient_is_wanted_are_looked_at():
    a = torch.stack([dense(3, 3), dense(3, 3).tril()])
    got = gradient(lambda x: ec.batch_metrics(x).effective_rank[1], a)
    assert not got[0].any()
    torch.testing.assert_close(got[1], gradient(lambda x: ec.batch_metrics(x).effective_rank, a[1]), rtol=0, atol=0)
    with pytest.raises(GradientError, match=r"matrix \(0,\)"):
        gradient(lambda x: ec.batch_metrics(x).effective_rank.sum(), a)
    # Zero has no gradient of the entropy, and a squared distance between zero and zero has.
    assert not gradient(lambda x: ec.svdvals(x).square().sum(), torch.zeros(3, 3)).any()


def test_values_that_float32_cannot_tell_apart_are_equal_in_float32():
    a = torch.diag(torch.tensor([1.0, 1.0 + 1e-12], dtype=torch.float64))
    torch.testing.assert_close(
        gradient(lambda x: ec.eigvals(x)[0].real, a).diagonal(), torch.tensor([0.0, 1.0]).double()
    )
    with pytest.raises(GradientError, match="equal"):
        gradient(lambda x: ec.eigvals(x, dtype="float32")[0].real, a)


@pytest.mark.parametrize("call", [ec.svdvals, lambda x: ec.eigvals(x).real, of("effective_rank")])
def test_second_derivatives_are_refused(call):
    a = causal(3, 3).requires_grad_()
    (first,) = torch.autograd.grad(call(a).square().sum(), a, create_graph=True)
    with pytest.raises(GradientError, match=r"no second derivatives.*create_graph"):
        first.sum().backward()


def test_what_batch_metrics_refuses_it_refuses_with_gradients():
    a = dense(2, 3, 3).requires_grad_()
    with pytest.raises(StructureError, match="above the diagonal"):
        ec.batch_metrics(a, structure="causal", check=True)
    for lengths in ([1], [1, 9], torch.tensor([0, 1])):
        with pytest.raises(ShapeError, match="lengths"):
            ec.batch_metrics(a, lengths=lengths)


# -- operators --


def opcheck_cases():
    ops = torch.ops.eigencore
    options = ("float64",)
    yield "no matrices", ops.svdvals, (torch.rand(0, 4, 4), *options)
    yield "one matrix", ops.svdvals, (dense(4, 4), *options)
    yield "strided", ops.svdvals, (dense(3, 2, 8, 4)[:, :, ::2].mT.transpose(0, 1), "float32")
    yield "strided", ops.eigvals, (causal(3, 2, 4, 4).transpose(0, 1), "auto", "float32")
    yield "no matrices", ops.batch_metrics, (torch.rand(2, 0, 3, 3), "eigen", "auto", None, *options, False)
    yield "strided", ops.batch_metrics, (dense(3, 2, 4, 4).mT, "singular", "dense", None, *options, False)
    for dtype in (torch.float16, torch.bfloat16, torch.float32, torch.float64):
        a, name = causal(2, 4, 4).to(dtype), str(dtype)
        lengths = torch.tensor([3, 4])
        if dtype.itemsize > 2:
            yield name, ops.eigvals, (a, "causal", "float64")
            yield name, ops.batch_metrics, (a, "eigen", "auto", lengths, "float32", False)
        yield name, ops.svdvals, (a, *options)
        yield name, ops.batch_metrics, (a, "singular", "causal", None, *options, True)


def test_operators_keep_the_rules_of_torch():
    ec.batch_metrics(torch.eye(2, requires_grad=True))  # registers them
    for name, operator, (a, *options) in opcheck_cases():
        found = torch.library.opcheck(operator.default, (a.requires_grad_(), *options))
        assert set(found.values()) == {"SUCCESS"}, (name, operator)


# -- torch.compile --

COMPILED = {
    "eigvals": lambda x, _: ec.eigvals(x).abs().square().sum(-1),
    "causal eigvals": lambda x, _: ec.eigvals(x, structure="causal", dtype="float32").real.square().sum(-1),
    "svdvals": lambda x, _: ec.svdvals(x, dtype=torch.float32).square().sum(-1),
    "eigen": lambda x, _: ec.batch_metrics(x),
    "singular": lambda x, _: ec.batch_metrics(x, spectrum="singular", metrics=["effective_rank", "stable_rank"]),
    "causal": lambda x, _: ec.batch_metrics(x, structure="causal", check=True, dtype=torch.float64),
    "lengths": lambda x, lengths: ec.batch_metrics(x, lengths=lengths),
    "lengths as a list": lambda x, _: ec.batch_metrics(x, lengths=[1] * len(x)),
    "list": lambda x, _: ec.batch_metrics([x[0], x[1, :2, :2]], metrics="effective_rank"),
}


def assert_same(got, expected):
    if isinstance(expected, torch.Tensor):
        torch.testing.assert_close(got, expected, rtol=0, atol=0, equal_nan=True)
        return
    assert (got.spectrum, got.metric_names) == (expected.spectrum, expected.metric_names)
    for name in ("n", "status", *expected.metric_names):
        assert_same(getattr(got, name), getattr(expected, name))


@pytest.mark.parametrize("name", COMPILED)
def test_compiled_functions_give_what_others_give(name):
    function = COMPILED[name]
    compiled = torch.compile(function, fullgraph=True, backend="aot_eager")
    for batch in (3, 5):
        lengths = torch.arange(batch) % 4 + 2
        a, b = (causal(batch, 6, 6, seed=batch).requires_grad_() for _ in range(2))
        got, expected = compiled(a, lengths), function(b, lengths)
        assert_same(got, expected)
        for result, leaf in ((got, a), (expected, b)):
            loss = result if isinstance(result, torch.Tensor) else result.effective_rank
            loss.sum().backward()
            assert leaf.grad.isfinite().all()
        torch.testing.assert_close(a.grad, b.grad, rtol=0, atol=0)


def test_one_graph_serves_every_size():
    counter = CompileCounter()
    compiled = torch.compile(
        lambda x, lengths: ec.batch_metrics(x, lengths=lengths).effective_rank + ec.svdvals(x).sum(-1),
        fullgraph=True,
        dynamic=True,
        backend=counter,
    )
    for batch, n in ((2, 4), (7, 4), (3, 9)):
        a = causal(batch, n, n)
        lengths = torch.full((batch,), n - 1)
        expected = ec.batch_metrics(a, lengths=lengths).effective_rank + ec.svdvals(a).sum(-1)
        torch.testing.assert_close(compiled(a, lengths), expected, rtol=0, atol=0)
    assert counter.frame_count == 1


def test_errors_come_out_of_compiled_functions():
    compiled = torch.compile(
        lambda x, n: ec.batch_metrics(x, lengths=n).effective_rank, fullgraph=True, backend="eager"
    )
    with pytest.raises(ShapeError, match="from 1 to 3, got 7"):
        compiled(causal(2, 3, 3), torch.tensor([1, 7]))
    compiled = torch.compile(lambda x: ec.batch_metrics(x).effective_rank.sum(), fullgraph=True, backend="aot_eager")
    with pytest.raises(GradientError, match="is not triangular"):
        compiled(dense(2, 3, 3).requires_grad_()).backward()


def test_operators_are_registered_when_they_are_needed_be_it_in_a_compiled_function():
    code = (
        "import sys, torch, eigencore as ec; ec.batch_metrics(torch.eye(3)); ec.svdvals(torch.eye(3)); "
        "before = [m for m in sys.modules if m.startswith('eigencore') and 'operator' in m]; "
        "f = torch.compile(lambda x: ec.batch_metrics(x).dominant_ratio, fullgraph=True, backend='eager'); "
        "print(before, f(torch.eye(2)).item())"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[] 0.5"


@pytest.mark.slow
@pytest.mark.filterwarnings("default")  # of the compiler's own
def test_the_default_compiler_gives_the_same_gradients():
    def loss(x):
        return ec.batch_metrics(x, spectrum="singular").effective_rank.sum() + ec.eigvals(x).abs().square().sum()

    a = causal(4, 6, 6)
    got = gradient(torch.compile(loss, fullgraph=True), a)
    torch.testing.assert_close(got, gradient(loss, a), rtol=1e-12, atol=1e-14)


def test_status_needs_no_gradient():
    metrics = ec.batch_metrics(causal(2, 3, 3).requires_grad_())
    assert not metrics.status.requires_grad
    assert not metrics.n.requires_grad
    assert metrics.status.tolist() == [Status.OK, Status.OK]
