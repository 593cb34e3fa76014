"""Handcrafted features as a loss: what they are, how far a layer is from them, and runs that they are a part of."""

from __future__ import annotations

import math
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from drawn_data import draw_ferplus
from tiny_models import faces, random_model, tiny_config
from training_runs import complaint, new_training

from fer_fast.cli import run
from fer_fast.machine.extras import is_installed
from fer_fast.models.cnn.config import CNNConfig
from fer_fast.models.cnn.network import CNN
from fer_fast.models.files.checkpoint import read_checkpoint
from fer_fast.train import handcrafted
from fer_fast.train import run as run_module
from fer_fast.train.faces import Faces
from fer_fast.train.feature_loss import FeatureLoss, share_at
from fer_fast.train.learner import Learner
from fer_fast.train.recipe import FEATURE_NAMES, Recipe, Stage
from fer_fast.train.run import Training

needs_skimage = pytest.mark.skipif(not is_installed("skimage"), reason="scikit-image is not installed")
RECIPE = """
stages = [{ epochs = 2 }]
batch_size = 8
learning_rate = 1e-2
average_decay = 0.5
%s
[model]
architecture = "cnn"
widths = [4, 6]
dense = [8]
"""
HELD = """
feature_loss = ["hog", "lbp", "gabor"]
feature_layer = "map 1"
feature_weight = 0.5
feature_epochs = 1
weighting = "%s"
"""


def grey_faces(count: int, seed: int = 0) -> Faces:
    pixels = torch.from_numpy(faces(count, 48, seed)[:, :, :, 0]).unsqueeze(1)
    return Faces(pixels, torch.eye(2)[torch.arange(count) % 2], torch.arange(count) % 2, ("no", "yes"))


def network() -> CNN:
    torch.manual_seed(0)
    return CNN(CNNConfig(widths=(4, 6), dense=(8,), dropout=0.0))


def a_loss(model: CNN, adaptive: bool, layer: str = "map 1") -> FeatureLoss:
    torch.manual_seed(1)
    return FeatureLoss(model, layer, {"hog": 2, "lbp": 1}, adaptive)


def targets(count: int) -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(2)
    return {name: torch.randn(count, each, 6, 6, generator=generator) for name, each in (("hog", 2), ("lbp", 1))}


def test_recipes_name_what_is_there() -> None:
    assert tuple(handcrafted.FEATURES) == FEATURE_NAMES


@needs_skimage
def test_hog_and_lbp_are_scikit_images() -> None:
    from skimage.feature import hog, local_binary_pattern

    greys = grey_faces(2).pixels[:, 0].double().numpy()
    found = handcrafted.FEATURES["hog"](greys)
    assert found.shape == (2, 9, 6, 6)
    flat = hog(greys[1], 9, (8, 8), (1, 1)).reshape(6, 6, 9)  # as users have it
    np.testing.assert_allclose(found[1].permute(1, 2, 0), flat, rtol=1e-6)
    codes = local_binary_pattern(greys[1].astype(np.uint8), 8, 1, "uniform")
    found = handcrafted.FEATURES["lbp"](greys)
    counts = np.bincount(codes[8:16, 40:48].astype(int).ravel(), minlength=10)
    np.testing.assert_allclose(found[1, :, 1, 5], counts / 64, rtol=1e-6)


@needs_skimage
def test_gabor_is_scikit_images() -> None:
    from skimage.filters import gabor

    greys = grey_faces(1).pixels[:, 0].double().numpy()
    found = handcrafted.FEATURES["gabor"](greys)
    assert found.shape == (1, 8, 6, 6)
    filters = [(frequency, place * np.pi / 4) for frequency in (0.125, 0.25) for place in range(4)]
    for channel, (frequency, angle) in enumerate(filters):
        real, imaginary = gabor(greys[0] / 255, frequency, angle, mode="mirror")
        cells = np.hypot(real, imaginary).reshape(6, 8, 6, 8).mean(axis=(1, 3))
        np.testing.assert_allclose(found[0, channel], cells, rtol=1e-3, atol=1e-5)


@needs_skimage
def test_channels_are_standardised_and_even_faces_say_nothing(tmp_path: Path) -> None:
    for name, values in handcrafted.described(grey_faces(40), FEATURE_NAMES, tmp_path / "kept.safetensors").items():
        assert values.dtype == torch.float16 and (tmp_path / f"kept-{name}.safetensors").exists()
        deviation, mean = torch.std_mean(values.double(), dim=(0, 2, 3), correction=0)
        assert mean.abs().max() < 1e-3
        assert all(math.isclose(each, 1, abs_tol=1e-3) or each == 0 for each in deviation.tolist()), name
    even = Faces(torch.full((3, 3, 60, 60), 7, dtype=torch.uint8), torch.eye(3), torch.arange(3), ("a", "b", "c"))
    assert (handcrafted.described(even, ["hog"], tmp_path / "even.safetensors")["hog"] == 0).all()


