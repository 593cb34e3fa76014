"""The whole model: every set of sources, and its algebraic twin that has no fused op."""

from __future__ import annotations

import copy
import dataclasses
import itertools
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from tiny_models import faces, random_model, tiny_config
from torch import Tensor, nn

from fer_fast.models.classifier import classifier_of
from fer_fast.models.config import ClassifierConfig
from fer_fast.models.ensemble.config import EnsembleConfig
from fer_fast.models.files.checkpoint import read_checkpoint
from fer_fast.models.files.paths import packaged_models, study_models
from fer_fast.models.fusion.algebraic import AlgebraicModel
from fer_fast.models.fusion.architecture import FusionArchitecture
from fer_fast.models.fusion.config import PRESETS, SOURCES, FusionConfig
from fer_fast.models.fusion.network import FusionModel
from fer_fast.models.fusion.resnet18 import TAP_CHANNELS, TAP_STRIDES
from fer_fast.models.fusion.sources import source_size
from fer_fast.models.fusion.vit import Block
from fer_fast.models.resizing import resize_matrix
from fer_fast.ops.image import normalised_image
from fer_fast.ops.tokens import fused_tokens, fused_tokens_reference
from fer_fast.types import EMOTIONS

ALL_SETS = [chosen for count in range(1, 6) for chosen in itertools.combinations(SOURCES, count)]
#: fp32, logits of about 1: sums of up to 2,048 products in another order, 2^-24 relative each.
ROUNDING = {"rtol": 1e-4, "atol": 1e-4}


