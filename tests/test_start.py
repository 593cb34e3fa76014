"""Where a run starts: files of backbone weights, what they lack, the taps' statistics, another model."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from drawn_data import RECIPE, draw_backbone
from tiny_models import faces, random_model, tiny_config

from fer_fast.models.face_resnet.config import FaceResNetConfig
from fer_fast.models.face_resnet.network import FaceResNet
from fer_fast.models.files.storage import save_model
from fer_fast.models.fusion.network import FusionModel
from fer_fast.models.fusion.start import measure_statistics, start_backbone
from fer_fast.models.fusion.taps import ResNet18Taps
from fer_fast.models.loading import load_model
from fer_fast.train.faces import Faces
from fer_fast.train.recipe import Recipe, Stage, load_recipe
from fer_fast.train.start import (
    at_size,
    new_start,
    read_backbone_weights,
    tuned_start,
)
from fer_fast.types import FerFastError


@pytest.fixture(scope="module")
def backbone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A whole random ResNet-18 but for the last block."""
    return draw_backbone(tmp_path_factory.mktemp("backbone") / "trunk.safetensors", without="layer4.1")


@pytest.fixture(scope="module")
def recipe(tmp_path_factory: pytest.TempPathFactory) -> Recipe:
    path = tmp_path_factory.mktemp("recipe") / "recipe.toml"
    path.write_text(RECIPE)
    return load_recipe(path)


def drawn_faces(classes: tuple[str, ...] = ("no", "yes")) -> Faces:
    pixels = torch.from_numpy(faces(12, 48)[:, None, :, :, 0].copy())
    labels = torch.arange(12) % len(classes)
    return Faces(pixels, torch.eye(len(classes))[labels], labels, classes)


def test_backbone_files(tmp_path: Path, backbone: Path) -> None:
    weights = read_backbone_weights([backbone])
    assert all(tensor.dtype in (torch.float32, torch.int64) for tensor in weights.values()), "stored in fp16"
    torch.save(weights, tmp_path / "weights.pth")
    again = read_backbone_weights([tmp_path / "weights.pth"])
    assert again.keys() == weights.keys()
    assert all(torch.equal(again[name], weights[name]) for name in weights)
    torch.save({"conv1.weight": torch.ones(64, 3, 7, 7), "fc.bias": torch.ones(8)}, tmp_path / "later.pth")
    both = read_backbone_weights([backbone, tmp_path / "later.pth"])
    assert both.keys() == weights.keys() | {"fc.bias"}
    assert (both["conv1.weight"] == 1).all(), "later files win"


def test_wrong_backbone_files(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"backbone must be a \.safetensors or \.pth file; there is no 'nothing'"):
        read_backbone_weights([Path("nothing")])
    for name, content in (
        ("a.safetensors", b"12345678{}"),
        ("a.pth", b"no pickle"),
        ("b.pth", b""),
        ("c.pth", b"hello"),
    ):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(ValueError, match=f"{re.escape(name)}' cannot be read"):
            read_backbone_weights([tmp_path / name])
    torch.save([1, 2], tmp_path / "list.pth")
    with pytest.raises(ValueError, match="must hold tensors by name"):
        read_backbone_weights([tmp_path / "list.pth"])


def test_download_that_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    def offline(*_: object, **options: object) -> None:
        assert options["check_hash"] and options["weights_only"]
        raise OSError("no route to host")

    monkeypatch.setattr(torch.hub, "load_state_dict_from_url", offline)
    told = "its SHA-256 begins with f37072fd, and give it by --backbone"
    with pytest.raises(FerFastError, match=rf"resnet18.* cannot be downloaded: no route to host; fetch it, {told}"):
        read_backbone_weights([])


def test_what_a_file_lacks_passes_on(backbone: Path) -> None:
    network = ResNet18Taps(["FM4"]).eval()
    missing = start_backbone(network, read_backbone_weights([backbone]))
    assert missing and all(name.startswith("layer4.1.") for name in missing)
    x = torch.rand(1, 512, 2, 2)
    with torch.no_grad():
        torch.testing.assert_close(network.get_submodule("layer4.1")(x), x)
    with pytest.raises(ValueError, match="torchvision's resnet18 names"):
        start_backbone(network, {"layer1.0.weight": torch.zeros(1)})
    with pytest.raises(ValueError, match="resnet18's shapes"):
        start_backbone(network, {"conv1.weight": torch.zeros(64, 1, 7, 7)})


