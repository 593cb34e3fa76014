"""What a token is made of: the image and the taps of a backbone, their channels, sizes and patches."""

from __future__ import annotations

from fer_fast.models.fusion.backbones import BACKBONES
from fer_fast.models.fusion.config import FusionConfig


def is_reduced(name: str, config: FusionConfig) -> bool:
    """Whether a source's channels are replaced by their mean."""
    return config.reduce_mean and name != "image"


def source_channels(name: str, config: FusionConfig) -> int:
    """Channels of a source, after `reduce_mean`."""
    if name == "image":
        return 3
    return 1 if is_reduced(name, config) else BACKBONES[config.backbone].channels[name]


def source_patch(name: str, config: FusionConfig) -> int:
    """The side of a source's patch.

    A tap keeps its own resolution as nearly as the grid allows; a channel mean is resized to the image, as in Oh & Yoo
    2023, Figure 3.
    """
    whole = name == "image" or config.reduce_mean
    extent = config.image_size if whole else BACKBONES[config.backbone].extent(name, config.image_size)
    return max(1, round(extent / config.grid))


def source_size(name: str, config: FusionConfig) -> int:
    """Side of a source in pixels."""
    size = config.image_size
    return size if name == "image" else BACKBONES[config.backbone].side(name, size)


def token_length(config: FusionConfig) -> int:
    """Numbers of a raw token: those of each source's patch."""
    return sum(source_channels(name, config) * source_patch(name, config) ** 2 for name in config.sources)
