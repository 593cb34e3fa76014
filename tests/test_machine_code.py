"""What the CUDA kernels became, read from its machine code: by nvcc for each card since Turing, by NVRTC for Pascal."""

from __future__ import annotations

import shutil
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from cuda_tools import Kernel, assert_wide, kernels_of, tool

ROOT = Path(__file__).resolve().parent.parent
#: That CMakeLists.txt compiles for by nvcc 13; Pascal is NVRTC's.
ARCHITECTURES = (75, 80, 86, 89, 90, 100, 120)
READERS = pytest.mark.skipif(not (tool("nvdisasm") and tool("cuobjdump")), reason="needs nvdisasm and cuobjdump")


@pytest.fixture(scope="module")
def by_nvcc(tmp_path_factory: pytest.TempPathFactory) -> dict[int, list[Kernel]]:
    """Each architecture's kernels: two compilers at a time."""
    if shutil.which("nvcc") is None:
        pytest.skip("no nvcc")
    folder = tmp_path_factory.mktemp("cubins")

    def compiled(architecture: int) -> list[Kernel]:
        flags = [
            "-std=c++17",
            "-O3",
            "--fmad=false",
            "-cubin",
            f"-arch=sm_{architecture}",
            f"-I{ROOT / 'csrc/include'}",
        ]
        found = []
        for name in ("tokens_cuda", "image_cuda"):
            cubin = folder / f"{name}_{architecture}.cubin"
            subprocess.run(["nvcc", *flags, ROOT / f"csrc/tokens/{name}.cu", "-o", cubin], check=True)
            found += kernels_of(cubin)
        return found

    with ThreadPoolExecutor(2) as pool:
        return dict(zip(ARCHITECTURES, pool.map(compiled, ARCHITECTURES), strict=True))


@READERS
@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_sixteen_bytes_at_a_time(architecture: int, by_nvcc: dict[int, list[Kernel]]) -> None:
    assert_wide(by_nvcc[architecture])