@pytest.mark.parametrize("reduce_mean", [False, True])
def test_measured_statistics_normalise_the_taps(reduce_mean: bool) -> None:
    model = FusionModel(tiny_config(sources=("FM1", "FM3"), reduce_mean=reduce_mean)).eval()
    images = torch.from_numpy(faces(16, 64)).permute(0, 3, 1, 2).float()
    measure_statistics(model, images)
    with torch.no_grad():
        for name, tap in zip(model.config.taps, model.sources(images), strict=True):
            values = tap.mean(dim=1, keepdim=True) if reduce_mean else tap
            mean, inv_std = model.get_buffer(f"mean_{name}"), model.get_buffer(f"inv_std_{name}")
            normal = (values - mean.view(1, -1, 1, 1)) * inv_std.view(1, -1, 1, 1)
            assert normal.mean(dim=(0, 2, 3)).abs().max() < 1e-2
            deviations = normal.std(dim=(0, 2, 3))
            assert deviations.max() < 1.01, "none is blown up"
            assert deviations.median() > 0.9


def test_new_start_computes_the_files_taps(recipe: Recipe, backbone: Path) -> None:
    weights = read_backbone_weights([backbone])
    start = new_start(recipe, drawn_faces(), weights)
    assert start.new_stages == ()
    assert start.model.config == recipe.config(("no", "yes"))
    network = ResNet18Taps(["FM1"]).eval()
    start_backbone(network, weights)
    x = torch.randn(2, 3, 40, 40)
    with torch.no_grad():
        torch.testing.assert_close(start.model.eval().backbone(x)[0], network(x)[0], rtol=1e-4, atol=1e-4)
    again = new_start(recipe, drawn_faces(), weights).model
    assert torch.equal(again.vit.proj.weight, start.model.vit.proj.weight)
    other = new_start(dataclasses.replace(recipe, seed=8), drawn_faces(), weights).model
    assert not torch.equal(other.vit.proj.weight, start.model.vit.proj.weight)
    deep = dataclasses.replace(recipe, model={**recipe.model, "sources": ["FM4"]})
    assert new_start(deep, drawn_faces(), weights).new_stages == ("layer4",)
    image = dataclasses.replace(recipe, stages=(Stage(steps=1),), model={**recipe.model, "sources": ["image"]})
    assert new_start(image, drawn_faces(), {}).model.backbone is None


def test_new_start_on_a_face_network(recipe: Recipe, tmp_path: Path) -> None:
    """`--backbone` takes a face-resnet's checkpoint; without one the backbone begins with weights of chance."""
    torch.manual_seed(0)
    network = FaceResNet(FaceResNetConfig()).eval()
    save_model(network, tmp_path / "face.safetensors", np.float32)
    weights = read_backbone_weights([tmp_path / "face.safetensors"])
    on_faces = dataclasses.replace(recipe, model={"preset": "face-fusion", "depth": 1})
    start = new_start(on_faces, drawn_faces(), weights)
    assert start.new_stages == ()
    images = torch.from_numpy(faces(2, 112))
    assert torch.equal(start.model.normalised(images), network.normalised(images))
    seen = []
    for stage in network.stages().values():
        stage.register_forward_hook(lambda _, __, output: seen.append(output))
    with torch.no_grad():
        _, *taps = start.model.eval().sources(images)
        network(images)
    for tap, stage in zip(taps, seen[1:], strict=True):  # FM2 to FM4
        torch.testing.assert_close(tap, stage, rtol=1e-3, atol=1e-3)
    assert new_start(on_faces, drawn_faces(), {}).model.backbone is not None
    del weights["units.3.conv1.weight"]
    with pytest.raises(
        ValueError, match=r"those of a face-resnet in dlib's widths; 'units\.3\.conv1\.weight' does not"
    ):
        new_start(on_faces, drawn_faces(), weights)


