"""Backbones as sources of taps: their files' names and shapes, the taps' sizes, and unfolding of batch norms."""

from __future__ import annotations

import pytest
import torch
from tiny_models import faces
from torch import nn

from fer_fast.models.batch_norm import channels_last, unfold_batch_norm
from fer_fast.models.face_resnet.config import FaceResNetConfig
from fer_fast.models.face_resnet.network import FaceResNet
from fer_fast.models.fusion.config import FusionConfig
from fer_fast.models.fusion.face_resnet import FaceResNetBackbone
from fer_fast.models.fusion.resnet18 import TAP_CHANNELS
from fer_fast.models.fusion.taps import FaceResNetTaps, ResNet18Taps


def expected_shapes(deepest: int) -> dict[str, list[int]]:
    """torchvision's resnet18 state without fc, written down from He et al. 2016, Table 1."""
    shapes = {"conv1.weight": [64, 3, 7, 7], **_batch_norm("bn1", 64)}
    incoming = 64
    for stage in range(1, deepest + 1):
        channels = 64 * 2 ** (stage - 1)
        for block in (0, 1):
            place = f"layer{stage}.{block}"
            shapes[f"{place}.conv1.weight"] = [channels, incoming if block == 0 else channels, 3, 3]
            shapes[f"{place}.conv2.weight"] = [channels, channels, 3, 3]
            shapes |= _batch_norm(f"{place}.bn1", channels) | _batch_norm(f"{place}.bn2", channels)
        if stage > 1:
            shapes[f"layer{stage}.0.downsample.0.weight"] = [channels, incoming, 1, 1]
            shapes |= _batch_norm(f"layer{stage}.0.downsample.1", channels)
        incoming = channels
    return shapes


def _batch_norm(place: str, channels: int) -> dict[str, list[int]]:
    names = ("weight", "bias", "running_mean", "running_var")
    return {f"{place}.{name}": [channels] for name in names} | {f"{place}.num_batches_tracked": []}


@pytest.mark.parametrize("deepest", [1, 2, 3, 4])
def test_state_is_torchvisions_up_to_the_deepest_tap(deepest: int) -> None:
    backbone = ResNet18Taps([f"FM{deepest}"])
    assert {name: list(tensor.shape) for name, tensor in backbone.state_dict().items()} == expected_shapes(deepest)


def test_parameters_are_resnet18s() -> None:
    # 11,689,512 in He et al.'s ResNet-18 as torchvision counts it, less the 512 x 1,000 classifier and its bias.
    assert sum(parameter.numel() for parameter in ResNet18Taps(["FM4"]).parameters()) == 11_689_512 - 513_000


@pytest.mark.parametrize(
    ("size", "sides"),
    [(224, [56, 28, 14, 7]), (112, [28, 14, 7, 4]), (64, [16, 8, 4, 2]), (97, [25, 13, 7, 4]), (33, [9, 5, 3, 2])],
)
def test_tap_shapes(size: int, sides: list[int]) -> None:
    with torch.inference_mode():
        maps = ResNet18Taps(TAP_CHANNELS).eval()(torch.randn(1, 3, size, size))
    assert [list(tap.shape) for tap in maps] == [
        [1, channels, side, side] for channels, side in zip((64, 128, 256, 512), sides, strict=True)
    ]


def test_taps_come_after_the_last_relu_of_their_stage() -> None:
    torch.manual_seed(0)
    backbone = ResNet18Taps(["FM4", "FM1"]).eval()  # the order of the request does not matter
    pixels = torch.randn(2, 3, 64, 64)
    with torch.inference_mode():
        first, last = backbone(pixels)
        x = backbone.maxpool(backbone.relu(backbone.bn1(backbone.conv1(pixels))))
        for stage in range(1, 5):
            for block in backbone.get_submodule(f"layer{stage}").children():
                inside = block.bn2(block.conv2(torch.relu(block.bn1(block.conv1(x)))))
                x = torch.relu(inside + (x if block.downsample is None else block.downsample(x)))
            if stage == 1:
                torch.testing.assert_close(first, x)  # not overwritten by the next stage's in-place ReLU
    torch.testing.assert_close(last, x)
    assert first.min() == 0.0 and last.min() == 0.0


@pytest.mark.parametrize("taps", [[], ["image"], ["FM2", "FM5"]])
def test_unknown_taps(taps: list[str]) -> None:
    with pytest.raises(ValueError, match="taps must be a non-empty selection of FM1, FM2, FM3, FM4"):
        ResNet18Taps(taps)


