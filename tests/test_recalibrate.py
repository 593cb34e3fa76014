"""`fer-fast recalibrate`: calibration leaves the weights alone, and wrong options are told."""

import re

import numpy as np
import pytest
from drawn_data import draw_classes
from tiny_models import random_model, tiny_config

from fer_fast.cli import run
from fer_fast.models.checkpoint import read_checkpoint
from fer_fast.models.storage import save_model

CLASSES = ("circle", "square")


@pytest.fixture
def made(tmp_path):
    """A checkpoint that is far too sure of itself, and faces of its classes."""
    model = random_model(tiny_config(sources=("image", "FM1"), classes=CLASSES, temperature=0.3))
    save_model(model, tmp_path / "model.safetensors")
    draw_classes(tmp_path / "data", dict.fromkeys(CLASSES, 300))
    return tmp_path


def test_weights_stay_and_the_rest_is_measured(made, monkeypatch):
    monkeypatch.setenv("FER_FAST_CACHE", str(made / "cache"))
    command = [str(made / "model.safetensors"), "--data", str(made / "data"), "--out", str(made / "new.safetensors")]
    assert run(["recalibrate", *command, "--views", "2"]) == 0
    old, new = (read_checkpoint(made / f"{name}.safetensors") for name in ("model", "new"))
    assert all(np.array_equal(new.tensors[name], old.tensors[name]) for name in old.tensors)
    assert new.config.flip_average and not old.config.flip_average
    assert new.config.temperature != old.config.temperature
    assert new.config.activation_ranges and "int8" in new.config.precision_falls


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"--out": "new.pt"}, "out must end in .safetensors, not 'new.pt'"),
        ({"--data": "nowhere"}, "nowhere"),
        ({"model": "fast"}, "data must have the model's classes, neutral, happiness,.* not circle, square"),
    ],
)
def test_wrong_options(made, capsys, monkeypatch, changes, words):
    monkeypatch.chdir(made)
    given = {"model": "model.safetensors", "--data": "data", "--out": "new.safetensors"} | changes
    assert run(["recalibrate", given["model"], "--data", given["--data"], "--out", given["--out"]]) == 2
    assert re.search(words, capsys.readouterr().err)
    assert not (made / "new.safetensors").exists()