def test_start_from_a_model_of_the_same_classes(recipe: Recipe) -> None:
    model = random_model(tiny_config(sources=("image", "FM1"), classes=("no", "yes")))
    calibrated = dataclasses.replace(
        model.config,
        temperature=1.7,
        activation_ranges={"vit.head": (-1.0, 1.0)},
        precision_falls={"bf16": 0.1},
        prior=(0.3, 0.7),
    )
    model.config = calibrated
    start = tuned_start(recipe, drawn_faces(), model)
    assert start.model.config == tiny_config(sources=("image", "FM1"), classes=("no", "yes")), "to be measured anew"
    assert model.config == calibrated
    images = torch.from_numpy(faces(3, 64))
    with torch.no_grad():
        torch.testing.assert_close(start.model.eval()(images), model(images))
    assert all(parameter.requires_grad for parameter in start.model.parameters())
    assert start.model.vit.blocks[-1].drop_path == model.vit.blocks[-1].drop_path == 0.0  # one block


def test_start_from_a_model_of_other_classes(recipe: Recipe) -> None:
    model = random_model(tiny_config(sources=("image", "FM1"), depth=2, prior=(0.125,) * 8))
    start = tuned_start(recipe, drawn_faces(("bored", "curious", "lost")), model).model
    assert start.config.classes == ("bored", "curious", "lost")
    assert start.vit.head.weight.shape == (3, 32)
    assert start.vit.blocks[-1].drop_path == recipe.drop_path
    old, new = model.state_dict(), start.state_dict()
    assert {name for name in old if not torch.equal(old[name], new[name])} == {"vit.head.weight", "vit.head.bias"}


def test_start_at_another_size() -> None:
    """A patch is projected to what it was after a resize to its old size, whatever of a token is of another size."""
    model = random_model(tiny_config(image_size=64, grid=2, sources=("image", "FM1", "FM3")))
    random = torch.Generator().manual_seed(5)
    for size, patches in ((96, (48, 12, 3)), (48, (24, 6, 2)), (40, (20, 5, 1))):
        other = at_size(model, size)
        assert other.config == dataclasses.replace(model.config, image_size=size)
        assert tuple(other.patches) == patches, "of the test's own reckoning"
        old, new = [], []
        for channels, was, now in zip(model.channels(), model.patches, patches, strict=True):
            patch = torch.rand(3, channels, now, now, generator=random)
            resized = F.interpolate(patch, (was, was), mode="bilinear", antialias=True)
            for tokens, pixels in ((old, resized), (new, patch)):
                tokens.append(pixels.permute(0, 2, 3, 1).flatten(1))
        projected = [
            F.linear(torch.cat(tokens, 1), each.vit.proj.weight) for tokens, each in ((old, model), (new, other))
        ]
        torch.testing.assert_close(*projected)
        state, its = model.state_dict(), other.state_dict()
        assert {name for name in state if not torch.equal(state[name], its[name])} == {"vit.proj.weight"}
    assert at_size(model, 64) is at_size(model, 0) is model


def test_a_size_that_a_model_cannot_have() -> None:
    with pytest.raises(ValueError, match="image_size must be a multiple of grid 2, not 65"):
        at_size(random_model(tiny_config(image_size=64, grid=2)), 65)
    cnn = load_model("cnn-shallow")
    said = "image_size must be the model's 48 for architecture 'cnn', whose .* is for that size, not 64"
    with pytest.raises(ValueError, match=said):
        at_size(cnn, 64)


def test_start_takes_the_mean_over_both_views_from_the_recipe(recipe: Recipe) -> None:
    model = random_model(tiny_config(sources=("image", "FM1"), classes=("no", "yes")))
    both = dataclasses.replace(recipe, model={**recipe.model, "flip_average": True})
    found = tuned_start(both, drawn_faces(), model).model.config
    assert found == dataclasses.replace(model.config, flip_average=True)
    model.config = found
    assert tuned_start(recipe, drawn_faces(), model).model.config.flip_average, "the recipe says nothing of it"


def test_start_without_a_backbone_that_is_to_be_trained(recipe: Recipe) -> None:
    with pytest.raises(ValueError, match="part must be all for a model without a backbone"):
        tuned_start(recipe, drawn_faces(), random_model(tiny_config(sources=("image",))))
