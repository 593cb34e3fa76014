"""What ran where: nothing comes in, a JSON-ready description of machine, versions and commit goes out."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import subprocess
from pathlib import Path
from typing import Any

from fer_fast import __version__

LIBRARIES = ("torch", "openvino", "numpy", "pillow", "pyarrow")
#: The vector and matrix instructions that decide how fast a model runs.
FEATURES = ("avx2", "avx512f", "avx512_vnni", "avx_vnni", "avx512_bf16", "amx_bf16", "amx_int8")


def environment() -> dict[str, Any]:
    """Processor, memory, load, versions and commit at this moment."""
    return {
        "processor": _cpuinfo("model name") or platform.processor(),
        "features": [name for name in FEATURES if name in _cpuinfo("flags").split()],
        "cores": len(os.sched_getaffinity(0)),
        "memory_gib": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1),
        "load_average": [round(load, 2) for load in os.getloadavg()],
        "system": platform.platform(),
        "python": platform.python_version(),
        "versions": {"fer_fast": __version__} | {name: _version(name) for name in LIBRARIES},
        **_commit(),
    }


def _cpuinfo(field: str) -> str:
    path = Path("/proc/cpuinfo")
    lines = path.read_text().splitlines() if path.exists() else []
    return next((line.partition(":")[2].strip() for line in lines if line.startswith(field)), "")


def _version(library: str) -> str | None:
    try:
        return importlib.metadata.version(library)
    except importlib.metadata.PackageNotFoundError:
        return None


def _commit() -> dict[str, str | bool | None]:
    """The checkout's commit, and whether files differ from it; None where this is no checkout."""

    def git(*arguments: str) -> str | None:
        command = ["git", "-C", str(Path(__file__).parent), *arguments]
        try:
            return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
        except (OSError, subprocess.CalledProcessError):
            return None

    changes = git("status", "--porcelain", "--untracked-files=no")
    return {"commit": git("rev-parse", "HEAD"), "dirty": None if changes is None else bool(changes)}
