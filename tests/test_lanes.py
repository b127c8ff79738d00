"""The lane kernels on every instruction-set level: sizes, tails, bad lanes, threads and forks."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

import eigencore as ec
from eigencore import _core
from eigencore.errors import InputError

EPS = np.finfo(np.float64).eps
SOURCES = Path(__file__).parents[1] / "cpp"


@pytest.fixture(params=ec.available_arches())
def arch(request: pytest.FixtureRequest) -> Iterator[str]:
    """Each level in turn, with few matrices in lanes as well."""
    before = ec.active_arch()
    _core.use_arch(request.param)
    _core.allow_lapack(False)
    assert ec.active_arch() == request.param
    yield request.param
    _core.use_arch(before)
    _core.allow_lapack(True)


@pytest.fixture
def threads() -> Iterator[None]:
    before = ec.get_num_threads()
    yield
    ec.set_num_threads(before)


def attention(batch: int, n: int, seed: int = 0) -> np.ndarray:
    """Softmax of logits of scales 0.25 ... 8."""
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((batch, n, n)) * 2.0 ** rng.integers(-2, 4, (batch, 1, 1))
    e = np.exp(x - x.max(-1, keepdims=True))
    return np.asarray(e / e.sum(-1, keepdims=True))


def magnitudes(a: np.ndarray) -> np.ndarray:
    return -np.sort(-np.abs(np.linalg.eigvals(a)), axis=-1)


def assert_spectra_are_those_of_lapack(a: np.ndarray) -> None:
    np.testing.assert_allclose(np.abs(ec.eigvals(a)), magnitudes(a), rtol=0, atol=1e-11)
    sigma = np.linalg.svd(a, compute_uv=False)
    error = np.abs(ec.svdvals(a) - sigma) / sigma[..., :1]
    assert error.max() <= 64 * a.shape[-1] * EPS


@pytest.mark.parametrize("n", range(1, 41))
def test_spectra_of_every_small_size_are_those_of_lapack(arch: str, n: int) -> None:
    assert_spectra_are_those_of_lapack(attention(21, n, seed=n))


@pytest.mark.parametrize("n", [63, 64, 65, 95, 96, 97, 127, 128, 129, 255, 256, 257])
def test_spectra_of_large_sizes_are_those_of_lapack(arch: str, n: int) -> None:
    assert_spectra_are_those_of_lapack(attention(3, n, seed=n))


@pytest.mark.parametrize("batch", [1, 2, 3, 4, 5, 7, 8, 9, 15, 16, 17, 31, 32, 33, 65])
def test_spectra_of_every_tail_are_those_of_one_matrix_alone(arch: str, batch: int) -> None:
    a = attention(batch, 7, seed=batch)
    np.testing.assert_allclose(ec.eigvals(a), np.stack([ec.eigvals(m) for m in a]), rtol=0, atol=1e-12)
    np.testing.assert_allclose(ec.svdvals(a), np.stack([ec.svdvals(m) for m in a]), rtol=0, atol=1e-14)


@pytest.mark.parametrize("n", [2, 6, 16, 33, 64, 128])
def test_float32_is_within_1e_4(arch: str, n: int) -> None:
    a = attention(18, n, seed=n).astype(np.float32)
    exact = a.astype(np.float64)
    np.testing.assert_allclose(np.abs(ec.eigvals(a, dtype="float32")), magnitudes(exact), rtol=0, atol=1e-4)
    sigma = np.linalg.svd(exact, compute_uv=False)
    assert (np.abs(ec.svdvals(a, dtype="float32") - sigma) / sigma[:, :1]).max() < 1e-4


def test_eigenvalues_come_by_magnitude_with_pairs_positive_first(arch: str) -> None:
    values = ec.eigvals(np.random.default_rng(3).standard_normal((40, 9, 9)))
    assert (np.diff(np.abs(values)) <= 0).all()
    paired = np.abs(values.imag) > 0
    for row, is_pair in zip(values, paired, strict=True):
        pairs = row[is_pair]
        np.testing.assert_array_equal(pairs[::2], pairs[1::2].conj())
        assert (pairs[::2].imag > 0).all()


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("n", [3, 6, 40])
def test_a_bad_lane_leaves_the_others_bitwise_alone(arch: str, bad: float, n: int) -> None:
    good = attention(19, n, seed=5)
    spoilt = good.copy()
    spoilt[4, n - 1, 0] = spoilt[17, 0, n - 1] = bad
    for solve in (ec.eigvals, ec.svdvals):
        clean, dirty = solve(good), solve(spoilt)
        keep = np.delete(np.arange(19), [4, 17])
        np.testing.assert_array_equal(dirty[keep], clean[keep])
        assert np.isnan(dirty[[4, 17]]).all()
    assert ec.batch_metrics(spoilt, structure="dense").status.nonzero()[0].tolist() == [4, 17]


def test_metrics_on_lanes_are_those_of_the_spectrum(arch: str) -> None:
    a = attention(37, 12, seed=2)
    lanes = ec.batch_metrics(a, structure="dense")
    alone = [ec.batch_metrics(m, structure="dense") for m in a]
    for name in lanes.metric_names:
        one_by_one = np.array([getattr(metrics, name) for metrics in alone])
        np.testing.assert_allclose(getattr(lanes, name), one_by_one, rtol=1e-9, err_msg=name)


def test_results_do_not_depend_on_the_number_of_threads(threads: None) -> None:
    a = attention(301, 24, seed=8)
    results = []
    for count in (1, 2, 3, 16):
        ec.set_num_threads(count)
        assert ec.get_num_threads() == count
        results.append((ec.eigvals(a), ec.svdvals(a), *ec.batch_metrics(a).to_dict().values()))
    for other in results[1:]:
        for found, expected in zip(other, results[0], strict=True):
            np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("count", [0, -1, 1.5, True, "two"])
def test_a_number_of_threads_is_a_whole_number(count: object) -> None:
    with pytest.raises(InputError, match="whole number of threads"):
        ec.set_num_threads(count)  # type: ignore[arg-type]


def test_calls_from_several_python_threads_are_right(threads: None) -> None:
    ec.set_num_threads(4)
    batches = [attention(200, 20, seed=i) for i in range(6)]
    expected, found = [ec.eigvals(a) for a in batches], [None] * 6

    def solve(i: int) -> None:
        for _ in range(5):
            found[i] = ec.eigvals(batches[i])

    workers = [threading.Thread(target=solve, args=(i,)) for i in range(6)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    for got, want in zip(found, expected, strict=True):
        np.testing.assert_array_equal(got, want)


def test_a_forked_child_computes(tmp_path: Path) -> None:
    program = """