class RandomTaps(nn.Module):
    """Stands in for the backbone: maps of its shapes, so that 93 models cost seconds."""

    def __init__(self, taps: tuple[str, ...]) -> None:
        super().__init__()
        self.taps = taps

    def forward(self, pixels: Tensor) -> list[Tensor]:
        batch, size = pixels.shape[0], pixels.shape[2]
        generator = torch.Generator().manual_seed(size)
        sides = [-(-size // TAP_STRIDES[name]) for name in self.taps]
        return [
            torch.randn(batch, TAP_CHANNELS[name], side, side, generator=generator).relu()
            for name, side in zip(self.taps, sides, strict=True)
        ]


def with_statistics(model: FusionModel) -> FusionModel:
    """Means and deviations that are not 0 and 1, so that a forgotten one shows."""
    for name, buffer in model.named_buffers():
        if name.startswith(("mean_", "inv_std_")):
            buffer.uniform_(0.5, 1.5)
    return model.eval().requires_grad_(False)


@pytest.mark.parametrize("name", sorted({*packaged_models()} - {"accurate"}))
def test_packaged_weights_are_of_their_preset(name: str) -> None:
    found = read_checkpoint(name).config
    wanted = classifier_of(found).presets[name]
    learnt = {"classes": tuple(each for each in EMOTIONS if each != "contempt")} if name in study_models() else {}
    assert found == dataclasses.replace(wanted, **learnt, **_measured(found))


def test_accurate_is_fast_and_a_fusion_model_on_a_face_network_in_two_views() -> None:
    found = read_checkpoint("accurate").config
    assert isinstance(found, EnsembleConfig)
    assert found.shares == (0.5, 0.5)
    wanted = (PRESETS["accurate"], dataclasses.replace(PRESETS["face-fusion"], flip_average=True))
    assert found.members == tuple(
        dataclasses.replace(each, classes=EMOTIONS, **_measured(member))
        for each, member in zip(wanted, found.members, strict=True)
    )


def _measured(config: ClassifierConfig) -> dict[str, Any]:
    return {field: getattr(config, field) for field in ("temperature", "activation_ranges", "precision_falls", "prior")}


@pytest.mark.parametrize("preset", PRESETS)
@pytest.mark.parametrize("sources", ALL_SETS, ids="+".join)
def test_algebraic_twin(sources: tuple[str, ...], preset: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fer_fast.models.fusion.taps.ResNet18Taps", RandomTaps)
    torch.manual_seed(0)
    named = PRESETS[preset]
    config = tiny_config(sources=sources, image_size=named.image_size, grid=named.grid, width=16)
    model = with_statistics(FusionModel(config))
    images = torch.from_numpy(faces(2, config.image_size))
    torch.testing.assert_close(AlgebraicModel(model)(images), model(images), **ROUNDING)


@pytest.mark.parametrize(
    "changes",
    [
        {"reduce_mean": True, "sources": SOURCES},
        {"reduce_mean": True, "sources": ("FM1",)},
        {"image_size": 50, "grid": 5, "sources": SOURCES},  # taps of 13, 7, 4, 2 pixels: resized up and down
        {"image_size": 42, "grid": 6, "sources": SOURCES, "reduce_mean": True},
        {"image_size": 32, "grid": 1, "sources": SOURCES},
        {"backbone": "face-resnet", "image_size": 112, "grid": 7, "sources": SOURCES},  # taps of 26, 12, 6, 3 pixels
        {"backbone": "face-resnet", "image_size": 56, "grid": 4, "sources": ("FM1", "FM3"), "reduce_mean": True},
    ],
    ids=str,
)
def test_algebraic_twin_of_real_backbones(changes: dict[str, object]) -> None:
    model = with_statistics(FusionModel(tiny_config(**changes)))
    images = torch.from_numpy(faces(3, model.config.image_size))
    torch.testing.assert_close(AlgebraicModel(model)(images), model(images), **ROUNDING)


@pytest.mark.parametrize("sources", ALL_SETS, ids="+".join)
def test_every_set_of_sources_runs(sources: tuple[str, ...]) -> None:
    model = FusionModel(tiny_config(sources=sources, classes=("no", "maybe", "yes"))).eval()
    with torch.inference_mode():
        logits = model(torch.from_numpy(faces(2, 64)))
    assert logits.shape == (2, 3)
    assert logits.isfinite().all()
    built = {name.split(".")[0] for name, _ in model.named_children()}
    assert ("backbone" in built) == (sources != ("image",))
    assert any(name.startswith("backbone.layer4") for name, _ in model.named_parameters()) == ("FM4" in sources)


def test_paper_model_has_the_papers_tokens() -> None:
    config = PRESETS["paper"]
    model = FusionModel(FusionConfig.from_dict({**config.as_dict(), "depth": 1})).eval()
    with torch.inference_mode():
        sources = model.sources(torch.from_numpy(faces(1, 224)))
        tokens = model.fuse(sources)
    shapes = [[1, 224, 224, 3], [1, 128, 28, 28], [1, 256, 14, 14], [1, 512, 7, 7]]
    assert [list(source.shape) for source in sources] == shapes
    assert tokens.shape == (1, 196, 2048)
    assert model.vit.proj.in_features == 2048


def test_channel_means_are_resized_to_the_image() -> None:
    model = random_model(tiny_config(sources=("image", "FM2", "FM4"), reduce_mean=True))
    images = torch.from_numpy(faces(2, 64))
    _, *taps = model.sources(images)
    tokens = model.fuse([images, *taps])
    assert tokens.shape == (2, 16, (3 + 1 + 1) * 16**2)
    assert model.vit.proj.in_features == 5 * 16**2
    for place, (name, tap) in enumerate(zip(("FM2", "FM4"), taps, strict=True)):
        mean = F.interpolate(tap.mean(dim=1, keepdim=True), (64, 64), mode="bilinear", align_corners=False)
        normal = (mean - model.get_buffer(f"mean_{name}")) * model.get_buffer(f"inv_std_{name}")
        blocks = F.unfold(normal, 16, stride=16).transpose(1, 2)  # [batch, tokens, 16 * 16]
        columns = slice((3 + place) * 256, (4 + place) * 256)
        torch.testing.assert_close(tokens[:, :, columns], blocks, **ROUNDING)


@pytest.mark.parametrize("sources", [("image",), ("image", "FM1", "FM3")], ids="+".join)
def test_flip_average_is_the_mean_of_both_views(sources: tuple[str, ...]) -> None:
    model = random_model(tiny_config(sources=sources))
    images = torch.from_numpy(faces(3, 64))
    single = [model(images), model(images.flip(2))]
    assert (single[0] - single[1]).abs().max() > 0.1, "a mirror image is another image"
    expected = (single[0] + single[1]) / 2
    model.config = dataclasses.replace(model.config, flip_average=True)
    torch.testing.assert_close(model(images), expected, **ROUNDING)
    channels_first = images.permute(0, 3, 1, 2).float()
    torch.testing.assert_close(model(channels_first), expected, **ROUNDING)
    torch.testing.assert_close(AlgebraicModel(model)(images), expected, **ROUNDING)
    torch.testing.assert_close(model(images.flip(2)), expected, **ROUNDING)
    torch.testing.assert_close(model(images[:1]), expected[:1], **ROUNDING)


def test_native_op_gives_the_same_logits() -> None:
    model = random_model(tiny_config())
    images = torch.from_numpy(faces(3, 64))
    expected = model(images)
    model.tokens = fused_tokens
    torch.testing.assert_close(model(images), expected, **ROUNDING)
    assert model.tokens is not fused_tokens_reference


def test_float_images_are_the_same_images() -> None:
    model = random_model(tiny_config())
    images = torch.from_numpy(faces(2, 64))
    torch.testing.assert_close(model(images.permute(0, 3, 1, 2).float()), model(images), **ROUNDING)


def test_normalised_keeps_grey_levels_apart_in_bf16() -> None:
    model = FusionModel(tiny_config(sources=("FM1",), mean=(0.485, 0.485, 0.485), std=(1.0, 1.0, 1.0)))
    assert model.backbone is not None
    model.backbone.to(torch.bfloat16)
    grey = torch.arange(256, dtype=torch.uint8).view(1, 16, 16, 1).expand(1, 16, 16, 3)
    pixels = model.normalised(grey)
    assert pixels.dtype == torch.bfloat16
    exact = grey[..., 0].double().flatten() / 255 - 0.485
    # One rounding to bf16's 8 bits at the end. A mean of 123.7 in bf16 would be 124, half a grey level off.
    assert ((pixels[0, 0].double().flatten() - exact).abs() <= 2**-8 * exact.abs() + 1e-7).all()


def test_an_engines_form_normalises_by_the_native_op(monkeypatch: pytest.MonkeyPatch) -> None:
    model, images = random_model(tiny_config()), torch.from_numpy(faces(2, 64))
    called: list[tuple[object, ...]] = []

    def op(*arguments: object) -> torch.Tensor:
        called.append(arguments[3:])
        return normalised_image(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr("fer_fast.ops.image.normalised_image", op)
    native = FusionArchitecture().native(copy.deepcopy(model))
    native.round_to(torch.bfloat16)
    wanted = model.normalised(images).bfloat16()
    assert torch.equal(native.normalised(images), wanted)
    assert called == [(3, torch.bfloat16, False)]
    assert torch.equal(native.normalised(images.permute(0, 3, 1, 2).float()), wanted) and len(called) == 1


@pytest.mark.parametrize(("size", "sides"), [(224, [224, 56, 28, 14, 7]), (50, [50, 13, 7, 4, 2]), (1, [1] * 5)])
def test_source_sizes_round_up(size: int, sides: list[int]) -> None:
    config = tiny_config(sources=SOURCES, image_size=size, grid=1)
    assert [source_size(name, config) for name in SOURCES] == sides


def test_resize_matrix_worked_by_hand() -> None:
    np.testing.assert_array_equal(resize_matrix(3, 3), np.eye(3))
    np.testing.assert_array_equal(resize_matrix(2, 4), [[1, 0], [0.75, 0.25], [0.25, 0.75], [0, 1]])
    # Halving, antialiased: a triangle two source pixels wide on each side, cut off at the border.
    halved = np.array([[3, 3, 1, 0], [0, 1, 3, 3]]) / 7
    np.testing.assert_allclose(resize_matrix(4, 2), halved, rtol=1e-6)


@pytest.mark.parametrize(("size", "target"), [(7, 14), (13, 5), (5, 13), (28, 27), (1, 4), (4, 1), (112, 7)])
def test_resize_matrix_is_torchs(size: int, target: int) -> None:
    identity = torch.eye(size, dtype=torch.float64)[None, None]
    wanted = F.interpolate(identity, (target, size), mode="bilinear", align_corners=False, antialias=True)[0, 0]
    np.testing.assert_allclose(resize_matrix(size, target), wanted.numpy(), rtol=0, atol=1e-7)


def test_new_layers_pass_on_what_they_get() -> None:
    torch.manual_seed(0)
    vit = FusionModel(tiny_config(sources=("image",), depth=3)).vit
    x = torch.randn(2, 16, 32)
    assert torch.equal(vit.blocks(x), x)
    vit.blocks(x).square().sum().backward()
    for block in vit.blocks:
        for layer in (block.attn.proj, block.mlp[2]):
            assert layer.weight.grad.abs().max() > 0, "and yet they learn"


def test_drop_path_skips_whole_branches_while_training() -> None:
    torch.manual_seed(0)
    block = Block(width=8, heads=2, mlp_ratio=2.0, drop_path=0.5)
    x = torch.randn(200, 3, 8)
    dropped = block.train()._dropped(x)
    kept = dropped.flatten(1).abs().sum(dim=1) > 0
    assert 60 < kept.sum() < 140
    torch.testing.assert_close(dropped[kept], 2 * x[kept])
    assert torch.equal(block.eval()._dropped(x), x)
