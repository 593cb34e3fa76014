"""A fusion model's configuration comes in, the names and shapes of its tensors go out."""

from __future__ import annotations

from collections.abc import Iterator

from fer_fast.models.fusion.config import FusionConfig
from fer_fast.models.fusion.sources import TAP_CHANNELS, source_channels, token_length
from fer_fast.models.tensors import Shape, batch_norm_shapes, layer_shapes


def fusion_shapes(config: FusionConfig) -> Iterator[Shape]:
    """Those of `FusionModel`, one at a time."""
    for name in config.taps:
        yield f"mean_{name}", (source_channels(name, config),)
        yield f"inv_std_{name}", (source_channels(name, config),)
    if config.taps:
        yield from _backbone_shapes(depth(config))
    yield from _transformer_shapes(config)


def depth(config: FusionConfig) -> int:
    """Stages of the backbone: up to the deepest tap in use."""
    return int(config.taps[-1][2])


def has_downsample(stage: int, block: int) -> bool:
    """Whether a block's shortcut is a convolution: where height, width and channels change."""
    return stage > 1 and block == 0


def _backbone_shapes(stages: int) -> Iterator[Shape]:
    yield "backbone.conv1.weight", (64, 3, 7, 7)
    yield from batch_norm_shapes("backbone.bn1", 64)
    inputs = 64
    for stage in range(1, stages + 1):
        channels = TAP_CHANNELS[f"FM{stage}"]
        for block in range(2):
            name = f"backbone.layer{stage}.{block}"
            for number, count in ((1, inputs), (2, channels)):
                yield f"{name}.conv{number}.weight", (channels, count, 3, 3)
                yield from batch_norm_shapes(f"{name}.bn{number}", channels)
            if has_downsample(stage, block):
                yield f"{name}.downsample.0.weight", (channels, inputs, 1, 1)
                yield from batch_norm_shapes(f"{name}.downsample.1", channels)
            inputs = channels


def _transformer_shapes(config: FusionConfig) -> Iterator[Shape]:
    width, hidden = config.width, int(config.width * config.mlp_ratio)
    yield "vit.pos_embed", (1, config.grid**2, width)
    yield from layer_shapes("vit.proj", width, token_length(config))
    for block in range(config.depth):
        name = f"vit.blocks.{block}"
        yield from layer_shapes(f"{name}.norm1", width)
        yield from layer_shapes(f"{name}.attn.qkv", 3 * width, width)
        yield from layer_shapes(f"{name}.attn.proj", width, width)
        yield from layer_shapes(f"{name}.norm2", width)
        yield from layer_shapes(f"{name}.mlp.0", hidden, width)
        yield from layer_shapes(f"{name}.mlp.2", width, hidden)
    yield from layer_shapes("vit.norm", width)
    yield from layer_shapes("vit.head", len(config.classes), width)
