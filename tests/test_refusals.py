"""What is wrong with the options of any command is said before anything heavy is loaded, and before images are read."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from drawn_data import draw_classes

#: Each command line of a list by itself, without torch, kornia, OpenVINO and matplotlib.
PROGRAM = """
import contextlib, io, json, sys
for heavy in ("torch", "kornia", "openvino", "matplotlib.figure"):
    sys.modules[heavy] = None
from fer_fast.cli import run
answers = []
for words in json.load(sys.stdin):
    said = io.StringIO()
    try:
        with contextlib.redirect_stderr(said):
            answers.append((run(words.split()), said.getvalue()))
    except (ImportError, SystemExit) as error:
        answers.append((-1, str(error)))
print(json.dumps(answers))
"""
CASES = {
    "evaluate nothing data": "model must be a .safetensors file, an export or one of",
    "evaluate tiny nowhere": "data must be a folder; there is no 'nowhere'",
    "evaluate tiny data --engine onnx": "engine must be one of auto, openvino",
    "evaluate tiny data --precision fp8": "precision must be one of auto, fp32",
    "evaluate tiny data --device tpu": "device must be one of auto, cpu",
    "evaluate tiny data --split dev": "split must be one of train, valid, test or all",
    "evaluate tiny data --json nowhere/scores.json": "the folder of the output 'nowhere/scores.json' does not exist",
    "evaluate tiny data --hard --faces all": "--hard must not be given with --faces",
    "recalibrate tiny --data data --out out.safetensors": "data must have the model's classes, neutral, happiness",
    "recalibrate tiny --data data --out out.safetensors --hard": "--hard must be given with a training split; 'data'",
    "recalibrate nothing --data data --out out.safetensors": "model must be a .safetensors file or one of",
    "recalibrate tiny --data nowhere --out out.safetensors": "data must be a folder; there is no 'nowhere'",
    "recalibrate tiny --data data --out out.safetensors --protocol x": "protocol must be one of argmax10",
    "train nothing --data data --out run": "recipe must be a .toml file or one of",
    "train fast --data nowhere --out run": "data must be a folder; there is no 'nowhere'",
    "train fast --data data --out run --backbone nothing": "backbone must be a .safetensors or .pth file; there is no",
    "train tune --data data --out run": "start must be given",
    "train tune --data data --out run --start nothing": "model must be a .safetensors file or one of",
    "train fast --data data --out run --teacher tiny": "teacher must be given if and only if",
    "tables --data nowhere --out run": "data must be a folder; there is no 'nowhere'",
    "tables --data data --out run --recipe nothing": "recipe must be a .toml file or one of",
    "tables --data data --out run --backbone nothing": "backbone must be a .safetensors or .pth file; there is no",
    "tables --data data --out run --published nothing": "nothing",
    "bench --model nothing": "model must be a .safetensors file or one of",
    "bench --images nowhere": "--images must be a folder; there is no 'nowhere'",
    "bench --compare nowhere": "nowhere",
    "export nothing --format onnx": "model must be a .safetensors or .onnx file or one of",
    "visualize nowhere.png": "'nowhere.png' does not exist",
    f"visualize {'a' * 300}.png": "cannot be read: File name too long",
    f"classify {'a' * 300}.png": "cannot be read: File name too long",
    f"classify data/a/000.png --model {'a' * 300}": "cannot be read: File name too long",
    f"watch {'a' * 300}.mp4": "cannot be read: File name too long",
    "visualize data/a/000.png --model nothing": "model must be a .safetensors file or one of",
}


@pytest.fixture(scope="module")
def answers(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[int, str]]:
    folder = tmp_path_factory.mktemp("refusals")
    draw_classes(folder / "data", {"a": 2, "b": 2})
    before = sorted(folder.rglob("*"))
    command = [sys.executable, "-c", PROGRAM]
    done = subprocess.run(
        command, input=json.dumps([*CASES]), cwd=folder, capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr
    assert sorted(Path(folder).rglob("*")) == before
    return dict(zip(CASES, json.loads(done.stdout), strict=True))


@pytest.mark.parametrize("words", CASES)
def test_it_is_one_sentence_and_two(words: str, answers: dict[str, tuple[int, str]]) -> None:
    status, said = answers[words]
    assert status == 2 and said.startswith("fer-fast: ") and said.count("\n") == 1
    assert CASES[words] in said
