"""Weights for one image size come in, those for another go out: a patch is projected to what it was at its old size."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from fer_fast.models.fusion.config import FusionConfig
from fer_fast.models.fusion.sources import source_channels, source_patch


def resampled(weight: Tensor, config: FusionConfig, wanted: FusionConfig) -> Tensor:
    """The projection of tokens for patches of other sizes, after Beyer et al. 2023 (FlexiViT), Section 3.4.

    Of a patch it makes what the old one makes of the same patch resized (bilinear, antialiased) to its old size.

    Args:
        weight: float32 [width, k], of `config`'s tokens.
        config, wanted: that differ in `image_size` alone.

    Returns:
        float32 [width, k], of `wanted`'s tokens.
    """
    sizes = [(source_channels(name, config), source_patch(name, config)) for name in config.sources]
    patches = [source_patch(name, wanted) for name in config.sources]
    parts = torch.split(weight, [channels * patch**2 for channels, patch in sizes], dim=1)
    each = zip(parts, sizes, patches, strict=True)
    return torch.cat([_of_source(part, *size, patch) for part, size, patch in each], dim=1)


def _of_source(weight: Tensor, channels: int, patch: int, wanted: int) -> Tensor:
    """A source's columns, which are [patch, patch, channels]."""
    if patch == wanted:
        return weight
    # Of each pixel of the new patch, what it adds to those of the patch at its old size.
    pixels = torch.eye(wanted**2, dtype=weight.dtype).view(-1, 1, wanted, wanted)
    shares = F.interpolate(pixels, (patch, patch), mode="bilinear", align_corners=False, antialias=True).flatten(1)
    columns = weight.view(-1, patch**2, channels)
    return torch.einsum("np,wpc->wnc", shares, columns).reshape(len(weight), -1)
