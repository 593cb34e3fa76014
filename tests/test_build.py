"""The native build: what is compiled, with and without an nvcc, and that a stranger's CMake project finds it."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pybind11
import pytest

import fer_fast
from fer_fast import _C as core  # noqa: N811

ROOT = Path(__file__).parent.parent


def run(*command: object, **options: object) -> str:
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True, check=False, **options)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


@pytest.mark.skipif(not core.cuda_architectures, reason="built without its CUDA twin")
def test_a_strangers_cmake_finds_the_cuda_twin(tmp_path: Path) -> None:
    prefix = f"-DCMAKE_PREFIX_PATH={fer_fast.cmake_prefix_path}"
    run("cmake", "-S", ROOT / "tests/cpp/consumer", "-B", tmp_path, prefix)
    run("cmake", "--build", tmp_path, "--target", "tokens_cuda")
    run(tmp_path / "tokens_cuda")


def configure(folder: Path, cuda: str) -> subprocess.CompletedProcess[str]:
    options = ["-DFER_FAST_PYTHON=ON", f"-DFER_FAST_CUDA={cuda}", f"-DPython_EXECUTABLE={sys.executable}"]
    options += [f"-Dpybind11_DIR={pybind11.get_cmake_dir()}"]
    return subprocess.run(
        ["cmake", "-S", ROOT, "-B", folder, "-G", "Ninja", *options],
        env=os.environ | {"CUDACXX": "/nonexistent/nvcc"},
        capture_output=True,
        text=True,
        check=False,
    )


def test_without_nvcc(tmp_path: Path) -> None:
    done = configure(tmp_path / "auto", "auto")
    assert done.returncode == 0, done.stderr
    assert len(re.findall("CPU twin only", done.stdout)) == 1
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
