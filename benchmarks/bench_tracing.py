"""What the tap and a trace cost beside plain generation: ratios of medians, one process, one thread, runs interleaved.

    python benchmarks/bench_tracing.py [tiny|smollm2] [REPEATS]

Greedy, 100 new tokens. The tokens are compared before anything is timed.
"""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Callable
from typing import Any

import torch

import eigencore as ec

PROMPT = "The color of midnight tastes like"
NEW_TOKENS = 100


def seconds(call: Callable[[], Any]) -> float:
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


def main() -> None:
    name = sys.argv[1] if len(sys.argv) > 1 else "tiny"
    repeats = int(sys.argv[2]) if len(sys.argv) > 2 else 5
    torch.set_num_threads(1)
    model, tokenizer = ec.load_model(name, device="cpu")
    inputs = tokenizer(PROMPT, return_tensors="pt", return_token_type_ids=False)

    def plain() -> Any:
        return model.generate(**inputs, max_new_tokens=NEW_TOKENS, do_sample=False)

    def tapped() -> Any:
        with ec.tap(model):
            return plain()

    def traced() -> ec.Trace:
        return ec.trace_generation(model, PROMPT, tokenizer=tokenizer, max_new_tokens=NEW_TOKENS, do_sample=False)

    expected = plain()[0, inputs["input_ids"].shape[1] :].tolist()
    assert tapped()[0, inputs["input_ids"].shape[1] :].tolist() == expected
    assert traced().token_ids == expected
    times: dict[str, list[float]] = {"plain": [], "tapped": [], "traced": []}
    for _ in range(repeats):
        for label, call in (("plain", plain), ("tapped", tapped), ("traced", traced)):
            times[label].append(seconds(call))
    medians = {label: statistics.median(values) for label, values in times.items()}
    print(f"{name}, {len(expected)} tokens, torch {torch.__version__}, 1 thread, median of {repeats}")
    for label, median_s in medians.items():
        per_token_ms, ratio = 1000 * median_s / len(expected), median_s / medians["plain"]
        print(f"  {label:7s} {per_token_ms:7.2f} ms per token   {ratio:.3f}x plain")


if __name__ == "__main__":
    main()