@needs_skimage
def test_features_are_computed_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cache, train = tmp_path / "kept.safetensors", grey_faces(5)
    first = handcrafted.described(train, ["lbp"], cache)["lbp"]
    asked: list[int] = []

    def computed(greys: Any) -> torch.Tensor:
        asked.append(len(greys))
        return torch.zeros(len(greys), 1, 6, 6)

    monkeypatch.setitem(handcrafted.FEATURES, "lbp", computed)
    torch.testing.assert_close(handcrafted.described(train, ["lbp"], cache)["lbp"], first, rtol=0, atol=0)
    assert asked == []
    handcrafted.described(grey_faces(6), ["lbp"], cache)
    assert asked == [6], "of other faces"
    (tmp_path / "kept-lbp.safetensors").write_bytes(b"damaged")
    handcrafted.described(train, ["lbp"], cache)
    assert asked == [6, 5]


def test_losses_by_hand() -> None:
    loss = a_loss(network(), adaptive=False)
    maps = torch.ones(3, 4, 12, 12)
    for name, bias in (("hog", 2.0), ("lbp", -1.0)):
        read = loss.readouts[name]
        torch.nn.init.zeros_(read.weight)
        torch.nn.init.constant_(read.bias, bias)
    found = loss.losses(maps, {"hog": torch.zeros(3, 2, 6, 6), "lbp": torch.full((3, 1, 6, 6), 2.0)})
    torch.testing.assert_close(found, torch.tensor([4.0, 9.0]))
    assert loss.weighted(found).item() == 6.5
    assert loss.log_variances is None


def test_uncertainty_settles_where_each_loss_counts_the_same() -> None:
    loss, values = a_loss(network(), adaptive=True), torch.tensor([4.0, 9.0])
    assert loss.log_variances is not None
    assert loss.weighted(values).item() == 6.5, "at first as fixed"
    loss.log_variances.data = values.log()  # of a Gaussian the likeliest variance is the mean squared error
    loss.weighted(values).backward()
    torch.testing.assert_close(loss.log_variances.grad, torch.zeros(2))


def test_the_weight_falls_evenly_to_nothing() -> None:
    found = [share_at(0.5, 2.0, epoch) for epoch in (0.0, 0.5, 1.0, 2.0, 7.0)]
    assert found == [0.5, 0.375, 0.25, 0.0, 0.0]


@pytest.mark.parametrize("adaptive", [False, True])
def test_it_pulls_at_the_layer_and_what_is_below(adaptive: bool) -> None:
    model = network()
    loss = a_loss(model, adaptive)
    images = torch.from_numpy(faces(6, 48)).permute(0, 3, 1, 2).float()
    before = loss(model, images, targets(6))
    before.backward()
    pulled = {name for name, each in model.named_parameters() if each.grad is not None}
    assert pulled == {name for name, _ in model.named_parameters() if name.startswith("maps.0.")}
    optimizer = torch.optim.Adam([*model.parameters(), *loss.parameters()], lr=0.01)
    for _ in range(30):
        optimizer.zero_grad()
        loss(model, images, targets(6)).backward()
        optimizer.step()
    assert loss(model, images, targets(6)) < before
    assert not any(module._forward_hooks for module in model.modules())


def test_an_unknown_layer() -> None:
    known = "map 1, map 2, maps.0.conv, maps.1.conv"
    with pytest.raises(ValueError, match=f"feature_layer must be one of {known}, not 'map 3'"):
        a_loss(network(), False, "map 3")


def test_a_layer_of_a_frozen_backbone_is_refused() -> None:
    model = random_model(tiny_config(sources=("FM1",))).requires_grad_(True)
    loss = FeatureLoss(model, "FM1", {"hog": 2}, adaptive=False)
    Learner(model, False, loss)
    with pytest.raises(ValueError, match="feature_layer must be one that is trained, not 'FM1'"):
        Learner(model, True, loss)


GOOD: dict[str, Any] = {"feature_loss": "hog", "feature_layer": "map 1", "feature_weight": 1.0, "feature_epochs": 1}


