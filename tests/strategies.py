"""Structured matrices, as hypothesis strategies: where eigenvalue solvers go wrong."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import scipy.linalg
from hypothesis import strategies as st

from tests.oracles import causal_softmax, eigenvector_condition

seeds = st.integers(0, 2**32 - 1)
sizes = st.integers(1, 24)
# Up to 40, and around 64: whole registers and their tails, rows short and long.
lane_sizes = st.integers(1, 43).map(lambda n: n if n <= 40 else n + 22)


@st.composite
def attention_like(draw: st.DrawFn) -> np.ndarray:
    """Row-stochastic, dense, logit scale 0.25 to 8."""
    rng, n = np.random.default_rng(draw(seeds)), draw(sizes)
    logits = draw(st.sampled_from([0.25, 1.0, 4.0, 8.0])) * rng.standard_normal((n, n))
    e = np.exp(logits - logits.max(-1, keepdims=True))
    return np.asarray(e / e.sum(-1, keepdims=True))


@st.composite
def causal(draw: st.DrawFn) -> np.ndarray:
    """Row-stochastic and lower triangular."""
    rng, n = np.random.default_rng(draw(seeds)), draw(sizes)
    return causal_softmax(draw(st.sampled_from([0.25, 1.0, 4.0, 8.0])) * rng.standard_normal((n, n)))


@st.composite
def block_triangular(draw: st.DrawFn) -> tuple[np.ndarray, list[np.ndarray]]:
    """A block-triangular matrix under a random symmetric permutation, and its diagonal blocks."""
    rng = np.random.default_rng(draw(seeds))
    block_sizes = draw(st.lists(st.integers(1, 5), min_size=1, max_size=5))
    n, at = sum(block_sizes), 0
    a, blocks = np.zeros((n, n)), []
    for size in block_sizes:
        block = rng.standard_normal((size, size))
        a[at : at + size, at : at + size] = block
        a[at : at + size, :at] = rng.standard_normal((size, at)) * (rng.random((size, at)) < 0.7)
        blocks.append(block)
        at += size
    order = rng.permutation(n)
    return a[np.ix_(order, order)], blocks


@dataclass(frozen=True)
class Structured:
    """A matrix of a family, and what is known of its spectrum without solving it."""

    a: np.ndarray
    eigenvalues: np.ndarray | None = None
    condition: float = 1.0
    """By how much an error of the matrix may grow in `eigenvalues`; 1 for normal matrices."""
    singular_values: np.ndarray | None = None


Rng = np.random.Generator


def softmax(rng: Rng, n: int, scale: float) -> np.ndarray:
    logits = scale * rng.standard_normal((n, n))
    e = np.exp(logits - logits.max(-1, keepdims=True))
    return np.asarray(e / e.sum(-1, keepdims=True))


def orthogonal(rng: Rng, n: int) -> np.ndarray:
    return np.asarray(np.linalg.qr(rng.standard_normal((n, n)))[0])


def shuffled(rng: Rng, a: np.ndarray) -> np.ndarray:
    order = rng.permutation(len(a))
    return np.asarray(a[np.ix_(order, order)])


def roots_of_unity(n: int) -> np.ndarray:
    return np.exp(2j * np.pi * np.arange(n) / n)


def attention(rng: Rng, n: int) -> Structured:
    return Structured(softmax(rng, n, 2.0 ** rng.integers(-2, 4)))


def sharp_attention(rng: Rng, n: int) -> Structured:
    """Nearly one key for each query; weights down to 1e-30."""
    return Structured(softmax(rng, n, rng.choice([8.0, 16.0])))


def permutation(rng: Rng, n: int) -> Structured:
    order = rng.permutation(n)
    cycles, seen = [], set()
    for start in range(n):
        length, at = 0, start
        while at not in seen:
            seen.add(at)
            length, at = length + 1, order[at]
        if length:
            cycles.append(roots_of_unity(length))
    return Structured(np.eye(n)[order], np.concatenate(cycles), singular_values=np.ones(n))


def cyclic_shift(rng: Rng, n: int) -> Structured:
    shift = int(rng.integers(n))
    return Structured(np.roll(np.eye(n), shift, axis=1), roots_of_unity(n) ** shift, singular_values=np.ones(n))


def _of_rank_one(x: np.ndarray, y: np.ndarray) -> Structured:
    norms = np.linalg.norm(x) * np.linalg.norm(y)
    rest = np.zeros(len(x) - 1)
    return Structured(np.outer(x, y), np.append(x @ y, rest), 2 * norms / abs(x @ y), np.append(norms, rest))


def rank_one(rng: Rng, n: int) -> Structured:
    return _of_rank_one(rng.standard_normal(n), rng.standard_normal(n))


def identical_rows(rng: Rng, n: int) -> Structured:
    return _of_rank_one(np.ones(n), rng.dirichlet(np.ones(n)))


def all_equal(rng: Rng, n: int) -> Structured:
    return _of_rank_one(np.ones(n), np.full(n, rng.choice([1.0, 1 / n, -3.0])))


def zero(rng: Rng, n: int) -> Structured:
    return Structured(np.zeros((n, n)), np.zeros(n), singular_values=np.zeros(n))


def duplicate_rows(rng: Rng, n: int) -> Structured:
    return Structured(softmax(rng, n, 2.0)[np.sort(rng.integers(0, n, n))])


def nilpotent(rng: Rng, n: int) -> Structured:
    """Strictly triangular in an order that does not show it: eigenvalues are zero, exactly."""
    a = np.triu(rng.standard_normal((n, n)), 1) * (rng.random((n, n)) < rng.choice([0.3, 1.0]))
    return Structured(shuffled(rng, a), np.zeros(n))


def nearly_nilpotent(rng: Rng, n: int) -> Structured:
    return Structured(np.eye(n, k=1) + 10.0 ** rng.integers(-16, -7) * rng.random((n, n)))


def nilpotent_and_full(rng: Rng, n: int) -> Structured:
    """S N S^-1 in whole numbers, without rounding where these are small."""
    s, inverse = np.eye(n), np.eye(n)
    for _ in range(n):
        i, j = rng.integers(n, size=2)
        if i != j and np.abs(s).max() < 16 and np.abs(inverse).max() < 16:
            s[:, j] += s[:, i]
            inverse[i] -= inverse[j]
    return Structured(s @ np.triu(rng.integers(-2, 3, (n, n)), 1) @ inverse)


def jordan_like(rng: Rng, n: int) -> Structured:
    a = np.diag(np.full(n, rng.choice([0.0, 0.5, 1.0]))) + np.eye(n, k=1)
    a[-1, 0] += 10.0 ** rng.integers(-15, -2)
    return Structured(a)


def defective(rng: Rng, n: int) -> Structured:
    """Few eigenvalues, each with one eigenvector, turned by an orthogonal matrix."""
    q = orthogonal(rng, n)
    return Structured(q @ (np.diag(np.sort(rng.choice([-0.5, 0.5, 1.0], n))) + np.eye(n, k=1)) @ q.T)


def graded(rng: Rng, n: int) -> Structured:
    """Rows and columns from 1 down to 1e-200."""
    rows, columns = (10.0 ** -np.linspace(0, rng.choice([0, 6, 12, 100]), n) for _ in range(2))
    return Structured(rows[:, None] * rng.standard_normal((n, n)) * columns)


def bidiagonal_over_the_range(rng: Rng, n: int) -> Structured:
    """Of numbers near 1, and of such whose squares underflow, in part or in whole, in float64 or in float32."""
    tiny = ([81, 150, 154, 157, 159, 160, 161, 162], [10, 15, 19, 20, 21, 22, 23, 38])[rng.integers(2)]
    entries = rng.uniform(0.5, 1, (n, n)) * 10.0 ** -rng.choice([0, 0, 0, *tiny], (n, n))
    a = np.triu(np.tril(entries, 1))
    return Structured(a, np.diag(a))


def graded_similarity(rng: Rng, n: int) -> Structured:
    """D G D^-1, D of powers of two: the eigenvalues of G, out of sight unless the matrix is balanced."""
    g = rng.standard_normal((n, n)) + 0.1
    exponents = rng.integers(0, rng.choice([8, 60, 400]), n)
    a = np.ldexp(g, exponents[:, None] - exponents)
    return Structured(a, np.linalg.eigvals(g), eigenvector_condition(g))


def tiny_or_huge(rng: Rng, n: int) -> Structured:
    return Structured(softmax(rng, n, 2.0) * rng.choice([1e-290, 1e-200, 1e200, 1e290]))


def subnormal(rng: Rng, n: int) -> Structured:
    return Structured(softmax(rng, n, 2.0) * rng.choice([1e-308, 1e-313, 1e-321]))


def doubly_stochastic(rng: Rng, n: int) -> Structured:
    weights = rng.dirichlet(np.ones(int(rng.integers(1, 6))))
    return Structured(sum((w * np.eye(n)[rng.permutation(n)] for w in weights), np.zeros((n, n))))


def _block_sizes(rng: Rng, n: int) -> list[int]:
    found: list[int] = []
    while sum(found) < n:
        found.append(int(min(rng.integers(1, 9), n - sum(found))))
    return found


def block_diagonal(rng: Rng, n: int) -> Structured:
    blocks = [rng.uniform(0.5, 2) * orthogonal(rng, size) for size in _block_sizes(rng, n)]
    eigenvalues = np.concatenate([np.linalg.eigvals(block) for block in blocks])
    return Structured(shuffled(rng, scipy.linalg.block_diag(*blocks)), eigenvalues)


def reducible_chain(rng: Rng, n: int) -> Structured:
    """A Markov chain of several classes; who comes from one of them may stay there or move on to later ones."""
    block_sizes = _block_sizes(rng, n)
    a = np.zeros((n, n))
    at = 0
    for size in block_sizes:
        stays = rng.random() < 0.3
        end = at + size
        a[at:end, at : end if stays else n] = rng.dirichlet(np.ones((end if stays else n) - at), size)
        at = end
    ends = np.cumsum(block_sizes)
    blocks = [a[end - size : end, end - size : end] for end, size in zip(ends, block_sizes, strict=True)]
    return Structured(
        shuffled(rng, a),
        np.concatenate([np.linalg.eigvals(block) for block in blocks]),
        max(map(eigenvector_condition, blocks)),
    )


def near_triangular(rng: Rng, n: int) -> Structured:
    noise = rng.choice([1e-9, 1e-14]) * np.triu(rng.random((n, n)), 1)
    return Structured(
        causal_softmax(rng.standard_normal((n, n))) + (noise if rng.random() < 0.8 else noise[::-1, ::-1])
    )


def circulant(rng: Rng, n: int) -> Structured:
    row = rng.dirichlet(np.ones(n))
    transform = np.fft.fft(row)
    return Structured(scipy.linalg.circulant(row), transform, singular_values=np.sort(np.abs(transform))[::-1].copy())


def toeplitz(rng: Rng, n: int) -> Structured:
    column = rng.standard_normal(n) / np.arange(1, n + 1)
    row = column if rng.random() < 0.5 else rng.standard_normal(n) / np.arange(1, n + 1)
    return Structured(scipy.linalg.toeplitz(column, row))


def symmetric(rng: Rng, n: int) -> Structured:
    """With eigenvalues that come several times."""
    q, eigenvalues = orthogonal(rng, n), rng.integers(-3, 4, n).astype(float)
    return Structured((q * eigenvalues) @ q.T, eigenvalues, singular_values=np.sort(np.abs(eigenvalues))[::-1].copy())


def skew(rng: Rng, n: int) -> Structured:
    half = rng.standard_normal((n, n))
    return Structured(half - half.T, 1j * np.linalg.eigvalsh(1j * (half - half.T)))


FAMILIES: dict[str, Callable[[Rng, int], Structured]] = {
    family.__name__: family
    for family in (
        attention,
        sharp_attention,
        permutation,
        cyclic_shift,
        rank_one,
        identical_rows,
        all_equal,
        zero,
        duplicate_rows,
        nilpotent,
        nearly_nilpotent,
        nilpotent_and_full,
        jordan_like,
        defective,
        graded,
        bidiagonal_over_the_range,
        graded_similarity,
        tiny_or_huge,
        subnormal,
        doubly_stochastic,
        block_diagonal,
        reducible_chain,
        near_triangular,
        circulant,
        toeplitz,
        symmetric,
        skew,
    )
}


def structured(family: str, n: st.SearchStrategy[int] = lane_sizes) -> st.SearchStrategy[Structured]:
    """Matrices of one of FAMILIES."""
    return st.builds(lambda seed, n: FAMILIES[family](np.random.default_rng(seed), n), seeds, n)


@st.composite
def among_others(draw: st.DrawFn, family: str) -> tuple[np.ndarray, int, Structured]:
    """A batch (count, n, n) of many families, where one of `family` stands in it, and that one itself."""
    case = draw(structured(family))
    rng, n = np.random.default_rng(draw(seeds)), len(case.a)
    count = draw(st.integers(1, 19))
    names = rng.choice(list(FAMILIES), count)
    batch = np.stack([FAMILIES[name](rng, n).a for name in names])
    position = draw(st.integers(0, count - 1))
    batch[position] = case.a
    return batch, position, case
