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
from fer_fast.cli.resumable import alone
from fer_fast.train.record import load_state, save_state
from fer_fast.train.run import Training
from fer_fast.types import FerFastError


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
        (
            {"--backbone": "", "recipe": "tune", "--start": "accurate"},
            "start must be of an architecture that is trained, not",
        ),
        ({"--backbone": "", "recipe": "tune"}, "start must be given: recipe 'tune' has no [model] of its own"),
        ({"--image-size": "48"}, "image_size must not be given without start: the recipe's [model] says it"),
        (
            {"--backbone": "", "--start": "cnn-deep", "--image-size": "64"},
            "image_size must be the model's 48 for architecture 'cnn', whose ",
        ),
        ({"--out": os.devnull}, f"out must be a folder; {os.devnull!r} is none"),
        ({"--out": f"{os.devnull}/run"}, f"out '{os.devnull}/run' cannot be written: Not a directory"),
        pytest.param(
            {"--device": "cuda"},
            "device must be cpu where torch sees no GPU",
            marks=pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA card"),
        ),
    ],
    ids=[
        *(
            "recipe",
            "data",
            "backbone",
            "start",
            "ensemble",
            "no start",
            "size",
            "start's size",
            "out",
            "out in a file",
        ),
        "device",
    ],
)
def test_command_says_what_is_wrong(
    inputs: dict[str, str],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    changes: dict[str, str],
    expected: str,
) -> None:
    assert expected in complaint(words(inputs, {"--out": str(tmp_path)}, changes), capsys)


@pytest.mark.parametrize(
    ("model", "name", "expected"),
    [
        ("", "dlib.dat", "start must be a packaged model or a .safetensors checkpoint, not "),
        (
            'architecture = "face-resnet"\n',
            "nsfwjs.tgz",
            "start must be a packaged model or a .safetensors checkpoint or, for the recipe's 'face-resnet', a .dat "
            "file, not ",
        ),
    ],
)
def test_what_a_run_cannot_start_from(
    inputs: dict[str, str], tmp_path: Path, capsys: pytest.CaptureFixture[str], model: str, name: str, expected: str
) -> None:
    (tmp_path / name).write_bytes(b"of another program")
    (tmp_path / "recipe.toml").write_text(f"stages = [{{ steps = 1 }}]\nlearning_rate = 1e-3\n[model]\n{model}")
    options = {"recipe": str(tmp_path / "recipe.toml"), "--backbone": "", "--start": str(tmp_path / name)}
    said = complaint(words(inputs, options, {"--out": str(tmp_path / "out")}), capsys)
    assert said == f"fer-fast: {expected}{str(tmp_path / name)!r}\n"


def test_a_start_of_another_architecture_than_the_recipe_says(
    inputs: dict[str, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text = 'stages = [{ steps = 1 }]\nlearning_rate = 1e-3\n[model]\narchitecture = "cnn"\n'
    (tmp_path / "recipe.toml").write_text(text)
    options = {"recipe": str(tmp_path / "recipe.toml"), "--backbone": "", "--start": "tiny"}
    said = complaint(words(inputs, options, {"--out": str(tmp_path / "out")}), capsys)
    assert said == "fer-fast: start must be of the recipe's architecture, 'cnn', not 'fusion'\n"


def test_a_run_among_the_classes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """It would be one of them when the run goes on."""
    data = draw_classes(tmp_path / "faces", {"no": 5, "yes": 5})
    for option in ("--out", "--features"):
        options = {"recipe": "tune", "--start": "tiny", "--data": str(data), "--out": str(tmp_path / "out")}
        said = complaint(words(options, {option: str(data / "run")}), capsys)
        assert f"{option[2:]} must not be among the classes of data" in said
    assert not (data / "run").exists()


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ([1], "is damaged; a run without it starts anew: it is no run's"),
        ({"done": 3}, "is damaged; a run without it starts anew: it is no run's"),
        ({"run": "another", "done": 3}, "out must be a new folder"),
        (b"hello", "is damaged; a run without it starts anew: "),
        (b"", "is damaged; a run without it starts anew: "),
    ],
    ids=str,
)
def test_a_state_of_somebody_else(
    inputs: dict[str, str], tmp_path: Path, capsys: pytest.CaptureFixture[str], content: object, told: str
) -> None:
    if isinstance(content, bytes):
        (tmp_path / "state.pt").write_bytes(content)
    else:
        torch.save(content, tmp_path / "state.pt")
    assert told in complaint(words(inputs, {"--out": str(tmp_path)}), capsys)


def test_a_bit_that_changed_in_a_state_is_found(tmp_path: Path) -> None:
    """torch reads on, and a run would go on from other weights than it had."""
    save_state(tmp_path / "state.pt", {"run": "this", "done": 3, "live": {"weight": torch.arange(1000)}})
    content = bytearray((tmp_path / "state.pt").read_bytes())
    content[len(content) // 2] ^= 4
    (tmp_path / "state.pt").write_bytes(content)
    assert not torch.equal(torch.load(tmp_path / "state.pt")["live"]["weight"], torch.arange(1000))
    with pytest.raises(FerFastError, match="in it changed since it was written"):
        load_state(tmp_path / "state.pt", "this", "data", ("done", "live"))


def test_a_state_without_a_part_is_not_gone_on_from(tmp_path: Path) -> None:
    """Its weights would be those at the start, and its steps those that were done."""
    save_state(tmp_path / "state.pt", {"run": "this", "done": 3, "optimizer": {}})
    assert load_state(tmp_path / "state.pt", "this", "data", ("done", "optimizer")) == {"done": 3, "optimizer": {}}
    with pytest.raises(FerFastError, match="a run without it starts anew: it is not whole"):
        load_state(tmp_path / "state.pt", "this", "data", ("done", "optimizer", "live"))


@pytest.mark.parametrize("content", [b"file,label\na,b\n", b"\xff\xfe\x00"], ids=["columns", "bytes"])
def test_a_log_of_somebody_else_is_not_written_over(
    inputs: dict[str, str], tmp_path: Path, capsys: pytest.CaptureFixture[str], content: bytes
) -> None:
    (tmp_path / "log.csv").write_bytes(content)
    said = complaint(words(inputs, {"--out": str(tmp_path)}), capsys)
    assert "out must be a new folder: " in said and "log.csv' is no log of a run: " in said
    assert (tmp_path / "log.csv").read_bytes() == content


def test_two_runs_do_not_write_into_one_folder(
    inputs: dict[str, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Of two that begin at the same time neither finds a state that would tell them apart."""
    with alone(tmp_path / "run"):
        said = complaint(words(inputs, {"--out": str(tmp_path / "run")}), capsys)
        assert said == f"fer-fast: another run is writing {str(tmp_path / 'run')!r}\n"
    assert not any((tmp_path / "run").iterdir())
    with alone(tmp_path / "run"):
        pass  # the one before has let go


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
