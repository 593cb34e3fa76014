"""What short training runs learn, leave out and hand on to the next."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from training_runs import SHORT, STAGES, calibrated_quickly, changed, draw_inputs, words

from fer_fast import Classifier
from fer_fast.cli import run
from fer_fast.models.face_resnet.config import FaceResNetConfig
from fer_fast.models.face_resnet.network import FaceResNet
from fer_fast.models.files.checkpoint import read_checkpoint
from fer_fast.models.files.storage import save_model
from fer_fast.models.loading import load_model
from fer_fast.train import run as run_module
from fer_fast.train.start import read_backbone_weights


@pytest.fixture(scope="module", autouse=True)
def cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    with calibrated_quickly(tmp_path_factory.mktemp("cache")):
        yield


@pytest.fixture(scope="module")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    return draw_inputs(tmp_path_factory.mktemp("inputs"))


@pytest.fixture
def nothing_compiled(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run_module, "measure_falls", lambda *_: {})


def test_something_is_learnt(tmp_path: Path, nothing_compiled: None, capsys: pytest.CaptureFixture[str]) -> None:
    for split, count, apart in (("train", 12, 0), ("valid", 4, 2)):
        for label, shade in (("dark", 60), ("bright", 190)):
            (tmp_path / split / label).mkdir(parents=True)
            for number in range(count):
                Image.new("L", (40, 40), shade + 5 * number + apart).save(tmp_path / split / label / f"{number}.png")
    recipe = changed(tmp_path, (STAGES, "stages = [{ epochs = 6 }]\n"), ('["image", "FM1"]', '["image"]'))
    assert run(["train", *words(recipe, {"--data": str(tmp_path), "--out": str(tmp_path / "out")})]) == 0
    assert "valid_accuracy 1.0" in capsys.readouterr().out.splitlines()[-1]
    model = load_model(tmp_path / "out" / "best.safetensors")
    assert model.config.classes == ("bright", "dark")
    shades = torch.tensor([70, 200], dtype=torch.uint8).view(2, 1, 1, 1).expand(2, 40, 40, 3)
    assert model(shades).argmax(dim=1).tolist() == [1, 0]


def test_a_short_run_keeps_what_it_learnt(tmp_path: Path, nothing_compiled: None) -> None:
    """Weights averaged over some 100 steps: of a run of 20 they must not be those of its beginning."""
    for split, count, apart in (("train", 20, 0), ("valid", 8, 1)):
        for label, shade in (("dark", 60), ("bright", 150)):
            (tmp_path / split / label).mkdir(parents=True)
            for number in range(count):
                Image.new("L", (40, 40), shade + 2 * number + apart).save(tmp_path / split / label / f"{number}.png")
    recipe = changed(
        tmp_path,
        (STAGES, "stages = [{ epochs = 4 }]\n"),
        ('["image", "FM1"]', '["image"]'),
        ("average_decay = 0.5", "average_decay = 0.99"),
    )
    assert run(["train", *words(recipe, {"--data": str(tmp_path), "--out": str(tmp_path / "out")})]) == 0
    state = torch.load(tmp_path / "out" / "state.pt", weights_only=True)
    live, averaged = state["live"]["model.vit.head.weight"], state["averaged"]["module.model.vit.head.weight"]
    model = load_model(tmp_path / "out" / "last.safetensors")
    shades = torch.tensor([70, 180], dtype=torch.uint8).view(2, 1, 1, 1).expand(2, 40, 40, 3)
    assert model(shades).argmax(dim=1).tolist() == [1, 0]
    assert not torch.equal(live, averaged)


def test_what_valid_has_from_train_is_left_out(
    inputs: dict[str, str], tmp_path: Path, nothing_compiled: None, caplog: pytest.LogCaptureFixture
) -> None:
    data = Path(shutil.copytree(inputs["--data"], tmp_path / "data"))
    shutil.copy(data / "FER2013Train" / "train000.png", data / "FER2013Valid" / "valid008.png")
    caplog.set_level("INFO")
    given = {"--data": str(data), "--out": str(tmp_path / "out")}
    assert run(["train", *words(inputs, changed(tmp_path, SHORT), given)]) == 0
    assert "1 image of valid occurs in train, too, and is left out" in caplog.text
    assert "valid: 9 images of neutral" in caplog.text


def test_backbone_run_is_where_the_next_starts(
    inputs: dict[str, str], tmp_path: Path, nothing_compiled: None, capsys: pytest.CaptureFixture[str]
) -> None:
    only = changed(tmp_path, (STAGES, 'stages = [{ steps = 2, part = "backbone" }]\n'))
    assert run(["train", *words(inputs, only, {"--out": str(tmp_path / "first")})]) == 0
    names = {path.name for path in (tmp_path / "first").iterdir()}
    assert names == {"backbone.safetensors", "curves.png", "log.csv", "state.pt"}, "no classifier was trained"
    weights = read_backbone_weights([tmp_path / "first" / "backbone.safetensors"])
    averaged = torch.load(tmp_path / "first" / "state.pt", weights_only=True)["averaged"]
    assert weights and all(
        torch.equal(weights[name], averaged[f"module.model.backbone.{name}"])
        for name in weights
        if not name.endswith("num_batches_tracked")
    )
    before = read_backbone_weights([Path(inputs["--backbone"])])
    assert not torch.equal(weights["conv1.weight"], before["conv1.weight"])
    frozen = changed(tmp_path, SHORT, ("backbone_learning_rate = 5e-4\n", ""))
    start = {"--backbone": str(tmp_path / "first" / "backbone.safetensors"), "--out": str(tmp_path / "second")}
    assert run(["train", *words(inputs, frozen, start)]) == 0
    kept = read_checkpoint(tmp_path / "second" / "last.safetensors").tensors["backbone.conv1.weight"]
    np.testing.assert_array_equal(kept, weights["conv1.weight"].numpy().astype(np.float16))
    assert "fer-fast:" not in capsys.readouterr().err


def test_a_face_network_becomes_a_backbone(
    inputs: dict[str, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    torch.manual_seed(0)
    save_model(FaceResNet(FaceResNetConfig()), tmp_path / "face.safetensors")
    on_faces = (
        SHORT,
        ("backbone_learning_rate = 5e-4\n", ""),
        (
            'sources = ["image", "FM1"]\nimage_size = 40\ngrid = 4\n',
            'preset = "face-fusion"\nsources = ["image", "FM2"]\n',
        ),
    )
    recipe = changed(tmp_path, *on_faces)
    given = {"--backbone": str(tmp_path / "face.safetensors"), "--out": str(tmp_path / "out")}
    assert run(["train", *words(inputs, recipe, given)]) == 0
    assert "fer-fast:" not in capsys.readouterr().err
    found, before = (
        read_checkpoint(path) for path in (tmp_path / "out" / "last.safetensors", tmp_path / "face.safetensors")
    )
    kernels = [name for name in found.tensors if name.startswith("backbone.") and "conv" in name]
    assert len(kernels) == 15, "a stem and seven units: the stages up to FM2"
    for name in kernels:
        np.testing.assert_array_equal(found.tensors[name], before.tensors[name.removeprefix("backbone.")])
    with Classifier(tmp_path / "out" / "last.safetensors") as classifier:
        assert classifier.predict_batch(np.zeros((2, 112, 112, 3), np.uint8)).shape == (2, 8)
