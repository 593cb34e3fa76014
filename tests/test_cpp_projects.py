"""A stranger's project, which finds the C++ library by each of the ways of docs/cpp.md, or has it in it."""

from __future__ import annotations

import os
import re
import shutil
import tarfile

import pytest
from cpp_programs import ROOT, build, run

pytestmark = pytest.mark.long
#: What the library is built of.
SOURCES = ("CMakeLists.txt", "pyproject.toml", "csrc")
PROGRAM = """
#include <fer_fast/classifier.h>
#include <iostream>
int main() {
  try {
    fer_fast::Classifier("nowhere.xml");
  } catch (const fer_fast::Error& error) {
    std::cout << error.what();
  }
}
"""
SAID = "the model's file 'nowhere.xml' cannot be read: No such file or directory"
C_PROGRAM = """
#include <fer_fast/fer_fast.h>
#include <stdio.h>
int main(void) { return puts(fer_fast_version()) < 0; }
"""


@pytest.fixture(scope="module")
def page():
    """The blocks of the page's section, by language."""
    section = (ROOT / "docs/cpp.md").read_text().partition("## In your build\n")[2].partition("\n## ")[0]
    return dict(re.findall(r"```(sh|cmake)\n(.*?)```", section, re.DOTALL))


@pytest.fixture
def sources(tmp_path):
    """A folder with what the page says is all that is needed."""
    folder = tmp_path / "fer_fast-0"
    for name in SOURCES:
        copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copy
        folder.mkdir(exist_ok=True)
        copy(ROOT / name, folder / name)
    return folder


def files_in(folder):
    return {path.name for path in folder.rglob("*") if path.is_file()}


@pytest.mark.skipif(shutil.which("pkg-config") is None, reason="there is no pkg-config")
def test_pkg_config_finds_a_prefix_that_was_moved(page, prefix, tmp_path):
    moved = tmp_path / "moved"
    shutil.copytree(prefix, moved, symlinks=True)
    (library,) = moved.glob("lib*/libfer_fast.so")
    (tmp_path / "camera.cpp").write_text(PROGRAM)
    (tmp_path / "version.c").write_text(C_PROGRAM)
    found = os.environ | {"PKG_CONFIG_PATH": str(library.parent / "pkgconfig")}
    commands = page["sh"].partition("\n")[2]
    run("sh", "-euc", commands, cwd=tmp_path, env=found)
    assert run(tmp_path / "camera").stdout == SAID
    assert f"{moved}/" in run("ldd", tmp_path / "camera").stdout
    run(
        "sh",
        "-euc",
        re.sub(r"c\+\+ -std=c\+\+17 camera.cpp -o camera", "cc version.c -o version", commands),
        cwd=tmp_path,
        env=found,
    )
    version = run(tmp_path / "version").stdout.strip()
    assert run("pkg-config", "--modversion", "fer_fast", env=found).stdout.strip() == version
    needed = set(re.findall(r"NEEDED.*\[lib(\w+)", run("readelf", "-d", library).stdout))
    told = run("pkg-config", "--static", "--libs", "fer_fast", env=found).stdout.split()
    assert told[-3:] == ["-lfer_fast", "-pthread", "-ldl"] and needed <= {
        "dl",
        "pthread",
        "stdc",
        "m",
        "gcc_s",
        "c",
        "ld",
    }


def test_a_project_fetches_an_archive_and_ships_the_library(page, sources, tmp_path):
    project = tmp_path / "project"
    project.mkdir()
    with tarfile.open(project / "fer_fast.tar.gz", "w:gz") as archive:
        archive.add(sources, sources.name)
    (project / "CMakeLists.txt").write_text(page["cmake"])
    (project / "camera.cpp").write_text(PROGRAM)
    folder = build(project, tmp_path / "build", "-DCMAKE_BUILD_TYPE=Debug")
    assert run(folder / "camera").stdout == SAID
    run("cmake", "--install", folder, "--prefix", tmp_path / "shipped")
    assert files_in(tmp_path / "shipped") - {"camera"} == {
        path.name for path in (tmp_path / "shipped").glob("libfer_fast.so*")
    }
    shutil.rmtree(folder)
    assert run(tmp_path / "shipped" / "camera").stdout == SAID


#: A project with the sources in a folder of its own.
SUPERPROJECT = """
cmake_minimum_required(VERSION 3.25)
project(camera LANGUAGES CXX)
add_subdirectory(fer_fast-0)
add_executable(camera camera.cpp)
target_link_libraries(camera PRIVATE fer_fast::classifier)
install(TARGETS camera DESTINATION bin)
"""


def test_a_superproject_installs_its_own_alone_unless_it_asks(sources, tmp_path):
    (tmp_path / "CMakeLists.txt").write_text(SUPERPROJECT)
    (tmp_path / "camera.cpp").write_text(PROGRAM)
    folder = build(tmp_path, tmp_path / "build", "-DCMAKE_BUILD_TYPE=Debug")
    assert run(folder / "camera").stdout == SAID
    run("cmake", "--install", folder, "--prefix", tmp_path / "own")
    assert files_in(tmp_path / "own") == {"camera"}
    run("cmake", folder, "-DFER_FAST_INSTALL=ON")
    run("cmake", "--install", folder, "--prefix", tmp_path / "asked", "--component", "cpp")
    found = files_in(tmp_path / "asked")
    assert {"classifier.h", "version.h", "fer_fast-config.cmake", "fer_fast.pc", "libfer_fast_tokens.a"} <= found
    assert "camera" not in found
