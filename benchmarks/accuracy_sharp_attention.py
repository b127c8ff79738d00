"""Errors of |eigenvalues| of sharp attention against 40-digit arithmetic, ours beside LAPACK's.

    python benchmarks/accuracy_sharp_attention.py

Logits of scale 8 leave columns with hardly any weight; the small eigenvalues of such matrices feel every rounding.
"""

from __future__ import annotations

import mpmath
import numpy as np

import eigencore as ec


def sharp_attention(batch: int, n: int) -> np.ndarray:
    x = 8 * np.random.default_rng(n).standard_normal((batch, n, n))
    e = np.exp(x - x.max(-1, keepdims=True))
    return e / e.sum(-1, keepdims=True)


def exact_magnitudes(a: np.ndarray) -> np.ndarray:
    with mpmath.workdps(40):
        values = mpmath.eig(mpmath.matrix(a.tolist()), left=False, right=False)
        return np.sort([float(abs(value)) for value in values])[::-1]


def main() -> None:
    for n in (6, 8, 12, 16, 20):
        a = sharp_attention(12, n)
        ours, lapack = np.abs(ec.eigvals(a)), -np.sort(-np.abs(np.linalg.eigvals(a)), axis=-1)
        exact = np.stack([exact_magnitudes(m) for m in a])
        errors = [np.abs(found - exact).max(-1) for found in (ours, lapack)]
        print(
            f"n = {n:2}: median and largest error of 12: "
            + "; ".join(
                f"{name} {np.median(error):.0e}, {error.max():.0e}"
                for name, error in zip(("ours", "LAPACK"), errors, strict=True)
            )
        )


if __name__ == "__main__":
    main()
