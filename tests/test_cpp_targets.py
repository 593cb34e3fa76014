"""What of the C++ library knows no engine, for other machines: compiled by zig; for aarch64 run, too, under QEMU."""

from __future__ import annotations

import importlib.util
import re
import shutil
import sys

import numpy as np
import pytest
from cpp_programs import RESIZING, RGB, ROOT, photo, run, write_images

from fer_fast.decode import pixels_of

pytestmark = pytest.mark.skipif(
    importlib.util.find_spec("ziglang") is None,
    reason="ziglang is not installed: pip install ziglang, 101 MB, unpacked 413",
)
TARGETS = ("aarch64-linux-gnu", "aarch64-linux-musl", "aarch64-macos", "x86_64-windows-gnu")
#: Of csrc/classifier, what is an engine's, or asks Linux' loader.
NOT_THESE = ("card", "openvino_library", "tensorrt", "tensorrt_messages", "tensorrt_slot", "torch")
#: The fused op on a CPU, for any.
TOKENS = ("tokens", "threads", "cpu_level", "tokens_cpu")
FLAGS = ("-std=c++17", "-Wall", "-Wextra", "-Wno-psabi", "-ffp-contract=off", "-DFER_FAST_CPU_LEVEL_NAME=baseline")


@pytest.fixture(scope="module")
def zig(tmp_path_factory):
    """Runs zig's clang for a target, in a folder: fails on warnings, too."""
    headers = tmp_path_factory.mktemp("headers") / "fer_fast"
    headers.mkdir()
    version = (ROOT / "csrc/include/fer_fast/version.h.in").read_text()
    (headers / "version.h").write_text(re.sub(r"@\w+@", "0", version))
    folders = [f"-I{folder}" for folder in (headers.parent, ROOT / "csrc/include", ROOT / "csrc/faces")]

    def zig(target, *arguments, folder):
        command = (sys.executable, "-m", "ziglang", "c++", "-target", target, *FLAGS, *folders, *arguments)
        done = run(*command, cwd=folder, timeout=1800)
        assert "warning" not in done.stderr, done.stderr

    return zig


@pytest.mark.parametrize("target", TARGETS)
def test_sources_are_compiled(zig, target, tmp_path):
    sources = [path for path in (ROOT / "csrc/classifier").glob("*.cpp") if path.stem not in NOT_THESE]
    sources += [*(ROOT / "csrc/faces").glob("*.cpp"), *(ROOT / f"csrc/tokens/{name}.cpp" for name in TOKENS)]
    assert len(sources) > 25
    for source in sources:
        zig(target, "-Dfer_fast_classifier_EXPORTS", "-c", source, "-o", "object", folder=tmp_path)
    zig(target, "-c", ROOT / "tests/cpp/consumer/misuse.cpp", "-o", "object", folder=tmp_path)  # of who links it


@pytest.mark.skipif(shutil.which("qemu-aarch64") is None, reason="there is no qemu-aarch64")
def test_on_aarch64_pixels_are_pillows_and_tokens_right(zig, tmp_path):
    resize = [ROOT / "tests/cpp/resize.cpp", *(ROOT / f"csrc/{name}.cpp" for name in RESIZING)]
    tokens = [ROOT / "tests/cpp/consumer/tokens.cpp", *(ROOT / f"csrc/tokens/{name}.cpp" for name in TOKENS)]
    for name, sources in (("resize", resize), ("tokens", tokens)):
        zig("aarch64-linux-musl", "-O2", *sources, "-o", name, folder=tmp_path)
    run("qemu-aarch64", tmp_path / "tokens")
    rng, side = np.random.default_rng(5), 56
    arrays = [photo(rng, *(int(number) for number in rng.integers(1, 400, 2))) for _ in range(20)]
    write_images(tmp_path / "images.bin", [(array, RGB, 0) for array in arrays])
    run("qemu-aarch64", tmp_path / "resize", side, side, tmp_path / "images.bin", tmp_path / "squares.bin")
    found = np.fromfile(tmp_path / "squares.bin", np.uint8).reshape(len(arrays), side, side, 3)
    for array, square in zip(arrays, found, strict=True):
        np.testing.assert_array_equal(square, pixels_of(array, side), err_msg=str(array.shape))
