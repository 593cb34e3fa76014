"""A fusion model's configuration comes in, the names and shapes of its tensors go out."""

from __future__ import annotations

from collections.abc import Iterator

from fer_fast.models.fusion.backbones import BACKBONES
from fer_fast.models.fusion.config import FusionConfig
from fer_fast.models.fusion.sources import source_channels, token_length
from fer_fast.models.tensors import Shape, layer_shapes


def fusion_shapes(config: FusionConfig) -> Iterator[Shape]:
    """Those of `FusionModel`, one at a time."""
    for name in config.taps:
        yield f"mean_{name}", (source_channels(name, config),)
        yield f"inv_std_{name}", (source_channels(name, config),)
    if config.taps:
        shapes = BACKBONES[config.backbone].shapes(config.image_size, config.stages)
        yield from ((f"backbone.{name}", shape) for name, shape in shapes)
    yield from _transformer_shapes(config)


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
