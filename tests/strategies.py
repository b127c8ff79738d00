"""Structured matrices, as hypothesis strategies: where eigenvalue solvers go wrong."""

from __future__ import annotations

import numpy as np
from hypothesis import strategies as st

from tests.oracles import causal_softmax

seeds = st.integers(0, 2**32 - 1)
sizes = st.integers(1, 24)


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
