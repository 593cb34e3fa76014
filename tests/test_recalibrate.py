"""`fer-fast recalibrate`: calibration leaves the weights alone, and wrong options are told."""

import re

import numpy as np
import pytest
from drawn_data import draw_classes
from tiny_models import image_config, random_model, tiny_config

from fer_fast.cli import run
from fer_fast.models.files.checkpoint import read_checkpoint
from fer_fast.models.files.storage import save_model

CLASSES = ("circle", "square")


@pytest.fixture
def made(tmp_path):
    """A checkpoint that is far too sure of itself, and faces of its classes."""
    model = random_model(tiny_config(sources=("image", "FM1"), classes=CLASSES, temperature=0.3))
    save_model(model, tmp_path / "model.safetensors")
    for seed, (split, count) in enumerate({"train": 270, "valid": 30}.items()):
        draw_classes(tmp_path / "data" / split, dict.fromkeys(CLASSES, count), seed=seed)
    return tmp_path


def test_weights_stay_and_the_rest_is_measured(made, monkeypatch, capsys):
    monkeypatch.setenv("FER_FAST_CACHE", str(made / "cache"))
    command = [str(made / "model.safetensors"), "--data", str(made / "data"), "--out", str(made / "new.safetensors")]
    assert run(["recalibrate", *command, "--views", "2"]) == 0
    old, new = (read_checkpoint(made / f"{name}.safetensors") for name in ("model", "new"))
    assert all(np.array_equal(new.tensors[name], old.tensors[name]) for name in old.tensors)
    assert new.config.flip_average and not old.config.flip_average
    assert new.config.temperature != old.config.temperature
    assert new.config.activation_ranges and "int8" in new.config.precision_falls
    shares = new.config.prior
    assert len(shares) == 2 and 0.4 < shares[0] < 0.6, "both classes are drawn as often"
    assert f"fitted on all of them: temperature {new.config.temperature:.4f}, no class mix" in capsys.readouterr().out


def test_the_mix_that_a_model_was_trained_on_stays_unless_it_is_asked_for(tmp_path, monkeypatch):
    monkeypatch.setenv("FER_FAST_CACHE", str(tmp_path / "cache"))
    model = random_model(image_config(classes=CLASSES, prior=(0.9, 0.1)))
    save_model(model, tmp_path / "model.safetensors")
    draw_classes(tmp_path / "data" / "train", {"circle": 16, "square": 4})
    draw_classes(tmp_path / "data" / "valid", {"circle": 3, "square": 3}, seed=1)
    command = ["recalibrate", str(tmp_path / "model.safetensors"), "--data", str(tmp_path / "data"), "--quiet"]
    for balance, wanted in (((), (0.9, 0.1)), (("--balance", "0"), (0.8, 0.2)), (("--balance", "0.5"), (2 / 3, 1 / 3))):
        assert run([*command, "--out", str(tmp_path / "new.safetensors"), *balance]) == 0
        assert read_checkpoint(tmp_path / "new.safetensors").config.prior == pytest.approx(wanted)


def test_a_mix_becomes_part_of_the_head_and_hard_views_join_the_fit(made, monkeypatch, capsys):
    pytest.importorskip("kornia")
    monkeypatch.setenv("FER_FAST_CACHE", str(made / "cache"))
    before = {}
    for name, words in (("plain", []), ("mixed", ["--mix"]), ("hard", ["--hard"])):
        places = ["--data", str(made / "data"), "--out", str(made / f"{name}.safetensors")]
        assert run(["recalibrate", str(made / "model.safetensors"), *places, *words]) == 0
        old, new = (read_checkpoint(made / f"{each}.safetensors") for each in ("model", name))
        changed = {each for each in old.tensors if not np.array_equal(old.tensors[each], new.tensors[each])}
        assert changed == ({"vit.head.bias"} if name == "mixed" else set())
        said = capsys.readouterr().out
        assert ("odds by class: circle x" in said) == (name == "mixed")
        assert (new.config.prior == pytest.approx((0.5, 0.5))) == (name != "mixed"), "the data's, and the mix"
        before[name] = next(line.split()[1] for line in said.splitlines() if "NLL" in line)
    assert before["plain"] == before["mixed"] != before["hard"]


def test_few_validation_faces_leave_the_temperature_one_and_have_no_mix(made, monkeypatch, capsys):
    monkeypatch.setenv("FER_FAST_CACHE", str(made / "cache"))
    for face in sorted((made / "data" / "valid" / "circle").iterdir())[5:]:
        face.unlink()
    command = [str(made / "model.safetensors"), "--data", str(made / "data"), "--out", str(made / "new.safetensors")]
    assert run(["recalibrate", *command, "--mix"]) == 2
    assert "mix must be fitted on 50 validation images or more; there are 35" in capsys.readouterr().err
    assert not (made / "new.safetensors").exists()
    assert run(["recalibrate", *command]) == 0
    out, err = capsys.readouterr()
    assert out == "" and "35 validation images are too few for a temperature, 50 would do: it stays 1" in err
    assert read_checkpoint(made / "new.safetensors").config.temperature == 1.0


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
