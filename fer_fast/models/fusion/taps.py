"""Backbones in torch: normalised pixels come in, those of the feature maps FM1..FM4 that are in use go out."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Collection
from itertools import accumulate

from torch import Tensor, nn

from fer_fast.models.face_resnet.config import STAGES
from fer_fast.models.face_resnet.network import Stem, Unit
from fer_fast.models.fusion.face_resnet import plans_of
from fer_fast.models.fusion.resnet18 import TAP_CHANNELS


class BackboneTaps(nn.Module):
    """A backbone up to the deepest tap in use; the rest is not built.

    Args:
        taps: names out of FM1..FM4, at least one.

    Attributes:
        taps: the same, shallow to deep.
        depth: stages that there are.

    Raises:
        ValueError: if `taps` is empty or holds another name.
    """

    def __init__(self, taps: Collection[str]) -> None:
        super().__init__()
        unknown = set(taps) - set(TAP_CHANNELS)
        if unknown or not taps:
            raise ValueError(f"taps must be a non-empty selection of {', '.join(TAP_CHANNELS)}, not {taps!r}")
        self.taps = tuple(name for name in TAP_CHANNELS if name in taps)
        self.depth = int(self.taps[-1][2])

    @abstractmethod
    def first(self) -> nn.Conv2d:
        """The convolution that takes the pixels."""

    @abstractmethod
    def stages(self) -> list[nn.Module]:
        """What gives the last map of each stage, shallow to deep."""

    @abstractmethod
    def forward(self, pixels: Tensor) -> list[Tensor]:
        """Computes the taps.

        Args:
            pixels: normalised image, float [batch, 3, size, size].

        Returns:
            The maps in use, shallow to deep, each [batch, channels, side, side] (`backbone.Backbone`).
        """


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


class ResNet18Taps(BackboneTaps):
    """ResNet-18 (He et al. 2016), see `BackboneTaps`.

    FM_i is the output after the last ReLU of stage i, that is after two residual blocks (Oh & Yoo 2023,
    Section 3). Parameter names are torchvision's `resnet18`, so its files load with `strict=False`.
    """

    def __init__(self, taps: Collection[str]) -> None:
        super().__init__(taps)
        self.conv1 = nn.Conv2d(3, 64, 7, stride=2, padding=3, bias=False)
        self.bn1 = nn.BatchNorm2d(64)
        self.relu = nn.ReLU(inplace=True)
        self.maxpool = nn.MaxPool2d(3, stride=2, padding=1)
        in_channels = 64
        for stage in range(1, self.depth + 1):
            channels = TAP_CHANNELS[f"FM{stage}"]
            first = BasicBlock(in_channels, channels, stride=1 if stage == 1 else 2)
            self.add_module(f"layer{stage}", nn.Sequential(first, BasicBlock(channels, channels, stride=1)))
            in_channels = channels

    def first(self) -> nn.Conv2d:
        """See `BackboneTaps.first`."""
        return self.conv1

    def stages(self) -> list[nn.Module]:
        """See `BackboneTaps.stages`."""
        return [self.get_submodule(f"layer{stage}") for stage in range(1, self.depth + 1)]

    def forward(self, pixels: Tensor) -> list[Tensor]:
        """See `BackboneTaps.forward`."""
        x = self.maxpool(self.relu(self.bn1(self.conv1(pixels))))
        maps = []
        for number, stage in enumerate(self.stages(), 1):
            x = stage(x)
            if f"FM{number}" in self.taps:
                maps.append(x)
        return maps


class FaceResNetTaps(BackboneTaps):
    """The first four stages of `FaceResNet`, see `BackboneTaps`; parameter names are the same, so its checkpoints load.

    FM_i is the output of the last unit of stage i.

    Args:
        taps: see `BackboneTaps`.
        image_size: of the images, in pixels.
    """

    def __init__(self, taps: Collection[str], image_size: int) -> None:
        super().__init__(taps)
        plans = plans_of(image_size, self.depth)
        self.stem = Stem(3, plans[0].inputs)
        self.units = nn.Sequential(*(Unit(plan) for plan in plans))
        self._ends = [end - 1 for end in accumulate(count for count, _ in STAGES[: self.depth])]

    def first(self) -> nn.Conv2d:
        """See `BackboneTaps.first`."""
        return self.stem.conv

    def stages(self) -> list[nn.Module]:
        """See `BackboneTaps.stages`."""
        return [self.units[end] for end in self._ends]

    def forward(self, pixels: Tensor) -> list[Tensor]:
        """See `BackboneTaps.forward`."""
        x = self.stem(pixels)
        maps = []
        for place, unit in enumerate(self.units):
            x = unit(x)
            if place in self._ends and f"FM{self._ends.index(place) + 1}" in self.taps:
                maps.append(x)
        return maps
