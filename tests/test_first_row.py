"""How a fresh process comes to its first row: what it does not import, what it reads meanwhile, what it starts."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from safetensors.numpy import load_file

from fer_fast import CheckpointError, Classifier
from fer_fast.engines.openvino_library import openvino
from fer_fast.machine.begun import begun
from fer_fast.models.files.checkpoint import begin_checkpoint, check_weights, read_checkpoint
from fer_fast.models.files.paths import checkpoint_path

#: What takes long to import, and is for other commands, other engines or errors.
HEAVY = ("torch", "matplotlib", "jinja2", "pyarrow", "onnx", "tqdm", "importlib.metadata", "openvino.tools.ovc")
#: Pillow's plugins for formats that are not read.
PLUGINS = ("PIL.PdfImagePlugin", "PIL.DdsImagePlugin")


@pytest.fixture
def face(tmp_path: Path) -> Path:
    path = tmp_path / "face.png"
    Image.fromarray(np.arange(48 * 48 * 3, dtype=np.uint8).reshape(48, 48, 3)).save(path)
    return path


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """The packaged model that is small, as a file of somebody's."""
    path = tmp_path / "model.safetensors"
    path.write_bytes(checkpoint_path("tiny").read_bytes())
    return path


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.setenv("FER_FAST_CACHE", str(tmp_path / "compiled"))
    yield tmp_path / "compiled"


def in_process(program: str, *arguments: object) -> str:
    command = [sys.executable, "-c", program, *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.needs_native
@pytest.mark.parametrize("faces", ["none", "all"])
def test_classify_imports_nothing_heavy(face: Path, faces: str) -> None:
    program = (
        "import sys; from fer_fast.cli.command import run; assert run(sys.argv[1:]) == 0; "
        f"print(sorted(set({HEAVY + PLUGINS!r}) & sys.modules.keys()))"
    )
    for _ in ("compiled", "read back"):
        lines = in_process(program, "classify", face, "--faces", faces, "--model", "tiny").splitlines()
        assert lines[0].startswith("path,status") and lines[-1] == "[]"


def test_damaged_weights_are_told_though_the_compiled_model_is_there(copy: Path, folder: Path) -> None:
    with Classifier(copy, engine="openvino", precision="fp32") as classifier:
        assert classifier.describe()["cache"] == "stored"
    with Classifier(copy, engine="openvino", precision="fp32") as classifier:
        assert classifier.describe()["cache"] == "hit"
    content = bytearray(copy.read_bytes())
    content[-1] ^= 1
    copy.write_bytes(content)
    with pytest.raises(CheckpointError, match=r"model\.safetensors' is damaged: its weights do not match their digest"):
        Classifier(copy, engine="openvino", precision="fp32")


def test_weights_that_are_damaged_are_never_handed_out(copy: Path) -> None:
    content = bytearray(copy.read_bytes())
    content[-1] ^= 1
    copy.write_bytes(content)
    begun_with = begin_checkpoint(copy)
    assert begun_with.config == read_checkpoint("tiny").config
    for look in (check_weights, lambda each: list(each.tensors), lambda each: each.tensors["vit.head.bias"]):
        with pytest.raises(CheckpointError, match="do not match their digest"):
            look(begun_with)


def test_weights_are_those_of_the_file() -> None:
    tensors = begin_checkpoint("tiny").tensors
    wanted = load_file(checkpoint_path("tiny"))
    assert len(tensors) == len(wanted) and set(tensors) == set(wanted)
    assert all(
        np.array_equal(tensors[name], wanted[name]) and tensors[name].dtype == wanted[name].dtype for name in wanted
    )


def test_a_checkpoint_that_is_read_at_once_takes_no_thread_and_can_be_sent() -> None:
    program = (
        "import pickle, threading; threading.Thread.start = None; "
        "from fer_fast.models.files.checkpoint import read_checkpoint; "
        "print(len(pickle.loads(pickle.dumps(read_checkpoint('tiny'))).tensors) > 50)"
    )
    assert in_process(program) == "True\n"


def test_what_is_begun_returns_and_raises() -> None:
    def fail() -> None:
        raise KeyError("lost")

    assert begun(lambda: 7, "test").result(10) == 7
    with pytest.raises(KeyError, match="lost"):
        begun(fail, "test").result(10)


def test_numpy_starts_no_threads_in_a_command() -> None:
    program = (
        "import os; from fer_fast.machine.blas import import_numpy; import_numpy(); import numpy; "
        "print(len(os.listdir('/proc/self/task')), 'OPENBLAS_NUM_THREADS' in os.environ)"
    )
    assert in_process(program) == "1 False\n"


def test_whoever_says_how_many_threads_numpy_has_is_heard(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENBLAS_NUM_THREADS", "2")
    program = (
        "import os; from fer_fast.machine.blas import import_numpy; import_numpy(); "
        "print(os.environ['OPENBLAS_NUM_THREADS'])"
    )
    assert in_process(program) == "2\n"
    assert os.environ["OPENBLAS_NUM_THREADS"] == "2"


def test_openvinos_converter_comes_when_it_is_asked_for() -> None:
    program = (
        "import sys, fer_fast.engines.openvino_library; print('openvino.tools.ovc' in sys.modules); "
        "from openvino import convert_model; print(callable(convert_model), 'openvino_telemetry' in sys.modules)"
    )
    assert in_process(program) == "False\nTrue False\n"
    program = (
        "import fer_fast.engines.openvino_library, openvino; "
        "print(openvino.tools.ovc.convert_model is openvino.convert_model)"
    )
    assert in_process(program) == "True\n"
    with pytest.raises(AttributeError, match="module 'openvino' has no attribute 'nothing'"):
        openvino.nothing  # noqa: B018
