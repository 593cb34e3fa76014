"""The wheel on each Python that is there, installed with what it asks for, where neither a compiler nor torch is."""

from __future__ import annotations

import csv
import hashlib
import os
import platform
import re
import subprocess
import sys
import zipfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from light_environments import ROOT, VERSIONS, call, environment, interpreter, sdist, settings, wheel
from shades import save_shade

pytestmark = pytest.mark.long
THIS = f"{sys.version_info.major}.{sys.version_info.minor}"

OP_OF_THE_WHEEL = """
import sys, torch, fer_fast
from fer_fast.tokens import fused_tokens
from fer_fast.ops.tokens import fused_tokens_reference
assert fer_fast.__file__.startswith(sys.argv[1]), fer_fast.__file__
arguments = ([torch.randn(2, 8, 4, 4)], [torch.zeros(8)], [torch.ones(8)], [1], 7)
torch.testing.assert_close(fused_tokens(*arguments), fused_tokens_reference(*arguments))
"""


@pytest.fixture(scope="module")
def pythons() -> dict[str, Path]:
    """The interpreters of the environments, by version; made side by side, since much of it is waiting."""
    there = [version for version in VERSIONS if interpreter(version)]
    with ThreadPoolExecutor() as threads:
        return dict(zip(there, threads.map(environment, there), strict=True))


@pytest.fixture
def python(version: str, pythons: dict[str, Path]) -> Path:
    if version not in pythons:
        pytest.skip(f"there is no Python {version}; FER_FAST_PYTHONS may name one")
    return pythons[version]


