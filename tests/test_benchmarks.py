"""The commands of the benchmarks of spectra work from end to end. What they measure here means nothing."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest
import torch

import eigencore as ec
from eigencore.version import __version__

pytest.importorskip("threadpoolctl", reason="the benchmarks want the extra `dev`")
pytest.importorskip("pytest_benchmark", reason="the benchmarks want the extra `dev`")
pytest.importorskip("matplotlib", reason="the benchmarks want the extra `dev`")

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"
# Harmless where NumPy would choose the same by itself.
SLOWED = {"OPENBLAS_CORETYPE": "Haswell", "OPENBLAS_L2_SIZE": "1024"}


def run(*command: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *command],
        env=os.environ | environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=600,
    )


def blas_architectures(**environment: str) -> set[str]:
    program = (
        "import json, scipy.linalg, threadpoolctl; "
        "print(json.dumps([i['architecture'] for i in threadpoolctl.threadpool_info() if 'architecture' in i]))"
    )
    return set(json.loads(run("-c", program, **environment).stdout))


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the report leaves where the environment would slow NumPy."""
    folder = tmp_path_factory.mktemp("results")
    done = run(str(BENCHMARKS / "spectra_report.py"), "--quick", "--out", str(folder), **SLOWED)
    assert done.returncode == 0, done.stderr
    return folder


@pytest.fixture(scope="module")
def raw(report: Path) -> Any:
    return json.loads((report / "spectra.json").read_text(encoding="utf-8"))


def test_report_asks_every_question_of_every_workload(raw: Any) -> None:
    asked = {(c["question"], c["operation"], c["dtype"]) for c in raw["comparisons"]}
    operations = [("eigvals", "float64"), ("eigvals", "float32"), ("svdvals", "float64"), ("svdvals", "float32")]
    for workload in (*operations, ("causal_metrics", "float64")):
        assert ("baseline", *workload) in asked
        assert ("level", *workload) in asked or len(ec.available_arches()) == 1
        assert ("threads", *workload) in asked or ec.get_num_threads() == 1
    assert ("baseline", "causal_eigvals", "float64") in asked
    assert ("call", "causal_metrics", "float64") in asked
    baselines = {c["theirs"] for c in raw["comparisons"] if c["question"] == "baseline"}
    assert {"numpy", "torch", "scipy", "diagonal"} <= baselines


def test_report_holds_possible_numbers(raw: Any) -> None:
    for comparison in raw["comparisons"]:
        paired = comparison["paired"]
        assert 0 < paired["ratio_q1"] <= paired["ratio"] <= paired["ratio_q3"]
        assert paired["ours_ns"] > 0
        assert paired["theirs_ns"] > 0
    assert {g["over"] for g in raw["growth"]} == {"n", "batch"}
    for growth in raw["growth"]:
        slope = np.polyfit(np.log(growth["sizes"]), np.log(growth["times_ns"]), 1)[0]
        assert growth["exponent"] == pytest.approx(slope, abs=1e-9)


def test_report_frees_numpy_of_what_slows_it_and_says_so(raw: Any) -> None:
    assert raw["machine"]["unset"] == list(SLOWED)
    free = dict.fromkeys(SLOWED, "")
    for pools in raw["machine"]["threadpools"].values():
        found = {pool["architecture"] for pool in pools if "architecture" in pool}
        assert found == blas_architectures(**free)


def test_report_names_the_machine(raw: Any) -> None:
    machine = raw["machine"]
    assert machine["level"] == ec.active_arch()
    assert machine["versions"]["eigencore"] == __version__
    assert machine["versions"]["torch"] == torch.__version__
    for count, pools in machine["threadpools"].items():
        assert {pool["num_threads"] for pool in pools} == {int(count)}


def test_report_shows_every_ratio_table_and_draws(report: Path) -> None:
    text = (report / "spectra.md").read_text(encoding="utf-8")
    for heading in ("In short", "Dense eigenvalues, float64, 1 thread", "Growth over n", "Growth over the batch"):
        assert f"## {heading}\n" in text
    tables = [block.splitlines() for block in text.split("\n\n") if block.startswith("| n |")]
    assert tables
    for lines in tables:
        assert len({line.count("|") for line in lines}) == 1
    assert "(spectra.svg)" in text
    assert ElementTree.parse(report / "spectra.svg").getroot().tag.endswith("svg")


def test_every_solver_passes_its_check_under_pytest_benchmark() -> None:
    some = "n16- and 1t and (causal or float32)"
    done = run("-m", "pytest", str(BENCHMARKS / "bench_spectra.py"), "--benchmark-disable", "-q", "-k", some)
    assert done.returncode == 0, done.stdout
    assert " passed" in done.stdout


def test_benchmarks_refuse_a_numpy_that_was_slowed_already() -> None:
    done = run("-c", f"import sys, numpy; sys.path.insert(0, {str(BENCHMARKS)!r}); import spectra", **SLOWED)
    assert done.returncode == 1
    assert "OPENBLAS_CORETYPE, OPENBLAS_L2_SIZE" in done.stderr


def test_placement_walks_its_path_on_the_cpu(tmp_path: Path) -> None:
    done = run(str(BENCHMARKS / "gpu_spectra.py"), "--device", "cpu", "--quick", "--out", str(tmp_path))
    assert done.returncode == 0, done.stderr
    raw = json.loads((tmp_path / "gpu_spectra_cpu.json").read_text(encoding="utf-8"))
    assert {p["operation"] for p in raw["placements"]} == {"eigvals", "svdvals", "causal_metrics"}
    for rule in raw["policy"]:
        at = {
            p["batch"]: p["faster"]
            for p in raw["placements"]
            if all(p[key] == rule[key] for key in ("operation", "dtype", "n"))
        }
        assert {batch for batch, side in at.items() if side == "device"} == set(rule["device_at"])
        assert {batch for batch, side in at.items() if side == "host"} == set(rule["host_at"])
        for p in raw["placements"]:
            assert (p["device_over_host"] < 1) == (p["faster"] == "device")


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_placement_without_a_gpu_says_so(tmp_path: Path) -> None:
    done = run(str(BENCHMARKS / "gpu_spectra.py"), "--out", str(tmp_path))
    assert done.returncode == 3
    assert "no CUDA device" in done.stderr
    assert not list(tmp_path.iterdir())
