"""Decoded images of any sizes come in as torch has them, squares of one size go out, resized as Pillow resizes."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

#: Bytes that the float32 pixels of one size take at once, unless one image takes more: a camera's photos are all alike.
_AT_ONCE = 256 << 20
#: Bytes of a pixel in float32.
_PIXEL_BYTES = 12


def squashed(images: Sequence[Tensor], side: int, device: torch.device) -> Tensor:
    """Squashes images to S x S by an antialiased bilinear resize; those of one size together, in few launches.

    Args:
        images: uint8 [height, width, 3] each, RGB, on the device.
        side: S, in pixels.
        device: where they lie.

    Returns:
        uint8 [images, S, S, 3], contiguous.
    """
    if not images:
        return torch.empty((0, side, side, 3), dtype=torch.uint8, device=device)
    by_size: dict[torch.Size, list[int]] = {}
    for place, image in enumerate(images):
        by_size.setdefault(image.shape, []).append(place)
    parts: list[Tensor] = []
    for (height, width, _), places in by_size.items():
        step = max(1, _AT_ONCE // (_PIXEL_BYTES * height * width))
        for start in range(0, len(places), step):
            parts.append(_resized(torch.stack([images[each] for each in places[start : start + step]]), side))
    order = [place for places in by_size.values() for place in places]
    pixels = torch.cat(parts)
    if order == sorted(order):
        return pixels
    return pixels[torch.tensor(order).argsort().to(device)]


def _resized(images: Tensor, side: int) -> Tensor:
    """uint8 [images, height, width, 3] to [images, S, S, 3].

    In two passes, rounded between, as Pillow does it: in one, pixels are a grey level off.
    """
    pixels = images.permute(0, 3, 1, 2).float()
    for size in ((images.shape[1], side), (side, side)):
        pixels = F.interpolate(pixels, size=size, mode="bilinear", antialias=True).add_(0.5).floor_()
    return pixels.to(torch.uint8).permute(0, 2, 3, 1).contiguous()
