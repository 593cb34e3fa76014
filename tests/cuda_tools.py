"""NVIDIA's compilers and readers of machine code, where they are: sources come in, cubins and what they hold go out."""

from __future__ import annotations

import importlib.util
import re
import shutil
import subprocess
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

PATHS = ("runs", "pixels", "planes", "single")  # CudaPath in csrc/tokens/cuda_source.h
IMAGE_PATHS = ("three", "four", "eight", "planes", "single")  # ImagePath in csrc/tokens/cuda_image.h


class Kernel(NamedTuple):
    """An instance of a kernel, as machine code.

    Attributes:
        kernel: which: tokens or image.
        path: how it reads: runs, pixels, planes or single; of the image kernel, how it writes.
        of_image: whether it reads uint8.
        accesses: of global memory, by instruction: LDG.E.128.CONSTANT and how often it is there.
        in_flight: loads before the first store to shared memory, which has to wait for them.
        registers: of a thread.
        spilled: bytes of a thread's own memory: stack, and what registers are spilled to.
    """

    kernel: str
    path: str
    of_image: bool
    accesses: Counter[str]
    in_flight: int
    registers: int
    spilled: int


def tool(name: str) -> str | None:
    """nvcc, nvdisasm or cuobjdump: on the path, or of a wheel."""
    spec = importlib.util.find_spec("nvidia")
    folders = spec.submodule_search_locations if spec and spec.submodule_search_locations else []
    found = [str(path) for folder in folders for path in Path(folder).glob(f"cu*/bin/{name}")]
    return shutil.which(name) or (found[0] if found else None)


def kernels_of(cubin: Path, accesses: Callable[[Path], dict[str, list[str]]] | None = None) -> list[Kernel]:
    """All instances of kernels in a cubin; `accesses` reads them by name where nvdisasm does not know the card."""
    usage = _said("cuobjdump", "-res-usage", cubin)
    resources = {
        name: (int(registers), int(stack) + int(local))
        for name, registers, stack, local in re.findall(
            r"Function (\S+):\s+REG:(\d+) STACK:(\d+).*?LOCAL:(\d+)", usage, re.DOTALL
        )
    }
    found = []
    for name, ordered in (accesses or _accesses)(cubin).items():
        counted = Counter(access for access in ordered if not access.startswith("STS"))
        before = next((place for place, access in enumerate(ordered) if access.startswith("STS")), 0)
        found.append(Kernel(*_instance(name), counted, before, *resources[name]))
    return found


def _instance(name: str) -> tuple[str, str, bool]:
    """Which kernel, its path, and whether it reads uint8: of nvcc's instance, or of an entry for NVRTC."""
    if entry := re.fullmatch(r"fused_tokens_([a-z0-9]+)_[a-z0-9]+_([a-z]+)", name):
        return "tokens", entry[2], entry[1] == "uint8"
    if entry := re.fullmatch(r"normalised_image_[a-z0-9]+_([a-z]+)", name):
        return "image", entry[1], True
    if instance := re.search(r"image_kernelI.*LNS_9ImagePathE(\d)E", name):
        return "image", IMAGE_PATHS[int(instance[1])], True
    instance = re.search(r"token_kernelI(.*)LNS_8CudaPathE(\d)E", name)
    assert instance is not None, name
    return "tokens", PATHS[int(instance[2])], instance[1].startswith("h")


def _accesses(cubin: Path) -> dict[str, list[str]]:
    """Name of a kernel to its accesses of memory, in order: of global memory, or of unnamed, and stores to shared."""
    sections = re.findall(r"^\.text\.(\S+):\n(.*?)(?=^\.text\.|\Z)", _said("nvdisasm", cubin), re.MULTILINE | re.DOTALL)
    kinds = r"(?<=\s)(?:LDG|STG|LD|ST|LDGSTS|STS|ATOM|ATOMG|RED|LDL|STL)(?:\.\w+)*(?=\s)"
    return {name: re.findall(kinds, code) for name, code in sections}


def assert_wide(kernels: list[Kernel]) -> None:
    """Every instance is there; of the wide ones each access of global memory is one of sixteen bytes."""
    paths = [kernel[:3] for kernel in kernels]
    inputs = {("tokens", path, False): 3 for path in PATHS}
    inputs |= {("tokens", "runs", True): 1, ("tokens", "single", True): 1}
    inputs |= {("image", path, True): 1 for path in IMAGE_PATHS}
    assert {path: paths.count(path) for path in paths} == {path: 3 * count for path, count in inputs.items()}
    for kernel in kernels:
        assert kernel.spilled == 0, kernel
        most = 64 if kernel.kernel == "image" else 96
        assert kernel.registers <= most, "four blocks of 256 threads, or three of 192, must fit 65,536 registers"
        if kernel.path == "single":
            continue
        if kernel.kernel == "tokens":
            assert kernel.in_flight >= 4, kernel  # kInFlight
        narrow = {access: count for access, count in kernel.accesses.items() if "128" not in access.split(".")}
        # Of an image's channels, twelve bytes, the means and the inverse deviations.
        statistics = (1 if kernel.kernel == "image" else 2) if kernel.of_image else 0
        assert sum(narrow.values()) == statistics, kernel
        assert all(access.startswith("LDG") for access in narrow), kernel
        assert all(access.startswith(("LDG", "STG")) for access in kernel.accesses), kernel
        assert any(access.startswith("STG") for access in kernel.accesses), kernel


def _said(name: str, *arguments: str | Path) -> str:
    program = tool(name)
    assert program is not None
    return subprocess.run([program, *arguments], capture_output=True, text=True, check=True).stdout
