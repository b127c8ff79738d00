"""Dense eigenvalues and singular values against NumPy, and causal metrics against what one writes without eigencore.

    python benchmarks/bench_spectra.py [THREADS]

Prints ratios of medians, both sides in this process, after the answers were compared. OPENBLAS_CORETYPE and
OPENBLAS_L2_SIZE slow NumPy where they are set, so they are cleared; BLAS runs on as many threads as eigencore.
"""

from __future__ import annotations

import os
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

for name in ("OPENBLAS_CORETYPE", "OPENBLAS_L2_SIZE"):
    os.environ.pop(name, None)
THREADS = int(sys.argv[1]) if len(sys.argv) > 1 else 1
os.environ["OPENBLAS_NUM_THREADS"] = str(THREADS)

import numpy as np  # noqa: E402
import scipy.linalg  # noqa: E402
from threadpoolctl import threadpool_info  # noqa: E402

import eigencore as ec  # noqa: E402

SIZES = {6: 20160, 16: 4096, 32: 1024, 64: 256, 128: 64, 256: 16}
PHI = (1 + 5**0.5) / 2


def attention(batch: int, n: int) -> np.ndarray:
    """Softmax of logits of scales 0.5, 1, 2 and 4."""
    rng = np.random.default_rng(n)
    x = rng.standard_normal((batch, n, n)) * rng.choice([0.5, 1.0, 2.0, 4.0], (batch, 1, 1))
    e = np.exp(x - x.max(-1, keepdims=True))
    return e / e.sum(-1, keepdims=True)


def median_s(call: Callable[[], object], repeats: int) -> float:
    times = []
    for _ in range(repeats):
        begin = time.perf_counter()
        call()
        times.append(time.perf_counter() - begin)
    return statistics.median(times)


def compare(ours: Callable[[], object], theirs: Callable[[], object]) -> str:
    """Medians of calls that take turns, so that both meet the same machine."""
    pairs = [(median_s(ours, 3), median_s(theirs, 1)) for _ in range(5)]
    return f"{statistics.median(b / a for a, b in pairs):6.1f}x"


def check(a: np.ndarray, tolerance: float) -> None:
    dtype = str(a.dtype)
    exact = a.astype(np.float64)
    found = np.abs(ec.eigvals(a, dtype=dtype))
    assert np.abs(found + np.sort(-np.abs(np.linalg.eigvals(exact)), -1)).max() < tolerance
    sigma = np.linalg.svd(exact, compute_uv=False)
    assert np.abs(ec.svdvals(a, dtype=dtype) - sigma).max() < tolerance


def dense() -> None:
    print("dense, ratio to batched numpy.linalg: eigvals, svdvals in float64; the same in float32")
    for n, batch in SIZES.items():
        cells = []
        for dtype, tolerance in (("float64", 1e-11), ("float32", 2e-4)):
            a = attention(batch, n).astype(dtype)
            check(a[:64], tolerance)
            cells.append(compare(lambda a=a: ec.eigvals(a, dtype=str(a.dtype)), lambda a=a: np.linalg.eigvals(a)))
            cells.append(
                compare(lambda a=a: ec.svdvals(a, dtype=str(a.dtype)), lambda a=a: np.linalg.svd(a, compute_uv=False))
            )
        print(f"  n = {n:3}: {'  '.join(cells)}")


def metrics_of_one(a: np.ndarray) -> tuple[float, ...]:
    """What a loop over heads computes today."""
    m = np.sort(np.abs(scipy.linalg.eigvals(a)))[::-1]
    p = m / m.sum()
    entropy = -(p[p > 0] * np.log2(p[p > 0])).sum()
    ratios = m[:-1][m[1:] > 1e-10] / m[1:][m[1:] > 1e-10]
    phi = np.maximum(0, 1 - np.abs(ratios - PHI) / PHI).max(initial=0)
    spread = 1 - m.std() / (m.mean() * np.sqrt(len(m) - 1))
    return (
        entropy,
        entropy / np.log2(len(m)),
        2**entropy,
        p[0],
        m[0] / m[-1],
        spread,
        phi,
        1 - m[1] / m[0],
        np.log(m).sum(),
    )


def metrics_vectorised(a: np.ndarray) -> list[np.ndarray]:
    """The same, of all diagonals at once."""
    m = -np.sort(-np.abs(np.diagonal(a, axis1=-2, axis2=-1)), axis=-1)
    n = m.shape[-1]
    p = m / m.sum(-1, keepdims=True)
    entropy = -np.where(p > 0, p * np.log2(np.where(p > 0, p, 1)), 0).sum(-1)
    ratios = m[..., :-1] / np.where(m[..., 1:] > 1e-10, m[..., 1:], np.inf)
    phi = np.maximum(0, 1 - np.abs(ratios - PHI) / PHI).max(-1)
    spread = 1 - m.std(-1) / (m.mean(-1) * np.sqrt(n - 1))
    pr = m.sum(-1) ** 2 / (m**2).sum(-1)
    ends = m[..., 0], m[..., -1]
    return [entropy, entropy / np.log2(n), 2**entropy, p[..., 0], ends[0] / ends[1], spread, phi, pr, np.log(m).sum(-1)]


def causal() -> None:
    a = np.tril(attention(20160, 6))
    a /= a.sum(-1, keepdims=True)
    ours = ec.batch_metrics(a, structure="causal")
    assert np.allclose(ours.spectral_entropy, metrics_vectorised(a)[0], rtol=1e-9)
    assert np.isclose(float(ours.effective_rank[7]), metrics_of_one(a[7])[2])
    loop = median_s(lambda: [metrics_of_one(m) for m in a[:500]], 3) / 500
    one = median_s(lambda: ec.batch_metrics(a, structure="causal"), 15) / len(a)
    print(
        f"causal metrics of 20,160 matrices of 6 x 6: {one * 1e9:.0f} ns each, {loop / one:.0f}x a scipy loop,", end=""
    )
    print(compare(lambda: ec.batch_metrics(a, structure="causal"), lambda: metrics_vectorised(a)), "vectorised NumPy")
    small = a[:336]
    print(f"336 of them, one call: {median_s(lambda: ec.batch_metrics(small, structure='causal'), 200) * 1e6:.0f} us")


def commit() -> str:
    found = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"], cwd=Path(__file__).parent, capture_output=True, text=True
    )
    return found.stdout.strip() or "unknown"


def main() -> None:
    ec.set_num_threads(THREADS)
    blas = ", ".join(f"{i['internal_api']} {i['version']} {i.get('architecture', '')}" for i in threadpool_info())
    print(f"{platform.machine()}, level {ec.active_arch()}, {THREADS} threads, {blas}, commit {commit()}")
    dense()
    causal()


if __name__ == "__main__":
    main()
