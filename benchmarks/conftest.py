"""What pytest-benchmark's JSON says of the machine."""

from __future__ import annotations

from typing import Any

from spectra import machine


def pytest_benchmark_update_machine_info(machine_info: dict[str, Any]) -> None:
    machine_info["eigencore"] = machine.facts()
