"""Runs that are stopped, killed, or cannot save: the same command goes on, and ends as an unbroken run does."""

from __future__ import annotations

import csv
import errno
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from drawn_data import RECIPE, draw_backbone, draw_ferplus, last_sentence
from PIL import Image

from fer_fast.cli import run
from fer_fast.cli import train as command
from fer_fast.models.files.checkpoint import read_checkpoint
from fer_fast.train import calibrate, record
from fer_fast.train import run as run_module

STEPS = ["4", "7", "11"]  # 34 images in batches of 8: an epoch, three steps, an epoch


@pytest.fixture(scope="module", autouse=True)
def nothing_compiled() -> Iterator[None]:
    """Without the precisions' costs, which six compiled models a run would be needed for."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(run_module, "measure_falls", lambda *_: {})
        patch.setattr(calibrate, "ENOUGH", 1)
        yield


@pytest.fixture(scope="module")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """Everything on the command line but --out."""
    folder = tmp_path_factory.mktemp("inputs")
    (folder / "recipe.toml").write_text(RECIPE)
    data = draw_ferplus(folder / "data", {"train": 34, "valid": 10})
    backbone = draw_backbone(folder / "backbone.safetensors", taps=("FM1",))
    return [str(folder / "recipe.toml"), "--data", str(data), "--backbone", str(backbone)]


@pytest.fixture(scope="module")
def unbroken(inputs: list[str], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a run that nothing interrupted."""
    out = tmp_path_factory.mktemp("unbroken")
    assert run(["train", *inputs, "--out", str(out)]) == 0
    assert [row["step"] for row in logged(out)] == STEPS
    return out


def logged(out: Path) -> list[dict[str, str]]:
    """The rows of a log without the speed, which no run repeats."""
    with (out / "log.csv").open(newline="") as file:
        return [{name: value for name, value in row.items() if "second" not in name} for row in csv.DictReader(file)]


def assert_same_run(out: Path, unbroken: Path) -> None:
    assert logged(out) == logged(unbroken)
    for name in ("best.safetensors", "last.safetensors"):
        # Not the files' bytes: safetensors writes the metadata's keys in random order.
        assert read_checkpoint(out / name).digest == read_checkpoint(unbroken / name).digest
    assert (out / "backbone.safetensors").read_bytes() == (unbroken / "backbone.safetensors").read_bytes()
    assert not list(out.glob("*.partial"))


@pytest.mark.parametrize(
    ("row", "save_seconds"),
    [(1, 1e9), (3, 1e9), (3, -1.0)],  # negative: saved after each step
    ids=["nothing saved", "an epoch lost", "a step lost"],
)
def test_stopped_run_ends_as_the_unbroken_one(
    row: int,
    save_seconds: float,
    inputs: list[str],
    tmp_path: Path,
    unbroken: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    reported: list[dict[str, Any]] = []

    def report(values: dict[str, Any]) -> None:
        reported.append(values)
        if len(reported) == row:
            raise KeyboardInterrupt  # logged, but not yet saved

    with monkeypatch.context() as patch:
        patch.setattr(run_module, "SAVE_SECONDS", save_seconds)
        patch.setattr(command, "_print_row", report)
        assert run(["train", *inputs, "--out", str(tmp_path)]) == 130
    goes_on = "the same command goes on from the last saved state"
    anew = "no state was saved yet: the same command starts anew"
    said = f"fer-fast: stopped; {goes_on if row > 1 else anew}\n"
    assert last_sentence(capsys.readouterr().err, "fer-fast") == said
    assert len(logged(tmp_path)) == row
    assert (tmp_path / "state.pt").exists() == (row > 1)
    assert not (tmp_path / "last.safetensors").exists()
    assert run(["train", *inputs, "--out", str(tmp_path)]) == 0
    assert_same_run(tmp_path, unbroken)
    capsys.readouterr()
    assert run(["train", *inputs, "--out", str(tmp_path)]) == 0
    assert capsys.readouterr().out == "", "a finished run has no step left"
    best = torch.load(tmp_path / "state.pt", weights_only=True)["best"][0]
    assert best == pytest.approx(float(logged(tmp_path)[-1]["valid_accuracy"]), abs=1e-4)
    assert_same_run(tmp_path, unbroken)


def test_killed_run_ends_as_the_unbroken_one(inputs: list[str], tmp_path: Path, unbroken: Path) -> None:
    code = (
        "import os, signal, sys, torch; from fer_fast import cli; from fer_fast.train import run; "
        "torch.set_num_threads(1); run.SAVE_SECONDS = -1; step = run.Training._advance; "
        "run.Training._advance = lambda self, now: "
        "os.kill(os.getpid(), signal.SIGKILL) if now.number == 9 else step(self, now); "
        "cli.run(['train', *sys.argv[1:]])"
    )
    arguments = [*inputs, "--out", str(tmp_path)]
    killed = subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, text=True)
    assert killed.returncode == -signal.SIGKILL
    assert [line.split()[:4] for line in killed.stdout.splitlines()] == [
        ["step", "4", "epoch", "1"],
        ["step", "7", "epoch", "2"],
    ]
    state = torch.load(tmp_path / "state.pt", weights_only=True)
    assert (state["done"], len(state["losses"]), state["best"][0]) == (9, 2, -1.0), "no epoch at the model's size yet"
    assert run(["train", *arguments]) == 0
    assert_same_run(tmp_path, unbroken)


