"""ResNet-18 as a source of taps: normalised pixels come in, the feature maps FM1..FM4 go out."""

from __future__ import annotations

from collections.abc import Collection
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

#: Channels of each tap, He et al. 2016, Table 1.
TAP_CHANNELS: dict[str, int] = {"FM1": 64, "FM2": 128, "FM3": 256, "FM4": 512}
#: Input pixels for each pixel of a tap.
TAP_STRIDES: dict[str, int] = {"FM1": 4, "FM2": 8, "FM3": 16, "FM4": 32}


class BasicBlock(nn.Module):
    """Two 3x3 convolutions and a shortcut, with torchvision's parameter names."""

    def __init__(self, in_channels: int, channels: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(in_channels, channels, 3, stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(channels)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(channels)
        self.relu = nn.ReLU(inplace=True)
        self.downsample: nn.Sequential | None = None
        if stride != 1 or in_channels != channels:
            self.downsample = nn.Sequential(
                nn.Conv2d(in_channels, channels, 1, stride, bias=False), nn.BatchNorm2d(channels)
            )

    def forward(self, x: Tensor) -> Tensor:
        """Maps [batch, in_channels, h, w] to [batch, channels, h / stride, w / stride]."""
        shortcut = x if self.downsample is None else self.downsample(x)
        x = self.relu(self.bn1(self.conv1(x)))
        return self.relu(self.bn2(self.conv2(x)) + shortcut)  # type: ignore[no-any-return]


class ResNet18Taps(nn.Module):
    """ResNet-18 (He et al. 2016) up to the deepest tap in use; the rest is not built.

    FM_i is the output after the last ReLU of stage i, that is after two residual blocks (Oh & Yoo 2023,
    Section 3). Parameter names are torchvision's `resnet18`, so its files load with `strict=False`.

    Args:
        taps: names out of FM1..FM4, at least one.

    Raises:
        ValueError: if `taps` is empty or holds another name.
    """

    def __init__(self, taps: Collection[str]) -> None:
        super().__init__()
        unknown = set(taps) - set(TAP_CHANNELS)
        if unknown or not taps:
            raise ValueError(f"taps must be a non-empty selection of {', '.join(TAP_CHANNELS)}, not {taps!r}")
        self.taps = tuple(name for name in TAP_CHANNELS if name in taps)
        self.conv1 = nn.Conv2d(3, 64, 7, stride=2, padding=3, bias=False)
        self.bn1 = nn.BatchNorm2d(64)
        self.relu = nn.ReLU(inplace=True)
        self.maxpool = nn.MaxPool2d(3, stride=2, padding=1)
        in_channels = 64
        self.depth = int(self.taps[-1][2])
        for stage in range(1, self.depth + 1):
            channels = TAP_CHANNELS[f"FM{stage}"]
            first = BasicBlock(in_channels, channels, stride=1 if stage == 1 else 2)
            self.add_module(f"layer{stage}", nn.Sequential(first, BasicBlock(channels, channels, stride=1)))
            in_channels = channels

    def forward(self, pixels: Tensor) -> list[Tensor]:
        """Computes the taps.

        Args:
            pixels: normalised image, float [batch, 3, size, size].

        Returns:
            The maps in use, shallow to deep: [batch, 64 * 2^(i-1), ceil(size / 2^(i+1)), same] for FM_i.
        """
        x = self.maxpool(self.relu(self.bn1(self.conv1(pixels))))
        maps = []
        for stage in range(1, self.depth + 1):
            x = self.get_submodule(f"layer{stage}")(x)
            if f"FM{stage}" in self.taps:
                maps.append(x)
        return maps


def channels_last(module: nn.Module) -> None:
    """Lays convolution weights out as [out, h, w, in] in memory, which is what vector units want."""
    for layer in module.modules():
        if isinstance(layer, nn.Conv2d):
            layer.weight.data = layer.weight.data.contiguous(memory_format=torch.channels_last)


def fold_batch_norm(backbone: nn.Module) -> None:
    """Replaces each convolution and its batch norm by one convolution with a bias, in place."""
    for parent in list(backbone.modules()):
        names = [name for name, _ in parent.named_children()]
        for name, after in pairwise(names):
            first, second = getattr(parent, name), getattr(parent, after)
            if isinstance(first, nn.Conv2d) and isinstance(second, nn.BatchNorm2d):
                setattr(parent, name, fuse_conv_bn_eval(first, second))
                setattr(parent, after, nn.Identity())


@torch.no_grad()
def unfold_batch_norm(backbone: nn.Module, pixels: Tensor) -> None:
    """Gives folded batch norms real statistics without changing what the network computes.

    Weights whose batch norm was folded into the convolutions (mean 0, variance 1) must not be trained in
    train mode as they are: batch statistics would replace the folded ones and destroy the function. Here each
    layer's statistics are measured on `pixels` and undone by its weight and bias.

    Args:
        backbone: any module with `nn.BatchNorm2d` layers; put in eval mode by this call.
        pixels: a typical input, normalised, float [batch, 3, size, size].
    """

    def measure(layer: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        assert isinstance(layer, nn.BatchNorm2d)
        variance, mean = torch.var_mean(inputs[0].float(), dim=(0, 2, 3), correction=0)
        assert layer.running_mean is not None and layer.running_var is not None
        scale = layer.weight / torch.sqrt(layer.running_var + layer.eps)
        layer.bias.add_((mean - layer.running_mean) * scale)
        layer.weight.copy_(scale * torch.sqrt(variance + layer.eps))
        layer.running_mean.copy_(mean)
        layer.running_var.copy_(variance)

    layers = [module for module in backbone.modules() if isinstance(module, nn.BatchNorm2d)]
    handles = [layer.register_forward_pre_hook(measure) for layer in layers]
    try:
        backbone.eval()(pixels)
    finally:
        for handle in handles:
            handle.remove()
