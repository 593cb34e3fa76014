"""Decides the markers: what a machine lacks is skipped with the reason, or fails where FER_FAST_REQUIRE_CUDA=1.

And what tests of the command share: a folder of faces, and the command in this process or in one of its own.
"""

from __future__ import annotations

import importlib.util
import logging
import os
import secrets
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from skipped_whole import missing_for
from workers import (  # noqa: F401 (hooks)
    once,
    pytest_collection_modifyitems,
    pytest_xdist_auto_num_workers,
    pytest_xdist_make_scheduler,
)

import fer_fast
from fer_fast.machine.extras import is_installed

# Where a machine has no CMake and no ninja of its own, those of this environment do.
os.environ["PATH"] = os.pathsep.join([os.environ.get("PATH", os.defpath), str(Path(sys.executable).parent)])
# Ray reads these once, when a process first imports it, and without them writes a token of its own to ~/.ray.
os.environ |= {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": secrets.token_hex(32)}


def _missing_torch() -> str | None:
    return None if importlib.util.find_spec("torch") is not None else "torch is not installed"


def _missing_cuda() -> str | None:
    if missing := _missing_torch():
        return missing
    import torch

    return None if torch.cuda.is_available() else "no CUDA device"


def _missing_dali() -> str | None:
    return None if is_installed("nvidia.dali") else "NVIDIA DALI is not installed"


def _missing_nvimagecodec() -> str | None:
    return None if is_installed("nvidia.nvimgcodec") else "nvImageCodec is not installed"


def _missing_tensorrt() -> str | None:
    return None if importlib.util.find_spec("tensorrt") is not None else "TensorRT is not installed"


def _missing_native() -> str | None:
    found = importlib.util.find_spec("fer_fast._C") is not None
    return None if found else "the native part is not built for this Python"


_MISSING = {
    "needs_native": _missing_native,
    "needs_torch": _missing_torch,
    "needs_cuda": _missing_cuda,
    "needs_dali": _missing_dali,
    "needs_nvimagecodec": _missing_nvimagecodec,
    "needs_tensorrt": _missing_tensorrt,
}


def pytest_report_header() -> str:
    return f"fer_fast of {Path(fer_fast.__file__).parent}"


class _SkippedWhole(pytest.Module):
    """A test file that is not imported: what it is about is not installed."""

    def collect(self) -> Iterator[Any]:
        pytest.skip(f"{self.path.name}: {missing_for(self.path)}", allow_module_level=True)


def pytest_pycollect_makemodule(module_path: Path, parent: Any) -> pytest.Module | None:
    return _SkippedWhole.from_parent(parent, path=module_path) if missing_for(module_path) else None


def pytest_runtest_setup(item: pytest.Item) -> None:
    for marker, missing in _MISSING.items():
        if item.get_closest_marker(marker) is None:
            continue
        reason = missing()
        if reason is None:
            continue
        # DALI and TensorRT may be missing where there is a card; what then was not run is in pytest's summary.
        if marker == "needs_cuda" and os.environ.get("FER_FAST_REQUIRE_CUDA") == "1":
            pytest.fail(f"FER_FAST_REQUIRE_CUDA=1, but {reason}", pytrace=False)
        pytest.skip(reason)


@pytest.fixture(autouse=True)
def _threads_of_before() -> None:
    from threads_left import begin

    begin()


@pytest.fixture(autouse=True)
def _log_as_it_was() -> Iterator[None]:
    """A command that a test runs in this process says what the package logs, and where: not to the next test.

    Nor what a fixture of many tests runs, nor a library that switches loggers off when it sets up its own.
    """
    logger = logging.getLogger("fer_fast")
    logger.setLevel(logging.NOTSET)
    logger.handlers.clear()
    for name in [name for name in logging.root.manager.loggerDict if name.split(".")[0] == "fer_fast"]:
        logging.getLogger(name).disabled = False
    yield
    logger.setLevel(logging.NOTSET)
    logger.handlers.clear()


@pytest.fixture
def interruptible() -> Iterator[None]:
    """SIGINT is a KeyboardInterrupt here, too, where a shell that runs the tests beside it had them ignore it."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.fixture(scope="module")
def shades(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A hundred images of the shades 0 to 99, and a file that is called as one."""
    from shades import save_shade

    folder = tmp_path_factory.mktemp("cli") / "faces"
    folder.mkdir()
    for number in range(100):
        save_shade(folder / f"{number:03}.png", number)
    (folder / "050-bad,\n.png").write_text("no image")
    return folder


@pytest.fixture
def start() -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """Starts the command in a process of its own (`command_runs.started`), which does not outlive its test."""
    from command_runs import started

    processes = []

    def start(*arguments: Any, **options: Any) -> subprocess.Popen[str]:
        processes.append(started(*arguments, **options))
        return processes[-1]

    yield start
    for process in processes:
        process.kill()
        process.communicate()


@pytest.fixture
def ended(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str, str]]:
    """Runs the command in this process; gives its status, output and errors."""
    from shades import ShadeClassifier

    from fer_fast.cli import run

    def ended(*arguments: Any, **options: Any) -> tuple[int, str, str]:
        monkeypatch.setattr("fer_fast.pipeline.opening._open", lambda given: ShadeClassifier(**given, **options))
        status = run(["classify", *map(str, arguments)])
        said = capsys.readouterr()
        return status, said.out, said.err

    return ended


@pytest.fixture(scope="session")
def shim(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """The CUDA kernel's body, compiled for the host (`token_witnesses.Shim`)."""
    from token_witnesses import Shim, compile_shim

    return Shim(once(tmp_path_factory, "shim", compile_shim))


@pytest.fixture(scope="session")
def prefix(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the C++ library is installed."""
    from cpp_programs import OPENVINO, install

    options = [f"-DFER_FAST_OPENVINO_DIR={OPENVINO}"]
    return once(tmp_path_factory, "cpp", lambda folder: install(folder, *options)) / "prefix"


@pytest.fixture(scope="session", params=["address,undefined", "thread"])
def sanitized(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Path]:
    """Sanitizers, and the folder where the C++ library is built with them (build) and installed (prefix)."""
    from cpp_programs import LITTLE_OPTIMISED, OPENVINO, install

    options = [f"-DFER_FAST_OPENVINO_DIR={OPENVINO}", f"-DFER_FAST_SANITIZE={request.param}", LITTLE_OPTIMISED]
    options.append("-DCMAKE_COMPILE_WARNING_AS_ERROR=ON")
    name = request.param.replace(",", "-")
    return request.param, once(tmp_path_factory, name, lambda folder: install(folder, *options))


@pytest.fixture(scope="session")
def consumer(prefix: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a stranger's programs, built against that."""
    from cpp_programs import build_consumer

    return once(tmp_path_factory, "consumer", lambda folder: build_consumer(folder, prefix))