@pytest.mark.parametrize("size", [112, 103, 150])
def test_face_taps_are_the_networks_stages(size: int) -> None:
    """Of a network's own checkpoint, whose names the backbone has."""
    torch.manual_seed(0)
    network = FaceResNet(FaceResNetConfig(image_size=size)).eval()
    backbone = FaceResNetTaps(TAP_CHANNELS, size).eval()
    own = {name: tensor for name, tensor in network.state_dict().items() if name in backbone.state_dict()}
    backbone.load_state_dict(own)
    seen = []
    for stage in network.stages().values():
        stage.register_forward_hook(lambda _, __, output: seen.append(output))
    pixels = torch.randn(2, 3, size, size)
    with torch.inference_mode():
        maps = backbone(pixels)
        network.logits(pixels)
        some = FaceResNetTaps(["FM3", "FM1"], size).eval()
        some.load_state_dict({name: own[name] for name in some.state_dict()})
        few = some(pixels)
    assert len(maps) == len(seen) == 4
    assert all(torch.equal(tap, stage) for tap, stage in zip(maps, seen, strict=True))
    assert torch.equal(few[0], maps[0]) and torch.equal(few[1], maps[2]) and len(few) == 2
    kind = FaceResNetBackbone()
    assert [(tap.shape[1], tap.shape[2]) for tap in maps] == [
        (channels, kind.side(name, size)) for name, channels in kind.channels.items()
    ]


def test_a_face_backbone_takes_images_of_other_sizes_in_training() -> None:
    """Of 80 pixels other units lack a row and a column than of 112."""
    backbone = FaceResNetTaps(["FM1", "FM2", "FM3", "FM4"], 112).eval()
    with torch.inference_mode():
        sides = [tap.shape[2:] for tap in backbone(torch.randn(1, 3, 80, 80))]
    assert sides == [(side, side) for side in (18, 9, 4, 2)]
    assert [FaceResNetBackbone().side(f"FM{stage}", 80) for stage in (1, 2, 3, 4)] == [18, 9, 4, 2]


def test_sizes_that_leave_a_face_backbone_no_pixel() -> None:
    assert FusionConfig(backbone="face-resnet", image_size=55, grid=5).stages == 4
    with pytest.raises(ValueError, match="image_size must be 55 or more for backbone face-resnet, not 54"):
        FusionConfig(backbone="face-resnet", image_size=54, grid=6)
    with pytest.raises(ValueError, match="backbone must be one of resnet18, face-resnet, not 'resnet50'"):
        FusionConfig(backbone="resnet50")


def test_channels_last_changes_the_layout_alone() -> None:
    backbone = ResNet18Taps(["FM1"]).eval()
    pixels = torch.randn(1, 3, 32, 32)
    with torch.inference_mode():
        before = backbone(pixels)[0]
        channels_last(backbone)
        after = backbone(pixels)[0]
    assert backbone.conv1.weight.is_contiguous(memory_format=torch.channels_last)
    torch.testing.assert_close(after, before)  # another order of summation


def folded_backbone() -> ResNet18Taps:
    """A backbone as a file with folded batch norms gives it: mean 0, variance 1 - eps, weight 1, some bias."""
    torch.manual_seed(3)
    backbone = ResNet18Taps(["FM2", "FM4"]).eval()
    for layer in backbone.modules():
        if isinstance(layer, nn.BatchNorm2d):
            nn.init.normal_(layer.bias, std=0.3)
            nn.init.constant_(layer.running_var, 1 - layer.eps)
    return backbone


def test_unfolded_batch_norm_computes_the_same() -> None:
    backbone = folded_backbone()
    typical = torch.from_numpy(faces(8, 64)).permute(0, 3, 1, 2).float() / 64 - 2
    other = typical.flip(0, 2)[:4] * 0.7 + 0.1
    with torch.no_grad():
        before = [backbone(typical), backbone(other)]
        in_train_mode = backbone.train()(typical)
        backbone = folded_backbone()  # train mode changed the running statistics
        unfold_batch_norm(backbone, typical)
        after = [backbone(typical), backbone(other)]
    # fp32 rounding: a bias and a mean of some ten deviations are now added and taken away again.
    torch.testing.assert_close(after, before, rtol=1e-3, atol=1e-3)
    assert (in_train_mode[-1] - before[0][-1]).abs().mean() > 0.1, "folded batch norm survives train mode: vacuous"
    assert not backbone.training
    with torch.no_grad():
        trained = backbone.train()(typical)
    torch.testing.assert_close(trained, before[0], rtol=1e-2, atol=1e-2)
    assert not backbone.bn1._forward_pre_hooks
