"""What a token is made of: the image and the taps of ResNet-18, their channels, sizes and patches."""

from __future__ import annotations

from fer_fast.models.fusion.config import FusionConfig

#: Channels of each tap, He et al. 2016, Table 1.
TAP_CHANNELS: dict[str, int] = {"FM1": 64, "FM2": 128, "FM3": 256, "FM4": 512}
#: Input pixels for each pixel of a tap.
TAP_STRIDES: dict[str, int] = {"FM1": 4, "FM2": 8, "FM3": 16, "FM4": 32}


def is_reduced(name: str, config: FusionConfig) -> bool:
    """Whether a source's channels are replaced by their mean."""
    return config.reduce_mean and name != "image"


def source_channels(name: str, config: FusionConfig) -> int:
    """Channels of a source, after `reduce_mean`."""
    if name == "image":
        return 3
    return 1 if is_reduced(name, config) else TAP_CHANNELS[name]


def source_patch(name: str, config: FusionConfig) -> int:
    """The side of a source's patch.

    A tap keeps its own resolution as nearly as the grid allows; a channel mean is resized to the image, as in Oh & Yoo
    2023, Figure 3.
    """
    stride = 1 if name == "image" or config.reduce_mean else TAP_STRIDES[name]
    return max(1, round(config.image_size / stride / config.grid))


def source_size(name: str, image_size: int) -> int:
    """Side of a source in pixels: each stride of two rounds up."""
    halvings = 0 if name == "image" else int(name[2]) + 1
    for _ in range(halvings):
        image_size = (image_size + 1) // 2
    return image_size


def token_length(config: FusionConfig) -> int:
    """Numbers of a raw token: those of each source's patch."""
    return sum(source_channels(name, config) * source_patch(name, config) ** 2 for name in config.sources)
