"""What a measurement was taken on, as JSON writes it."""

from __future__ import annotations

import os
import platform
import re
import subprocess
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import eigencore as ec
from eigencore import _core
from spectra import CLEARED

ROOT = Path(__file__).parents[2]


def facts() -> dict[str, Any]:
    return {
        "measured_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "cpu": cpu(),
        "platform": platform.platform(),
        "cpus_usable": cpus_usable(),
        "load_average_1min": os.getloadavg()[0],
        "level": ec.active_arch(),
        "levels": ec.available_arches(),
        "compiler": compiler(),
        "commit": commit(),
        "versions": {"python": platform.python_version()} | {name: package(name) for name in PACKAGES},
        "unset": list(CLEARED),
        "threadpools": threadpools(),
    }


PACKAGES = ("eigencore", "numpy", "scipy", "torch", "threadpoolctl")


def cpu() -> str:
    """As the operating system calls it."""
    try:
        names = re.findall(r"^model name\s*:\s*(.+)$", Path("/proc/cpuinfo").read_text(encoding="utf-8"), re.MULTILINE)
    except OSError:
        names = output("sysctl", "-n", "machdep.cpu.brand_string").splitlines()
    return names[0] if names else platform.machine()


def cpus_usable() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def compiler() -> str | None:
    """What compilers sign into the core's object file; None where they do not."""
    signed = re.findall(rb"GCC: \([^)]*\) [\d.]+|(?:Apple |Debian |Ubuntu )?clang version [\d.]+", core_bytes())
    return ", ".join(sorted({name.decode() for name in signed})) or None


def core_bytes() -> bytes:
    return Path(_core.__file__).read_bytes()


def commit() -> str | None:
    """With "-dirty" where tracked files differ from it."""
    return output("git", "-C", str(ROOT), "describe", "--always", "--dirty", "--abbrev=12", "--exclude=*") or None


def package(name: str) -> str | None:
    if name == "eigencore":
        return ec.__version__
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def threadpools() -> list[dict[str, Any]] | None:
    """What threadpoolctl reports of each BLAS and OpenMP library, at the moment of the call; None without it."""
    try:
        from threadpoolctl import threadpool_info
    except ImportError:
        return None
    wanted = ("user_api", "internal_api", "version", "architecture", "threading_layer", "num_threads", "prefix")
    return [{key: info[key] for key in wanted if key in info} for info in threadpool_info()]


def output(*command: str) -> str:
    try:
        return subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip()
    except OSError:
        return ""
