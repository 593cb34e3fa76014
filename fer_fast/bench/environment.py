"""What a run was measured on: machine, versions, load and commit, ready for JSON."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import re
import subprocess
from pathlib import Path
from typing import Any

from fer_fast.machine.devices import cuda_is_present
from fer_fast.machine.processors import processor_flags, processor_name
from fer_fast.ops import native
from fer_fast.version import __version__

LIBRARIES = (
    *("torch", "openvino", "numpy", "pillow", "simplejpeg", "pyarrow", "safetensors"),
    *("nvidia-dali-cuda130", "nvidia-nvimgcodec-cu13", "torch-tensorrt"),
)
#: The vector and matrix instructions that decide how fast a model runs.
FEATURES = ("avx2", "avx512f", "avx512_vnni", "avx_vnni", "avx512_bf16", "amx_bf16", "amx_int8")


def environment() -> dict[str, Any]:
    """Processor, memory, GPUs, load, versions and commit at this moment."""
    return {
        "processor": processor_name() or platform.processor(),
        "features": [name for name in FEATURES if name in processor_flags()],
        "in_use": _in_use(),
        "cores": len(os.sched_getaffinity(0)),
        "memory_gib": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1),
        "load_average": load_average(),
        "system": platform.platform(),
        "python": platform.python_version(),
        "versions": {"fer_fast": __version__} | {name: _version(name) for name in LIBRARIES},
        **_gpus(),
        **_commit(),
    }


def _in_use() -> dict[str, str | None]:
    """The vector instructions that the fused op and torch chose: fewer than the processor has, if told so."""
    import torch

    return {"fused op": native.core().cpu_level(), "torch": torch.backends.cpu.get_cpu_capability()}


def load_average() -> list[float]:
    """Of the last 1, 5 and 15 minutes: what else the machine does."""
    return [round(load, 2) for load in os.getloadavg()]


def _gpus() -> dict[str, Any]:
    """The cards that torch sees, the driver, and torch's CUDA; none of it where there is no card."""
    if not cuda_is_present():
        return {"gpus": [], "driver": None, "cuda": None}
    import torch

    cards = [torch.cuda.get_device_properties(index) for index in range(torch.cuda.device_count())]
    driver = re.search(r"Kernel Module.*?\s(\d+\.[\d.]+)", _text(Path("/proc/driver/nvidia/version")))
    return {
        "gpus": [
            {
                "name": card.name,
                "memory_gib": round(card.total_memory / 2**30, 1),
                "compute_capability": f"{card.major}.{card.minor}",
            }
            for card in cards
        ],
        "driver": driver[1] if driver else None,
        "cuda": torch.version.cuda,
    }


def _text(path: Path) -> str:
    return path.read_text() if path.exists() else ""


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
