"""What the page says of each number it shows: label, unit, what it says and what it does not."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Iterator

Group: TypeAlias = Literal["eigen", "singular", "row", "output"]

GROUP_LABELS: dict[Group, str] = {
    "eigen": "Eigenvalues of the whole matrix",
    "singular": "Singular values of the whole matrix",
    "row": "Newest row of attention",
    "output": "Output: next token and text",
}


@dataclass(frozen=True)
class GuideEntry:
    """One number as the page presents it."""

    name: str
    """As in `Trace.per_step`, or of a signal."""
    group: Group
    label: str
    unit: str
    """Empty for a pure number."""
    says: str
    says_not: str
    log10: bool = False
    """Whether the page shows the decimal logarithm."""


_EIGEN = (
    (
        "spectral_entropy",
        "Spectral entropy",
        "bits",
        "How evenly self-attention is shared out among the tokens so far: 0 bits where one token has it all, log2 of "
        "the number of tokens where each looks at itself equally much.",
        "How widely attention is spread: a head that looks only one token back and a head that looks only at the "
        "first token have the same value.",
    ),
    (
        "normalized_entropy",
        "Normalized entropy",
        "",
        "Spectral entropy as a share of the largest possible at this number of tokens, from 0 to 1.",
        "Anything free of length: it still drifts as the text grows, even under chance.",
    ),
    (
        "effective_rank",
        "Effective rank",
        "",
        "How many equal eigenvalues would have this spectral entropy: roughly, how many tokens attend noticeably to "
        "themselves.",
        "The rank of the attention matrix. Two heads of equal effective rank here may differ entirely in what they "
        "attend to; singular values tell them apart.",
    ),
    (
        "participation_ratio",
        "Participation ratio",
        "",
        "How many eigenvalues matter, as effective rank counts them, but with more weight on the large ones.",
        "Which tokens they belong to, or where the rest of the attention goes.",
    ),
    (
        "dominant_ratio",
        "Dominant ratio",
        "",
        "The share of the largest eigenvalue in the sum of all. The largest is always the 1 of the first token, which "
        "can only see itself.",
        "That one direction dominates attention: it falls simply because every new token adds a self-weight.",
    ),
    (
        "spectral_gap",
        "Spectral gap",
        "",
        "How far the second largest eigenvalue stays below the largest: 0 as soon as any later token looks at itself "
        "alone.",
        "What the other tokens do: a single token sets it, and it can never grow again.",
    ),
    (
        "degeneracy",
        "Degeneracy",
        "",
        "How equal the eigenvalues are: 1 where all are the same, 0 where one has it all.",
        "Whether any eigenvalue occurs exactly more than once.",
    ),
    (
        "condition_number",
        "Condition number, log10",
        "decades",
        "How many powers of ten lie between the largest and the smallest eigenvalue: how little the token that looks "
        "least at itself does so. ∞ means a weight of zero; means are of the heads where it is finite.",
        "Anything about the other tokens: one token sets it, and it can never fall again.",
    ),
    (
        "log_abs_det",
        "Log determinant",
        "nats",
        "The logarithms of all self-weights added up: the lower, the less the tokens look at themselves. Means are of "
        "the heads where it is finite.",
        "Anything by its height alone, since every token lowers it: look at how steeply it falls.",
    ),
)
_SINGULAR = (
    (
        "spectral_entropy",
        "Spectral entropy (singular)",
        "bits",
        "How evenly the singular values are spread: low where all rows of attention look alike, high where they "
        "differ.",
        "Which tokens are attended to. It grows with the number of tokens by itself.",
    ),
    (
        "normalized_entropy",
        "Normalized entropy (singular)",
        "",
        "Spectral entropy of the singular values as a share of the largest possible at this number of tokens.",
        "Anything free of length: it still drifts as the text grows, even under chance.",
    ),
    (
        "effective_rank",
        "Effective rank (singular)",
        "",
        "Roughly in how many independent ways the tokens attend: near 1 for a head that always looks at the first "
        "token, near the number of tokens for one that always looks one back.",
        "The exact algebraic rank, or which tokens matter.",
    ),
    (
        "participation_ratio",
        "Participation ratio (singular)",
        "",
        "How many singular values matter, with more weight on the large ones than effective rank gives.",
        "Which directions they are, or whether the model uses them.",
    ),
    (
        "dominant_ratio",
        "Dominant ratio (singular)",
        "",
        "The share of the largest singular value in the sum of all: high where one pattern is common to all rows, as "
        "in an attention sink.",
        "Which pattern that is, or that it matters for the output.",
    ),
    (
        "spectral_gap",
        "Spectral gap (singular)",
        "",
        "How far the second largest singular value stays below the largest: near 1 where a single pattern rules.",
        "How many weaker patterns there are below these two.",
    ),
    (
        "stable_rank",
        "Stable rank (singular)",
        "",
        "Sum of squared singular values over the largest squared: a count of patterns that small values hardly move.",
        "Anything about patterns much weaker than the strongest.",
    ),
    (
        "degeneracy",
        "Degeneracy (singular)",
        "",
        "How equal the singular values are: 1 where all are the same, 0 where one has it all.",
        "Whether any singular value occurs exactly more than once.",
    ),
    (
        "condition_number",
        "Condition number, log10 (singular)",
        "decades",
        "How many powers of ten lie between the largest and the smallest singular value. ∞ where the smallest cannot "
        "be told from zero; means are of the heads where it is finite.",
        "How the values between them are spread.",
    ),
    (
        "log_abs_det",
        "Log determinant (singular)",
        "nats",
        "The same determinant as that of the eigenvalues; −∞ where a singular value cannot be told from "
        "zero; means are of the heads where it is finite.",
        "Anything that the log determinant of the eigenvalues does not.",
    ),
)
_ROWS = (
    (
        "row_entropy",
        "Row entropy",
        "bits",
        "How widely the newest token spreads its attention: 0 bits on a single token, log2 of the number of tokens "
        "when on all alike.",
        "Where the attention goes, or that the attended tokens change the output.",
    ),
    (
        "row_participation",
        "Tokens attended to",
        "",
        "About how many tokens share the attention of the newest one (one over the sum of squared weights).",
        "Which tokens these are; a few weak ones hardly count.",
    ),
    (
        "max_weight",
        "Largest weight",
        "",
        "The largest share of attention that the newest token gives to any one token.",
        "Which token that is: often it is the first one, and then there is nothing to look up.",
    ),
    (
        "sink_weight",
        "Weight on the first token",
        "",
        "The share of attention that the newest token gives to the very first token, where heads rest that find "
        "nothing to do.",
        "That the first token means anything here: it is a place to put spare attention.",
    ),
    (
        "self_weight",
        "Weight on itself",
        "",
        "The share of attention that the newest token gives to itself. It is also the eigenvalue that this step adds "
        "to the spectrum.",
        "Where the rest of the attention goes.",
    ),
    (
        "log_self_weight",
        "Weight on itself, ln",
        "nats",
        "The natural logarithm of the weight on itself, which shows differences among tiny weights.",
        "Much when very low: e to the −20 and e to the −40 are both nothing in practice.",
    ),
    (
        "max_logit",
        "Largest score",
        "nats",
        "The largest attention score, before the softmax, of the newest token.",
        "How much attention results: only differences between scores matter for that.",
    ),
    (
        "logit_std",
        "Spread of scores",
        "nats",
        "The standard deviation of the newest token's attention scores: the larger, the more sharply a head selects.",
        "Which tokens are selected.",
    ),
)
_OUTPUT = (
    (
        "next_token_entropy",
        "Next-token entropy",
        "bits",
        "How undecided the model is about the next token, before any sampling filter. It often falls in a loop.",
        "Whether the model is right: a confident model may be confidently wrong.",
    ),
    (
        "surprisal",
        "Surprisal",
        "bits",
        "How unlikely the token that was written was to the model: 0 bits where it was certain.",
        "Anything about tokens that were not written.",
    ),
    (
        "top1_probability",
        "Probability of the top token",
        "",
        "The probability of the most probable next token, before any sampling filter.",
        "That it was the one written: sampling may take another.",
    ),
    (
        "margin",
        "Margin",
        "nats",
        "How far the most probable next token is ahead of the second: the difference of their logits.",
        "How probable either of them is.",
    ),
    (
        "repetition_4gram",
        "Repeated 4-grams",
        "",
        "The share of all runs of four tokens, written so far, that had been written before.",
        "When repetition sets in sharply: it counts from the start and so rises slowly.",
    ),
)


def _entries(group: Group, prefix: str, rows: tuple[tuple[str, str, str, str, str], ...]) -> Iterator[GuideEntry]:
    for name, label, unit, says, says_not in rows:
        yield GuideEntry(prefix + name, group, label, unit, says, says_not, log10=name == "condition_number")


METRIC_GUIDE: tuple[GuideEntry, ...] = (
    *_entries("eigen", "", _EIGEN),
    *_entries("singular", "singular.", _SINGULAR),
    *_entries("row", "", _ROWS),
    *_entries("output", "", _OUTPUT),
)
"""In the order of the menu. φ-proximity is left out: high by chance, it needs a null model beside it."""

READING_TRUTHS: tuple[str, ...] = (
    "A step is the forward pass that yields one token. Each token carries the numbers of the step that produced it: "
    "the newest row is the attention of the token before it, and the whole matrix is that of all tokens up to there.",
    "Attention here is causal: no token sees a later one. Such a matrix is triangular, so its eigenvalues are its "
    "diagonal, the weight that each token gives to itself. They say nothing about where else attention goes; read them "
    "beside the metrics of the newest row, or of singular values.",
    "Every metric of the whole matrix drifts with the number of tokens, even where attention is left to chance. "
    "Compare at equal length.",
    "A loop in the text need not show in attention, and nothing here claims to warn of one.",
)
"""What one must know to read the page."""