@pytest.fixture(scope="module")
def shades(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Five images and a file that is called as one."""
    folder = tmp_path_factory.mktemp("wheel") / "shades"
    folder.mkdir()
    for shade in (0, 60, 120, 180, 240):
        save_shade(folder / f"{shade:03}.png", shade)
    (folder / "bad.png").write_text("no image")
    return folder


@pytest.fixture(scope="module")
def answers(shades: Path) -> tuple[list[list[str]], np.ndarray]:
    """Of this Python, which has torch, too."""
    table = shades.parent / "here.csv"
    here = os.environ | {"PYTHONPATH": str(ROOT), "FER_FAST_CACHE": str(shades.parent / "cache")}
    call(sys.executable, "-m", "fer_fast", "classify", shades, "-o", table, env=here)
    return read(table)


def bare(python: Path, folder: Path) -> dict[str, str]:
    """The surroundings of what is installed: its own programs, caches of this run, nothing of this checkout."""
    return settings() | {"PATH": str(python.parent), "FER_FAST_CACHE": str(folder / "cache")}


def read(table: Path) -> tuple[list[list[str]], np.ndarray]:
    """Status and label of each row, and float64 [ok rows, classes]."""
    with table.open(newline="") as file:
        rows = list(csv.DictReader(file))
    chances = [[float(row[key]) for key in row if key.startswith("p_")] for row in rows if row["status"] == "ok"]
    return [[Path(row["path"]).name, row["status"], row["label"]] for row in rows], np.array(chances)


@pytest.mark.parametrize("version", VERSIONS)
def test_the_command_works_and_answers_as_here(version, python, shades, answers, tmp_path):
    surroundings = bare(python, tmp_path)
    command = (python.with_name("fer-fast"), "classify", shades, "-o", tmp_path / "there.csv")
    call(*command, env=surroundings, cwd=tmp_path)
    rows, chances = read(tmp_path / "there.csv")
    assert rows == answers[0] and sorted(status for _, status, _ in rows) == [*["ok"] * 5, "unsupported"]
    np.testing.assert_allclose(chances, answers[1], atol=1e-6)
    assert "OpenVINO" in call(python.with_name("fer-fast"), "doctor", env=surroundings, cwd=tmp_path)
    told = "import importlib.util, fer_fast; print(importlib.util.find_spec('torch'), fer_fast.__file__)"
    torch, where = call(python, "-c", told, env=surroundings, cwd=tmp_path).split()
    assert torch == "None" and Path(where).is_relative_to(python.parent.parent)


@pytest.mark.parametrize("version", VERSIONS)
def test_the_demo_finds_the_faces_of_both_photos(version, python, tmp_path):
    said = call(python, ROOT / "examples" / "demo.py", env=bare(python, tmp_path), cwd=tmp_path)
    assert len(re.findall("face 0, ", said)) == 2 and "half_a_file.jpg" in said
    drawn = {path.name for path in (tmp_path / ".demo" / "drawn").rglob("*.*") if path.is_file()}
    assert len(drawn) == 2


@pytest.mark.parametrize("version", VERSIONS)
def test_other_linux_machines_can_take_it(version, python, tmp_path):
    """auditwheel refuses what needs libraries that not every Linux has; it must leave the native parts as they are."""
    tools = settings() | {"PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}
    call(sys.executable, "-m", "auditwheel", "repair", "--wheel-dir", tmp_path, wheel(version), env=tools)
    (repaired,) = tmp_path.glob("*.whl")
    assert re.search(r"-cp(\d+)-cp\1-manylinux_2_\d+_", repaired.name)
    assert native_parts(repaired) == native_parts(wheel(version))
    assert {Path(name).name.split(".")[0] for name in native_parts(repaired)} == {"_C", "libfer_fast"}


def native_parts(path: Path) -> dict[str, str]:
    """The digests of a wheel's libraries by their names."""
    with zipfile.ZipFile(path) as archive:
        names = [name for name in archive.namelist() if ".so" in Path(name).name]
        return {name: hashlib.sha256(archive.read(name)).hexdigest() for name in names}


@pytest.mark.parametrize("version", [THIS])
def test_torch_may_come_later(version, python, tmp_path):
    """The op is torch's as soon as there is a torch: this Python's, beside the wheel's package."""
    site = next((python.parent.parent / "lib").glob("python*/site-packages"))
    surroundings = settings() | {"PYTHONPATH": str(site), "PATH": "/nonexistent"}
    call(sys.executable, "-P", "-c", OP_OF_THE_WHEEL, site, env=surroundings, cwd=tmp_path)


@pytest.mark.parametrize("version", [THIS])
def test_a_strangers_program_classifies_by_the_library_in_it(version, python, tmp_path):
    """The library finds OpenVINO where pip puts it: beside this package."""
    told = "import fer_fast; print(fer_fast.cmake_prefix_path)"
    prefix = call(python, "-c", told, env=bare(python, tmp_path), cwd=tmp_path).strip()
    assert Path(prefix).is_relative_to(python.parent.parent)
    call("cmake", "-S", ROOT / "tests/cpp/consumer", "-B", tmp_path / "consumer", f"-DCMAKE_PREFIX_PATH={prefix}")
    call("cmake", "--build", tmp_path / "consumer", "--target", "classify")
    export = (python.with_name("fer-fast"), "export", "tiny", "--format", "openvino", "-o", tmp_path / "tiny.xml")
    call(*export, env=bare(python, tmp_path), cwd=tmp_path)
    said = call(
        tmp_path / "consumer" / "classify", tmp_path / "tiny.xml", os.devnull, tmp_path / "out.bin", env=settings()
    )
    assert "engine=openvino\n" in said


def test_the_sources_are_the_package_and_what_builds_it():
    names = call("tar", "tzf", sdist()).splitlines()
    tops = {name.split("/")[1] for name in names if name.count("/")}
    assert {"CMakeLists.txt", "csrc", "fer_fast", "pyproject.toml", "setup.py", "LICENSE", "NOTICE"} <= tops
    assert not tops & {"tests", "benchmarks", "docs", "examples"}
    assert not [name for name in names if name.endswith((".so", ".pyc", ".o"))]


@pytest.fixture
def sources(tmp_path):
    """A folder as people build in."""
    folder = tmp_path / "sources"
    folder.mkdir()
    call("tar", "xzf", sdist(), "--strip-components=1", "-C", folder)
    return folder


#: Stands for cmake, which takes a minute: of each component it installs an empty library.
CMAKE = """#!/bin/sh
for folder; do :; done
case "$*" in
  *"component python"*) mkdir -p "$folder/fer_fast" && : > "$folder/fer_fast/_C.so" ;;
  *"component cpp"*) mkdir -p "$folder/lib" && : > "$folder/lib/libfer_fast.so.1" ;;
esac
"""


def test_what_older_sources_left_is_not_in_the_wheel(sources, tmp_path):
    tag = f"cpython-{sys.version_info.major}{sys.version_info.minor}"
    stale = sources / "build" / f"lib.linux-{platform.machine()}-{tag}" / "fer_fast"
    stale.mkdir(parents=True)
    (stale / "gone.py").touch()
    (stale / "__init__.py").touch()
    packed = sources / "build" / f"bdist.linux-{platform.machine()}" / "wheel" / "fer_fast" / "other.py"
    packed.parent.mkdir(parents=True)
    packed.touch()  # by another Python, which builds meanwhile
    tools = tmp_path / "tools"
    tools.mkdir()
    (tools / "cmake").write_text(CMAKE)
    (tools / "cmake").chmod(0o755)
    command = (sys.executable, "setup.py", "--quiet", "bdist_wheel", "--dist-dir", tmp_path / "dist")
    call(*command, cwd=sources, env=settings() | {"PATH": f"{tools}{os.pathsep}{os.environ['PATH']}"})
    (built,) = (tmp_path / "dist").glob("*.whl")
    names = zipfile.ZipFile(built).namelist()
    assert {"fer_fast/_C.so", "fer_fast/cpp/lib/libfer_fast.so.1", "fer_fast/classifier.py"} <= set(names)
    assert not {"fer_fast/gone.py", "fer_fast/other.py"} & set(names)
    assert packed.is_file()


def test_cmake_args_have_the_last_word(sources):
    """Of setup.py: what somebody asks of CMake comes after what it asks for itself."""
    command = [sys.executable, "setup.py", "build_ext"]
    asked = settings() | {"CMAKE_ARGS": "-DFER_FAST_CUDA=never '-DCMAKE_CXX_FLAGS=-g -O0'", "FER_FAST_CUDA": "0"}
    done = subprocess.run(command, cwd=sources, env=asked, capture_output=True, text=True, check=False)
    assert done.returncode != 0 and 'FER_FAST_CUDA must be 0, 1 or auto, got "never"' in done.stderr
    (cache,) = sources.glob("build/*/CMakeCache.txt")
    assert re.search(r"^CMAKE_CXX_FLAGS:\w+=-g -O0$", cache.read_text(), re.MULTILINE)
