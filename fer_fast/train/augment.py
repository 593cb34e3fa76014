"""Random faces: grey 48 px faces come in, rotated, scaled, shifted, flipped and erased faces of any size go out."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from fer_fast.train.recipe import Augmentation


def augmented(faces: Tensor, size: int, settings: Augmentation, generator: torch.Generator) -> Tensor:
    """One random view of each face; flips are always on.

    Args:
        faces: uint8 [batch, height, width], grey.
        size: side of the result in pixels.
        settings: how far the views may go.
        generator: the only source of randomness, so that a step can be repeated.

    Returns:
        float32 [batch, 3, size, size], values 0..255.
    """
    batch = faces.shape[0]

    def uniform(low: float, high: float) -> Tensor:
        return torch.rand(batch, generator=generator) * (high - low) + low

    angle = uniform(-1, 1) * math.radians(settings.rotation_degrees)
    zoom = 1 + uniform(-settings.scale, settings.scale)
    flip = torch.randint(0, 2, (batch,), generator=generator) * 2 - 1
    cosine, sine = torch.cos(angle) * zoom, torch.sin(angle) * zoom
    # affine_grid's units: the image spans -1..1, so a shift of one side is 2.
    rows = [cosine * flip, -sine, uniform(-2, 2) * settings.shift, sine * flip, cosine, uniform(-2, 2) * settings.shift]
    matrix = torch.stack(rows, dim=1).view(batch, 2, 3)
    grid = F.affine_grid(matrix, [batch, 1, size, size], align_corners=False)
    views = F.grid_sample(faces[:, None].float(), grid, mode="bilinear", padding_mode="reflection", align_corners=False)
    contrast = 1 + uniform(-settings.contrast, settings.contrast)
    brightness = 255 * uniform(-settings.contrast, settings.contrast) / 2
    views = (views - 128) * contrast.view(-1, 1, 1, 1) + (128 + brightness).view(-1, 1, 1, 1)
    views = views.clamp(0, 255) * ~_erased(batch, size, settings, generator)
    return views.expand(-1, 3, -1, -1)


def plain(faces: Tensor, size: int) -> Tensor:
    """The same faces, only resized: float32 [batch, 3, size, size] from uint8 [batch, height, width]."""
    views = F.interpolate(faces[:, None].float(), (size, size), mode="bilinear", align_corners=False, antialias=True)
    return views.round().expand(-1, 3, -1, -1)


def _erased(batch: int, size: int, settings: Augmentation, generator: torch.Generator) -> Tensor:
    """Where a face is painted over: bool [batch, 1, size, size], one rectangle or none each."""
    low, high = settings.erase_side
    sides = (torch.rand(batch, 2, generator=generator) * (high - low) + low) * size
    corners = torch.rand(batch, 2, generator=generator) * (size - sides)
    along = torch.arange(size).view(1, 1, size)
    inside = (along >= corners[:, :, None]) & (along < (corners + sides)[:, :, None])  # [batch, 2, size]
    chosen = torch.rand(batch, generator=generator) < settings.erase_chance
    return (inside[:, 0, :, None] & inside[:, 1, None, :] & chosen[:, None, None])[:, None]