import os, sys, warnings
import numpy as np
import eigencore as ec
warnings.simplefilter("ignore", DeprecationWarning)  # Python's own, of forking with threads
ec.set_num_threads(4)
a = np.random.default_rng(0).dirichlet(np.ones(24), size=(400, 24))
before = ec.eigvals(a)
child = os.fork()
if child == 0:
    os._exit(0 if np.array_equal(ec.eigvals(a), before) else 9)
_, status = os.waitpid(child, 0)
assert np.array_equal(ec.eigvals(a), before)
sys.exit(os.waitstatus_to_exitcode(status))
"""
    assert subprocess.run([sys.executable, "-c", program], timeout=60, check=False).returncode == 0


def run_with(**environment: str) -> subprocess.CompletedProcess[str]:
    program = "import eigencore as ec; print(ec.active_arch(), ec.get_num_threads())"
    return subprocess.run(
        [sys.executable, "-c", program], env=os.environ | environment, capture_output=True, text=True, check=False
    )


def test_the_environment_chooses_level_and_threads() -> None:
    for name in ec.available_arches():
        assert run_with(EIGENCORE_ARCH=name, EIGENCORE_NUM_THREADS="3").stdout == f"{name} 3\n"
    refused = run_with(EIGENCORE_ARCH="pdp-11")
    assert refused.returncode != 0
    assert (
        f"pdp-11 is no instruction-set level of this machine; it runs {', '.join(ec.available_arches())}"
        in refused.stderr
    )


@pytest.mark.skipif(shutil.which("g++") is None or shutil.which("nm") is None, reason="needs g++ and nm")
def test_a_levels_object_defines_and_needs_nothing_outside_its_namespace(tmp_path: Path) -> None:
    # An inline function of another namespace, compiled for a newer machine, would be linked into code for older ones.
    compiled = tmp_path / "level.o"
    define = ["-DEIGENCORE_LEVEL=some_level", '-DEIGENCORE_LEVEL_NAME="some"', "-DEIGENCORE_REGISTER_BYTES=16"]
    source = str(SOURCES / "src" / "kernels_arch.cpp")
    flags = ["-std=c++20", "-O2", "-fno-math-errno", f"-I{SOURCES / 'include'}", *define]
    subprocess.run(["g++", *flags, "-c", source, "-o", str(compiled)], check=True)
    listing = subprocess.run(["nm", "-C", str(compiled)], capture_output=True, text=True, check=True).stdout
    symbols = [line.split(maxsplit=2 if line[0] != " " else 1)[-2:] for line in listing.splitlines()]
    outside = [name for kind, name in symbols if kind in "WVuBDRT" and "eigencore::some_level::" not in name]
    assert outside == []
    needed = {name for kind, name in symbols if kind == "U"}
    assert needed <= {"_GLOBAL_OFFSET_TABLE_", "memset", "memcpy", "memmove", "sqrt", "sqrtf"}
