"""What training refuses, and how it says so."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
import torch
from drawn_data import draw_classes, draw_ferplus
from training_runs import STAGES, changed, complaint, draw_inputs, words

from fer_fast.cli import run
from fer_fast.train.run import Training


@pytest.fixture(scope="module")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    return draw_inputs(tmp_path_factory.mktemp("inputs"))


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"recipe": "no-such-recipe"}, "recipe must be a .toml file or one of: accurate, backbone, cnn-deep"),
        ({"--data": "no-such-folder"}, "data must be a folder; there is no 'no-such-folder'"),
        ({"--backbone": "no-such-file"}, "backbone must be a .safetensors or .pth file"),
        ({"--backbone": "", "--start": "no-such-model"}, "model must be a .safetensors file or one of"),
        ({"--backbone": "", "recipe": "tune"}, "start must be given: recipe 'tune' has no [model] of its own"),
        ({"--image-size": "48"}, "image_size must not be given without start: the recipe's [model] says it"),
        (
            {"--backbone": "", "--start": "cnn-deep", "--image-size": "64"},
            "image_size must be the model's 48 for architecture 'cnn', whose ",
        ),
        ({"--out": os.devnull}, "cannot be written"),
        pytest.param(
            {"--device": "cuda"},
            "device must be cpu where torch sees no GPU",
            marks=pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA card"),
        ),
    ],
    ids=["recipe", "data", "backbone", "start", "no start", "size", "start's size", "out", "device"],
)
def test_command_says_what_is_wrong(
    inputs: dict[str, str],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    changes: dict[str, str],
    expected: str,
) -> None:
    assert expected in complaint(words(inputs, {"--out": str(tmp_path)}, changes), capsys)


def test_command_without_arguments_is_a_usage_error(capsys: pytest.CaptureFixture[str]) -> None:
    for arguments in ([], ["fast", "--data", "x", "--out", "y", "--start", "fast", "--backbone", "z"]):
        with pytest.raises(SystemExit) as caught:
            run(["train", *arguments])
        assert caught.value.code == 2
    assert "--backbone: not allowed with argument --start" in capsys.readouterr().err


def test_data_that_cannot_be_trained_on(
    inputs: dict[str, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = {"--out": str(tmp_path / "out")}
    large = changed(tmp_path, ("batch_size = 8", "batch_size = 35"))
    said = complaint(words(inputs, large, out), capsys)
    assert "train must hold batch_size 35 labelled images or more" in said and "they hold 34 and 10" in said
    small = changed(tmp_path, (STAGES, "stages = [{ image_size = 32, epochs = 1 }]\n"))
    said = complaint(words(inputs, small, out), capsys)
    assert "the last stage must train at the model's image_size 40, not 32" in said
    draw_ferplus(tmp_path / "few", {"train": 34, "valid": 5})
    said = complaint(words(inputs, {"--data": str(tmp_path / "few")}, out), capsys)
    assert "data must hold an image of every class; by protocol argmax10 'disgust' has none" in said
    draw_classes(tmp_path / "parted" / "train", {"a": 5, "b": 5, "c": 5})
    draw_classes(tmp_path / "parted" / "valid", {"a": 2, "b": 2}, seed=1)
    said = complaint(words(inputs, {"--data": str(tmp_path / "parted")}, out), capsys)
    assert "train and valid must hold the same classes; 'c' is in one of them" in said
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    "error",
    [
        MemoryError("Unable to allocate 9 TiB"),
        RuntimeError("[enforce fail]\nDefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes."),
        torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 9 GiB"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_too_little_memory_is_one_sentence(
    inputs: dict[str, str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    error: Exception,
) -> None:
    def fail(*_: Any) -> None:
        raise error

    monkeypatch.setattr(Training, "_advance", fail)
    said = complaint(words(inputs, {"--out": str(tmp_path)}), capsys)
    assert "memory does not suffice; a smaller batch_size or image_size needs less: " in said


def test_a_bug_is_no_sentence(inputs: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: Any) -> None:
        raise RuntimeError("shapes do not match")

    monkeypatch.setattr(Training, "_advance", fail)
    with pytest.raises(RuntimeError, match="shapes do not match"):
        run(["train", *words(inputs, {"--out": str(tmp_path)})])
