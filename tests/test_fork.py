"""A process that has classified forks: what its child may do, on the real engines, in processes of their own."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from tiny_models import save_image_model

SCRIPT = Path(__file__).with_name("forks.py")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("fork")
    save_image_model(folder / "model.safetensors")
    return folder


@pytest.mark.parametrize("engine", ["openvino", pytest.param("torch", marks=pytest.mark.needs_torch)])
@pytest.mark.parametrize("way", ["parents", "own", "compiled", "nothing"])
def test_child(folder, way, engine):
    command = [sys.executable, SCRIPT, way, engine, folder / "model.safetensors", "60"]
    environment = os.environ | {"FER_FAST_CACHE": str(folder / "cache"), "OMP_NUM_THREADS": "2"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=150)
    assert (done.returncode, done.stdout) == (0, "child ended with status 0\n"), done.stderr
