"""The native build: what is installed works without a compiler, and for a stranger's CMake project."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import openvino
import pytest
import torch

from fer_fast import _C as core  # noqa: N811

ROOT = Path(__file__).parent.parent
TORCH = Path(torch.__file__).parent
#: That CMakeLists.txt compiles for by nvcc 13; Pascal is NVRTC's (test_pascal.py).
ARCHITECTURES = (75, 80, 86, 89, 90, 100, 120)

CHECK_WHEEL = """
import pathlib, sys, torch
import fer_fast
from fer_fast.ops.tokens import fused_tokens, fused_tokens_reference
assert pathlib.Path(fer_fast.__file__).parent.parent == pathlib.Path(sys.argv[1]), fer_fast.__file__
arguments = ([torch.randn(2, 8, 4, 4)], [torch.zeros(8)], [torch.ones(8)], [1], 7)
torch.testing.assert_close(fused_tokens(*arguments), fused_tokens_reference(*arguments))
"""


def run(*command: object, **options: object) -> str:
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True, check=False, **options)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


def test_wheel_works_without_compiler(tmp_path: Path) -> None:
    pip = ("-m", "pip", "wheel", ROOT, "--no-deps", "--no-build-isolation", "--wheel-dir", tmp_path)
    run(sys.executable, *pip, env=os.environ | {"FER_FAST_CUDA": "1" if core.cuda_architectures else "0"})
    (wheel,) = tmp_path.glob("fer_fast-*.whl")
    site = tmp_path / "site"
    zipfile.ZipFile(wheel).extractall(site)
    assert not list(site.rglob("*.cpp"))
    run(sys.executable, "-c", CHECK_WHEEL, site, cwd=tmp_path, env={"PYTHONPATH": str(site), "PATH": "/nonexistent"})
    # The C++ library finds OpenVINO where pip puts it: beside this package.
    (site / "openvino").symlink_to(Path(openvino.__file__).parent)
    command = "import fer_fast; print(fer_fast.cmake_prefix_path)"
    prefix = run(sys.executable, "-c", command, cwd=tmp_path, env={"PYTHONPATH": str(site)}).strip()
    assert Path(prefix) == site / "fer_fast" / "cpp"
    run("cmake", "-S", ROOT / "tests/cpp/consumer", "-B", tmp_path / "consumer", f"-DCMAKE_PREFIX_PATH={prefix}")
    run("cmake", "--build", tmp_path / "consumer")
    libraries = run("ldd", tmp_path / "consumer" / "classify")
    (found,) = re.findall(r"libopenvino\.so\S* => (\S+)", libraries)
    assert Path(os.path.normpath(found)).parent == site / "openvino" / "libs" and "not found" not in libraries
    if core.cuda_architectures:
        run(tmp_path / "consumer" / "tokens_cuda")


def configure(folder: Path, cuda: str) -> subprocess.CompletedProcess[str]:
    options = ["-DFER_FAST_PYTHON=ON", f"-DFER_FAST_TORCH_DIR={TORCH}", f"-DFER_FAST_CUDA={cuda}"]
    options += [f"-DPython_EXECUTABLE={sys.executable}"]
    return subprocess.run(
        ["cmake", "-S", ROOT, "-B", folder, "-G", "Ninja", *options],
        env=os.environ | {"CUDACXX": "/nonexistent/nvcc"},
        capture_output=True,
        text=True,
        check=False,
    )


def test_without_nvcc(tmp_path: Path) -> None:
    said = configure(tmp_path / "auto", "auto").stdout
    assert len(re.findall("CPU twin only", said)) == 1
    refused = configure(tmp_path / "1", "1")
    assert refused.returncode != 0
    assert "FER_FAST_CUDA=1, but no nvcc was found" in refused.stderr


@pytest.mark.parametrize("level", [level for level in core.cpu_levels() if level != "baseline"])
def test_no_shared_code_has_avx(level: str) -> None:
    """A weak symbol in an AVX object could be the one copy that the linker keeps, for processors without AVX too."""
    folder = ROOT / "build" / f"native-{sys.implementation.cache_tag}" / "CMakeFiles" / f"tokens_cpu_{level}.dir"
    objects = list(folder.rglob("*.o"))
    if not objects or shutil.which("nm") is None:
        pytest.skip("needs the build tree of an installation from source, and nm")
    symbols = [line.split() for line in run("nm", "-C", "--defined-only", *objects).splitlines() if line]
    assert {kind for _, kind, *_ in symbols if kind.isupper() or kind in "vwu"} <= {"T"}
    assert [name for _, kind, name, *_ in symbols if kind == "T"] == [
        f"fer_fast::{level}::token_rows(fer_fast::TokensPlan"
    ]


@pytest.mark.skipif(shutil.which("nvcc") is None, reason="no nvcc")
def test_cuda_kernel_does_not_spill(tmp_path: Path) -> None:
    targets = [f"-gencode=arch=compute_{arch},code=sm_{arch}" for arch in ARCHITECTURES]
    source = ROOT / "csrc/tokens/tokens_cuda.cu"
    flags = ["-std=c++17", "-O3", "--fmad=false", "--threads=2", "-Xptxas=-v", f"-I{ROOT / 'csrc/include'}"]
    said = run("nvcc", *flags, *targets, "-c", source, "-o", tmp_path / "tokens_cuda.o")
    spills = re.findall(r"(\d+) bytes spill stores, (\d+) bytes spill loads", said)
    assert spills == [("0", "0")] * 3 * len(ARCHITECTURES)  # three output dtypes on each
