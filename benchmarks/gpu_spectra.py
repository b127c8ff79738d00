"""Where spectra of CUDA tensors are best computed: on the device, or in a copy on the host, by n and batch.

    python benchmarks/gpu_spectra.py [--device cuda] [--quick] [--rounds N] [--out FOLDER]

Dense spectra: torch.linalg on the device against a copy to the host, the kernels of eigencore on all their threads, and
the result copied back. Causal metrics: torch operations on the device against the same detour. Every call ends with the
device synchronised, the sides take turns, and medians count. Writes results/gpu_spectra_DEVICE.json and prints a table
and which side to choose. Wants nothing but the installed package; exit code 3 where there is no GPU. `--device cpu`
walks the same path without one, and its numbers mean nothing.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from dataclasses import asdict, replace
from pathlib import Path

from spectra import machine, placement
from spectra.timing import FEWEST_ROUNDS

import eigencore as ec

NO_GPU = 3
SCHEMA = "eigencore.benchmark.gpu_spectra/1"


def main() -> None:
    import torch  # not before spectra, which must come before NumPy

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cuda", help="cuda, cuda:1, …, or cpu to try the script itself")
    parser.add_argument("--quick", action="store_true", help="two sizes, two batches")
    parser.add_argument("--rounds", type=int, help=f"rounds for each pair, at least {FEWEST_ROUNDS}")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results", help="a folder")
    arguments = parser.parse_args()
    device = torch.device(arguments.device)
    if device.type == "cuda" and not torch.cuda.is_available():
        print(f"no GPU: torch {torch.__version__} finds no CUDA device, so nothing was measured", file=sys.stderr)
        sys.exit(NO_GPU)
    grid = placement.QUICK if arguments.quick else placement.FULL
    if arguments.rounds is not None:
        if arguments.rounds < FEWEST_ROUNDS:
            parser.error(f"quartiles want at least {FEWEST_ROUNDS} rounds, got {arguments.rounds}")
        grid = replace(grid, pace=replace(grid.pace, rounds=arguments.rounds))
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else device.type
    about = machine.facts() | {"device": name, "cuda": torch.version.cuda, "host_threads": ec.get_num_threads()}
    print(f"{name}; host {about['cpu']}, {about['level']}, {about['host_threads']} threads")
    found = []
    for one in placement.placements(grid, device):
        print(placement.placement_text(one), flush=True)
        found.append(one)
    rules = placement.policy(found)
    print("\nfaster, as measured:", *map(placement.rule_text, rules), sep="\n")
    arguments.out.mkdir(parents=True, exist_ok=True)
    path = arguments.out / f"gpu_spectra_{re.sub(r'[^a-z0-9]+', '-', name.lower()).strip('-')}.json"
    records = {"placements": [asdict(one) for one in found], "policy": [asdict(rule) for rule in rules]}
    raw = {"schema": SCHEMA, "machine": about} | records
    path.write_text(json.dumps(raw, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    print(f"wrote {path}")


if __name__ == "__main__":
    main()
