"""Wall times of the program as a user meets it: its help, and a whole trace of tiny.

python benchmarks/bench_cli.py
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import tempfile
import time

PROGRAM = "from eigencore.cli.app import main; main()"


def wall_s(*arguments: str) -> tuple[float, str]:
    begin = time.perf_counter()
    done = subprocess.run([sys.executable, "-c", PROGRAM, *arguments], check=True, capture_output=True, text=True)
    return time.perf_counter() - begin, done.stdout


def main() -> None:
    help_s = statistics.median(wall_s("--help")[0] for _ in range(7))
    print(f"eigencore --help: median {help_s:.2f} s of 7")
    import_s = statistics.median(wall_s_of_imports() for _ in range(3))
    traces = []
    for _ in range(3):
        with tempfile.TemporaryDirectory() as folder:
            seconds, stdout = wall_s("trace", "To be, or not to be", "--greedy", "--json", "--out", f"{folder}/run")
        (run,) = json.loads(stdout)["runs"]
        assert run["num_steps"] == 200, run["num_steps"]
        traces.append(seconds)
    print(f"eigencore trace of tiny, 200 tokens, all files: median {statistics.median(traces):.1f} s of 3")
    print(f"of it importing torch, transformers, pandas, pyarrow and plotly: median {import_s:.1f} s of 3")


def wall_s_of_imports() -> float:
    imports = "import torch, pandas, pyarrow.parquet, plotly.offline; from transformers import AutoModelForCausalLM"
    begin = time.perf_counter()
    subprocess.run([sys.executable, "-c", imports], check=True)
    return time.perf_counter() - begin


if __name__ == "__main__":
    main()
