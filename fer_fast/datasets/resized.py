"""Faces as floats or as pixels of any size; needs torch."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor


def resized(faces: Tensor, size: int) -> Tensor:
    """float32 [batch, channels, size, size], values 0..255, from uint8 [batch, channels, height, width]."""
    return F.interpolate(faces.float(), (size, size), mode="bilinear", align_corners=False, antialias=True)


def plain(faces: Tensor, size: int) -> Tensor:
    """The same faces, only resized: float32 [batch, 3, size, size] from uint8 [batch, channels, height, width]."""
    return resized(faces, size).round().expand(-1, 3, -1, -1)


def as_pixels(faces: Tensor, size: int) -> Tensor:
    """The same as an engine takes them: uint8 [batch, size, size, 3]."""
    # In parts: as floats a whole split would take four times the memory.
    parts = [plain(part, size).byte().permute(0, 2, 3, 1).contiguous() for part in torch.split(faces, 256)]
    return torch.cat(parts)
