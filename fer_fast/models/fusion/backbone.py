"""ResNet-18 as a source of taps: normalised pixels come in, the feature maps FM1..FM4 go out."""

from __future__ import annotations

from collections.abc import Collection

from torch import Tensor, nn

from fer_fast.models.fusion.sources import TAP_CHANNELS


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