def complaint(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    """The one line that a command that fails says."""
    capsys.readouterr()
    assert run(["train", *arguments]) == 2
    return last_sentence(capsys.readouterr().err, "fer-fast")


def test_full_disk_keeps_what_was_saved(
    inputs: list[str],
    tmp_path: Path,
    unbroken: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    saved: list[bytes] = []
    write = record.write_whole

    def write_one_state(path: Path, data: bytes) -> None:
        if path.name == "state.pt":
            if saved:
                raise OSError(errno.ENOSPC, "No space left on device")
            saved.append(data)
        write(path, data)

    arguments = [*inputs, "--out", str(tmp_path)]
    with monkeypatch.context() as patch:
        patch.setattr(record, "write_whole", write_one_state)
        said = complaint(arguments, capsys)
    assert "state.pt' cannot be written; what was saved before is kept: [Errno 28] No space left on device" in said
    assert (tmp_path / "state.pt").read_bytes() == saved[0]
    assert not list(tmp_path.glob("*.partial"))
    assert run(["train", *arguments]) == 0
    assert_same_run(tmp_path, unbroken)


def test_loss_that_is_not_finite_leaves_what_was_saved(
    inputs: list[str],
    tmp_path: Path,
    unbroken: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    losses: list[float] = []
    honest = run_module.weighted_loss

    def loss(*given: Any) -> torch.Tensor:
        value = honest(*given)
        losses.append(value.item())
        return value * float("nan") if len(losses) == 6 else value

    arguments = [*inputs, "--out", str(tmp_path)]
    monkeypatch.setattr(run_module, "weighted_loss", loss)
    assert "the loss is nan at step 5: lower the learning rate" in complaint(arguments, capsys)
    assert torch.load(tmp_path / "state.pt", weights_only=True)["done"] == 4
    assert run(["train", *arguments]) == 0
    assert_same_run(tmp_path, unbroken)
    rows = (losses[:4], losses[6:9], losses[9:])  # those of the step before and of the failed step were not kept
    means = [round(sum(row) / len(row), 4) for row in rows]
    assert [float(row["loss"]) for row in logged(tmp_path)] == means


def test_folder_of_another_run_is_refused(
    inputs: list[str], tmp_path: Path, unbroken: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = {path.name: path.read_bytes() for path in unbroken.iterdir()}
    other = tmp_path / "other.toml"
    other.write_text(RECIPE.replace("seed = 7", "seed = 8"))
    said = complaint([str(other), *inputs[1:], "--out", str(unbroken)], capsys)
    assert (
        "out must be a new folder" in said
        and "holds a run of another recipe, of other data, or from another start" in said
    )
    # The same recipe, but another start, other pixels to learn from, other faces to be judged by.
    start = ["--start", str(unbroken / "last.safetensors")]
    face = np.full((48, 48), 90, np.uint8)
    changes = [[*inputs[:3], *start]]
    for place in ("FER2013Train/train003.png", "FER2013Valid/valid003.png"):
        data = Path(shutil.copytree(inputs[2], tmp_path / place.partition("/")[0]))
        Image.fromarray(face).save(data / place)
        changes.append([inputs[0], "--data", str(data), *inputs[3:]])
    for changed in changes:
        assert "or from another start" in complaint([*changed, "--out", str(unbroken)], capsys)
    assert {path.name: path.read_bytes() for path in unbroken.iterdir()} == before


@pytest.mark.parametrize("kept", [0, 5000])
def test_damaged_state_is_told(
    kept: int, inputs: list[str], tmp_path: Path, unbroken: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "state.pt").write_bytes((unbroken / "state.pt").read_bytes()[:kept])
    said = complaint([*inputs, "--out", str(tmp_path)], capsys)
    assert "state.pt' is damaged; a run without it starts anew" in said
