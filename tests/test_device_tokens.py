"""The CUDA twin by the driver, without a card: a stub of libcuda runs what is launched on the host."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
pytestmark = pytest.mark.needs_native


@pytest.fixture(scope="module")
def stub(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a libcuda.so.1."""
    compiler = shutil.which("c++") or shutil.which("g++")
    if compiler is None:
        pytest.skip("no C++ compiler")
    folder = tmp_path_factory.mktemp("driver")
    (folder / "cuda_headers.inc").write_text('{"", ""},')  # the stub compiles nothing
    sources = [ROOT / "tests/cpp/driver_stub.cpp", ROOT / "csrc/tokens/cuda_program.cpp"]
    flags = ["-std=c++17", "-O1", "-fPIC", "-shared", "-pthread", "-ffp-contract=off", f"-I{folder}"]
    library = folder / "libcuda.so.1"
    subprocess.run([compiler, *flags, f"-I{ROOT / 'csrc/include'}", *sources, "-o", library], check=True)
    return folder


def run(folder: Path, *arguments: object) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {"LD_LIBRARY_PATH": str(folder)}
    return subprocess.run([sys.executable, *map(str, arguments)], env=environment, capture_output=True, text=True)


def test_arrays_of_any_library_become_tokens(stub: Path) -> None:
    done = run(stub, ROOT / "tests/driver_calls.py")
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == [
        "fused_tokens_uint8_float32_runs on 0",
        "fused_tokens_float32_float32_runs on 0",
        "fused_tokens_float32_float32_planes on 0",
        "fused_tokens_uint8_float32_runs on 77",
        "fused_tokens_float32_float32_runs on 77",
        "fused_tokens_float32_float32_planes on 77",
        "normalised_image_float32_planes on 5",
        "fused_tokens_float32_float16_runs on 0",
        "fused_tokens_float32_float32_runs on 0",
    ]


def test_without_a_driver(tmp_path: Path) -> None:
    (tmp_path / "libcuda.so.1").write_text("no library")
    program = "from fer_fast import _C; _C.CudaCode(b'', 0)"
    done = run(tmp_path, "-c", program)
    assert "RuntimeError: no CUDA driver: " in done.stderr