@pytest.mark.parametrize(
    ("changes", "rule"),
    [
        ({"feature_loss": "sift"}, r"feature_loss must be different ones of hog, lbp, gabor, not \['sift'\]"),
        ({"feature_loss": ["lbp", "lbp"]}, r"feature_loss must be different ones of .*, not \['lbp', 'lbp'\]"),
        ({"feature_layer": ""}, "feature_layer must name a layer, not ''"),
        ({"feature_layer": 3}, "feature_layer must name a layer, not 3"),
        ({"feature_weight": 0.0}, "feature_weight must be a number above 0, not 0.0"),
        ({"feature_epochs": -1}, "feature_epochs must be a number above 0, not -1"),
        ({"weighting": "gradnorm"}, "weighting must be one of fixed, adaptive, not 'gradnorm'"),
        ({"feature_loss": []}, "feature_layer must be left out without feature_loss, not 'map 1'"),
        ({"feature_loss": [], "feature_layer": ""}, "feature_weight must be left out without feature_loss, not 1.0"),
    ],
)
def test_broken_rules_are_told(changes: dict[str, Any], rule: str) -> None:
    stages = (Stage(epochs=1),)
    assert Recipe(stages=stages, learning_rate=0.1, **GOOD).feature_loss == ("hog",)
    with pytest.raises(ValueError, match=f"^{rule}$"):
        Recipe(stages=stages, learning_rate=0.1, **{**GOOD, **changes})


def test_a_run_without_features_is_known_as_before_there_were_any() -> None:
    plain = Recipe(stages=(Stage(epochs=1),), learning_rate=0.1)
    assert "feature" not in repr(plain) and "weighting" not in repr(plain) and plain.feature_words() == ""
    fixed, adaptive = (
        Recipe(stages=(Stage(epochs=1),), learning_rate=0.1, **GOOD, weighting=each) for each in ("fixed", "adaptive")
    )
    assert fixed.feature_words() != adaptive.feature_words()


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return draw_ferplus(tmp_path_factory.mktemp("data"), {"train": 34, "valid": 10})


def options(folder: Path, data: Path, features: str) -> dict[str, str]:
    (folder / "recipe.toml").write_text(RECIPE % features)
    return {"recipe": str(folder / "recipe.toml"), "--data": str(data), "--device": "cpu"}


@needs_skimage
@pytest.mark.parametrize("weighting", ["fixed", "adaptive"])
def test_a_run_is_held_in_its_first_epoch_and_goes_on_where_it_stopped(
    weighting: str, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run_module, "measure_falls", lambda *_: {})
    monkeypatch.setattr(run_module, "SAVE_SECONDS", -1.0)
    held: list[int] = []
    forward, advance = FeatureLoss.forward, Training._advance

    def counted(self: FeatureLoss, *arguments: Any) -> torch.Tensor:
        held.append(1)
        return forward(self, *arguments)

    def interrupted(training: Training, step: Any) -> float:
        if step.number == 2:
            raise KeyboardInterrupt
        return advance(training, step)

    monkeypatch.setattr(FeatureLoss, "forward", counted)
    inputs = options(tmp_path, data, HELD % weighting)
    new_training(inputs, tmp_path / "whole").run(lambda row: None)
    assert len(held) == 4, "of eight steps those of the first epoch"
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(Training, "_advance", interrupted)
        new_training(inputs, tmp_path / "stopped").run(lambda row: None)
    new_training(inputs, tmp_path / "stopped").run(lambda row: None)
    whole, stopped = (read_checkpoint(tmp_path / each / "last.safetensors").tensors for each in ("whole", "stopped"))
    assert all(np.array_equal(whole[name], stopped[name]) for name in whole)
    plain = options(tmp_path, data, "")
    new_training(plain, tmp_path / "plain").run(lambda row: None)
    free = read_checkpoint(tmp_path / "plain" / "last.safetensors").tensors
    assert whole.keys() == free.keys(), "nothing of the features is kept"
    assert not np.array_equal(whole["maps.0.conv.weight"], free["maps.0.conv.weight"])
    with pytest.raises(ValueError, match="out must be a new folder"):
        new_training(plain, tmp_path / "whole").run(lambda row: None)


@needs_skimage
def test_the_command_tells_an_unknown_layer(data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    inputs = options(tmp_path, data, (HELD % "fixed").replace("map 1", "FM1"))
    arguments = [inputs["recipe"], "--data", str(data), "--out", str(tmp_path / "out")]
    said = complaint(arguments, capsys).strip()
    assert said == "fer-fast: feature_layer must be one of map 1, map 2, maps.0.conv, maps.1.conv, not 'FM1'"
    assert not (tmp_path / "out").exists(), "told before anything is computed and kept"


@needs_skimage
def test_features_that_are_not_the_recipes_are_refused(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(handcrafted, "described", lambda *_: {})
    rule = r"features must be those of feature_loss \['hog', 'lbp', 'gabor'\], not \[\]"
    with pytest.raises(ValueError, match=rule):
        new_training(options(tmp_path, data, HELD % "fixed"), tmp_path / "out")


def test_without_scikit_image_it_says_what_to_install(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "skimage", None)
    inputs = options(tmp_path, data, HELD % "fixed")
    assert run(["train", inputs["recipe"], "--data", str(data), "--out", str(tmp_path / "out")]) == 2
    lacking = "feature_loss needs skimage, which is not installed: pip install 'fer-fast[features]'"
    assert capsys.readouterr().err.strip().endswith(lacking) and not (tmp_path / "out").exists()
