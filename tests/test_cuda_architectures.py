"""What the CUDA twin is compiled for: whoever asks is obeyed, or told what is wrong; CMake alone runs."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pybind11
import pytest

ROOT = Path(__file__).resolve().parent.parent
#: Without being asked, by nvcc 13: the targets, and what is told of them. The newest as PTX, too.
USUAL = (
    "sm_75 sm_80 sm_86 sm_89 sm_90 sm_100 compute_120 sm_120",
    "75-real,80-real,86-real,89-real,90-real,100-real,120",
)
pytestmark = pytest.mark.skipif(shutil.which("nvcc") is None, reason="no nvcc")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One build folder for all, as people configure again in theirs: what was asked before must not stay."""
    return tmp_path_factory.mktemp("build")


def configure(folder: Path, option: str, **environment: str) -> subprocess.CompletedProcess[str]:
    settings = {name: value for name, value in os.environ.items() if "CUDA" not in name}
    options = ["-DFER_FAST_PYTHON=ON", "-DFER_FAST_CUDA=1", f"-DPython_EXECUTABLE={sys.executable}"]
    options += [f"-Dpybind11_DIR={pybind11.get_cmake_dir()}", option or "-UCMAKE_CUDA_ARCHITECTURES"]
    return subprocess.run(
        ["cmake", "-S", ROOT, "-B", folder, "-G", "Ninja", *options],
        env=settings | environment,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize(
    ("option", "environment", "targets", "told"),
    [
        ("", {}, *USUAL),
        ("", {"TORCH_CUDA_ARCH_LIST": "8.6;9.0+PTX"}, "sm_86 compute_90 sm_90", "86-real,90"),
        ("", {"TORCH_CUDA_ARCH_LIST": " 7.5  8.0 "}, "sm_75 sm_80", "75-real,80-real"),
        ("", {"TORCH_CUDA_ARCH_LIST": "9.0a 12.0+PTX"}, "sm_90a compute_120 sm_120", "90a-real,120"),
        ("", {"TORCH_CUDA_ARCH_LIST": "", "CUDAARCHS": ""}, *USUAL),
        ("", {"CUDAARCHS": "80-real;90-virtual"}, "sm_80 compute_90", "80-real,90-virtual"),
        ("", {"CUDAARCHS": "80-real", "TORCH_CUDA_ARCH_LIST": "8.6"}, "sm_80", "80-real"),
        ("-DCMAKE_CUDA_ARCHITECTURES=89", {"CUDAARCHS": "80", "TORCH_CUDA_ARCH_LIST": "8.6"}, "compute_89 sm_89", "89"),
        ("", {"CMAKE_CUDA_ARCHITECTURES": "89", "CUDAARCHS": "80"}, "compute_89 sm_89", "89"),
    ],
)
def test_whoever_asks_is_obeyed(folder: Path, option: str, environment: dict, targets: str, told: str) -> None:
    done = configure(folder, option, **environment)
    assert done.returncode == 0, done.stderr
    ninja = (folder / "build.ninja").read_text()
    flags = [line for line in ninja.splitlines() if "--generate-code=" in line]
    assert len(flags) == 2, "of the two kernels"
    for line in flags:
        codes = re.findall(r"--generate-code=arch=compute_\w+,code=\[([\w,]+)\]", line)
        assert ",".join(codes).split(",") == targets.split()
    assert f'FER_FAST_CUDA_ARCHITECTURES=\\"{told}\\"' in ninja, "_C.cuda_architectures"


@pytest.mark.parametrize(
    ("option", "environment", "sentence"),
    [
        (
            "",
            {"TORCH_CUDA_ARCH_LIST": "8.6,9.0"},
            'TORCH_CUDA_ARCH_LIST must be versions as in "8.6;9.0+PTX", got "8.6,9.0"',
        ),
        ("", {"TORCH_CUDA_ARCH_LIST": "7.5 Ampere"}, 'TORCH_CUDA_ARCH_LIST must be .*, got "Ampere"'),
        ("", {"TORCH_CUDA_ARCH_LIST": "3.5"}, "TORCH_CUDA_ARCH_LIST: nvcc .* compiles for .*, 90, .*, not for 35"),
        (
            "",
            {"CUDAARCHS": "9.0"},
            'CUDAARCHS must be all, all-major, native, or numbers as in "75-real;90", got "9.0"',
        ),
        ("", {"CUDAARCHS": "90;35"}, "CUDAARCHS: nvcc .* compiles for .*, not for 35"),
        ("-DCMAKE_CUDA_ARCHITECTURES=sm_90", {}, 'CMAKE_CUDA_ARCHITECTURES must be .*, got "sm_90"'),
        ("-DCMAKE_CUDA_ARCHITECTURES=OFF", {}, 'CMAKE_CUDA_ARCHITECTURES must be .*, got "OFF"'),
    ],
)
def test_what_is_wrong_is_told(folder: Path, option: str, environment: dict, sentence: str) -> None:
    done = configure(folder, option, **environment)
    assert done.returncode != 0
    said = " ".join(done.stderr.split())  # CMake breaks its lines
    assert re.search(sentence.replace("+", "[+]"), said), said


@pytest.mark.parametrize("word", ["all", "all-major"])
def test_words_for_several_are_told_as_numbers(folder: Path, word: str) -> None:
    """Those of this nvcc, whatever an older CMake knows of it."""
    done = configure(folder, f"-DCMAKE_CUDA_ARCHITECTURES={word}")
    assert done.returncode == 0, done.stderr
    (told,) = {*re.findall(r'FER_FAST_CUDA_ARCHITECTURES=\\"([^"]*)\\"', (folder / "build.ninja").read_text())}
    listed = subprocess.run(["nvcc", "--list-gpu-arch"], capture_output=True, text=True, check=True).stdout
    numbers = sorted(map(int, re.findall(r"\d+", listed)))
    majors = [number for number in numbers if number % 10 == 0 or number == numbers[0]]
    chosen = numbers if word == "all" else majors
    assert told.split(",") == [*(f"{number}-real" for number in chosen), f"{majors[-1]}-virtual"]


def test_a_project_that_has_this_one_in_it_keeps_its_settings(tmp_path: Path) -> None:
    """What it asks of CUDA is its own again after add_subdirectory, its flags and folders are obeyed."""
    lines = (
        "cmake_minimum_required(VERSION 3.25)",
        "project(embedder LANGUAGES CXX)",
        f"add_subdirectory({ROOT} inner)",
    )
    told = 'message(STATUS "kept: $ENV{CUDAARCHS}, ${CMAKE_CUDA_ARCHITECTURES}.")'
    (tmp_path / "CMakeLists.txt").write_text("\n".join((*lines, told)))
    asked = ("-DCMAKE_CXX_FLAGS_RELEASE=-O1", "-DFER_FAST_OPENVINO_DIR=/ov")
    done = subprocess.run(
        ["cmake", "-S", tmp_path, "-B", tmp_path / "b", "-G", "Ninja", *asked],
        env=os.environ | {"CUDAARCHS": "80-real"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "kept: 80-real, ." in done.stdout
    ninja = (tmp_path / "b" / "build.ninja").read_text()
    assert "code=[sm_80]" in ninja and " -O1 " in ninja and "-O3" not in re.sub(r"(?s)tokens_cuda.*?\n\n", "", ninja)
    assert '-rpath,"\\$$ORIGIN:/ov" ' in ninja, "no empty entry, which were the working directory"
