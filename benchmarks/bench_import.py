"""How long `import eigencore` takes once numpy is loaded, and what of it: medians over fresh processes.

python benchmarks/bench_import.py
"""

from __future__ import annotations

import statistics
import subprocess
import sys

REPEATS = 15
CODE = """
import sys, time
import numpy
start = time.perf_counter()
import eigencore
print(time.perf_counter() - start)
heavy = ("torch", "transformers", "scipy", "pandas", "plotly")
print([name for name in heavy if name in sys.modules])
"""


def main() -> None:
    seconds = []
    for _ in range(REPEATS):
        done = subprocess.run([sys.executable, "-c", CODE], capture_output=True, text=True, check=True)
        wall_s, loaded = done.stdout.splitlines()
        assert loaded == "[]", f"import eigencore loads {loaded}"
        seconds.append(float(wall_s))
    median_s = statistics.median(seconds)
    print(f"import eigencore, numpy loaded: median {median_s:.3f} s, max {max(seconds):.3f} s of {REPEATS}")


if __name__ == "__main__":
    main()
