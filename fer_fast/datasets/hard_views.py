"""Faces as cameras, codecs and finders give them: what FERPlus' grey, evenly framed crops do not show.

Each kind of change befalls a face by a chance of its own, in the order in which it happens to a photo: how the face was
cut out, what lies on it, light and colour, then optics and codec. Training draws such views anew at each step;
an evaluation is of faces that are each seen so once, see `hard_faces`.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from fer_fast.datasets.resized import plain

#: Side in pixels at which hard faces are made: models of every size are asked about the same pixels.
HARD_SIZE = 112
_SEED, _PART = 19, 64


@torch.no_grad()
def hard_views(faces: Tensor) -> Tensor:
    """One view of each face; torch's global generator is the only source of randomness.

    Args:
        faces: float [batch, 3, size, size], values 0..1.

    Returns:
        The same shape, values 0..1.
    """
    for chance, change in KINDS.values():
        faces = where_drawn(faces, chance, change)
    return faces


def hard_faces(faces: Tensor) -> Tensor:
    """Faces as `hard_views` shows them, always the same: uint8 [images, 3, HARD_SIZE, HARD_SIZE] from the same."""
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(_SEED)  # `torch.manual_seed` would seed those of GPUs, too
        # One after the other in small parts: what is drawn does not depend on the memory of a machine. To their places:
        # parts that are joined would take the memory of a split twice.
        seen = torch.empty(len(faces), 3, HARD_SIZE, HARD_SIZE, dtype=torch.uint8)
        for part, views in zip(torch.split(faces, _PART), torch.split(seen, _PART), strict=True):
            views.copy_((hard_views(plain(part, HARD_SIZE) / 255) * 255).round())
    return seen


def where_drawn(faces: Tensor, chance: float, change: Callable[[Tensor], Tensor]) -> Tensor:
    """Faces, float [batch, channels, height, width], each changed by a chance; values 0..1 stay so."""
    chosen = (torch.rand(len(faces)) < chance).nonzero()[:, 0].to(faces.device)
    return faces.index_copy(0, chosen, change(faces[chosen]).clamp(0, 1)) if len(chosen) else faces


def _framing(faces: Tensor) -> Tensor:
    """Zoom 0.8 to 1.6, aspect 0.75 to 1.3, shift to an eighth, roll to 45 degrees, small ones more often."""
    count = len(faces)
    angle = math.radians(45) * _uniform(count, -1, 1) * _uniform(count, 0, 1)
    zoom, aspect = _logarithmic(count, 0.8, 1.6), _logarithmic(count, 0.75, 1.3).sqrt()
    cosine, sine = angle.cos(), angle.sin()
    wide, high = aspect / zoom, 1 / (zoom * aspect)
    across = torch.stack([cosine * wide, -sine * high, _uniform(count, -0.25, 0.25)], dim=1)
    down = torch.stack([sine * wide, cosine * high, _uniform(count, -0.25, 0.25)], dim=1)
    grid = F.affine_grid(torch.stack([across, down], dim=1).to(faces), list(faces.shape), align_corners=False)
    return F.grid_sample(faces, grid, padding_mode="reflection", align_corners=False)


def _oval(faces: Tensor) -> Tensor:
    """Cut out on black."""
    x, y = _places(faces)
    wide, high = (_uniform(len(faces), 0.7, 1.0).view(-1, 1, 1).to(faces) for _ in range(2))
    return faces * ((x / wide) ** 2 + (y / high) ** 2 < 1)[:, None]


def _occlusion(faces: Tensor) -> Tensor:
    """A box of one colour over 2 to 12 % of it."""
    x, y = _places(faces)
    count = len(faces)
    # Halves of its sides; the picture's own half is 1.
    area, ratio = _uniform(count, 0.02, 0.12), _logarithmic(count, 0.4, 2.5).sqrt()
    wide, high = (area.sqrt() * ratio), (area.sqrt() / ratio)
    left, top = _uniform(count, -0.8, 0.8), _uniform(count, -0.8, 0.8)
    wide, high, left, top = (each.view(-1, 1, 1).to(faces) for each in (wide, high, left, top))
    covered = ((x - left).abs() < wide) & ((y - top).abs() < high)
    return torch.where(covered[:, None], torch.rand(count, 3, 1, 1).to(faces), faces)


def _light(faces: Tensor) -> Tensor:
    """Light from one side, as strong as to leave the other in the dark."""
    x, y = _places(faces)
    angle = _uniform(len(faces), 0, 2 * math.pi).view(-1, 1, 1).to(faces)
    strength = _uniform(len(faces), 0.2, 0.8).view(-1, 1, 1).to(faces)
    return faces * (1 + strength * (x * angle.cos() + y * angle.sin()))[:, None]


def _tone(faces: Tensor) -> Tensor:
    """Gamma 0.6 to 1.7, contrast 0.5 to 1.4, brightness by a sixth."""
    gamma, contrast = _logarithmic(len(faces), 0.6, 1.7), _logarithmic(len(faces), 0.5, 1.4)
    gamma, contrast, brightness = (
        each.view(-1, 1, 1, 1).to(faces) for each in (gamma, contrast, _uniform(len(faces), -0.16, 0.16))
    )
    return (faces**gamma - 0.5) * contrast + 0.5 + brightness


def _tint(faces: Tensor) -> Tensor:
    """Skin and lamps in colour: another curve a channel, mostly warmer; and a smooth cast."""
    count = len(faces)
    warm = torch.tensor([0.15, 0.0, -0.2]) * _uniform(count, -0.4, 1.2).view(-1, 1)
    gain = (warm + 0.1 * torch.randn(count, 3)).exp().view(-1, 3, 1, 1).to(faces)
    gamma = (0.15 * torch.randn(count, 3)).exp().view(-1, 3, 1, 1).to(faces)
    cast = F.interpolate(torch.randn(count, 3, 3, 3).to(faces), list(faces.shape[2:]), mode="bicubic")
    return faces**gamma * gain + 0.03 * cast


def _grey(faces: Tensor) -> Tensor:
    """Without colour."""
    return faces.mean(dim=1, keepdim=True).expand_as(faces)


def _blur(faces: Tensor) -> Tensor:
    """Out of focus, or moved along a line; to a fortieth of the side."""
    count, size = len(faces), faces.shape[-1]
    reach = max(1, size // 12)
    steps = torch.arange(-reach, reach + 1, dtype=torch.float32)
    across, down = (
        (-0.5 * (steps / (size * sigma.view(-1, 1))) ** 2).exp()
        for sigma in (_uniform(count, 0.002, 0.025), _uniform(count, 0.002, 0.025))
    )
    # Halves are blurred alike in both directions.
    down[: count // 2] = across[: count // 2]
    channels = faces.shape[1]
    rows = faces.reshape(1, -1, size, size)
    for kernel, shape, padding in ((across, (1, -1), (reach, reach, 0, 0)), (down, (-1, 1), (0, 0, reach, reach))):
        kernel = (kernel / kernel.sum(dim=1, keepdim=True)).repeat_interleave(channels, dim=0).to(faces)
        weight = kernel.view(count * channels, 1, *shape)
        rows = F.conv2d(F.pad(rows, padding, mode="replicate"), weight, groups=count * channels)
    return rows.view_as(faces)


def _shrunk(faces: Tensor) -> Tensor:
    """Through 20 to 48 px and back: a small face, enlarged."""
    size = faces.shape[-1]
    # Of one size each, to be computed together.
    parts = []
    for part in faces.chunk(4):
        small = int(_logarithmic(1, 20, 48).item())
        small_faces = F.interpolate(part, (small, small), mode="bilinear", antialias=True)
        parts.append(F.interpolate(small_faces, (size, size), mode="bicubic"))
    return torch.cat(parts)


def _noise(faces: Tensor) -> Tensor:
    """To 6 % of white, half of them in colour."""
    strength = _uniform(len(faces), 0.01, 0.06).view(-1, 1, 1, 1)
    noise = torch.randn(faces.shape)
    noise[::2] = noise[::2, :1]
    return faces + (strength * noise).to(faces)


def _jpeg(faces: Tensor) -> Tensor:
    """Written at quality 15 to 80, and read again."""
    from kornia.enhance import jpeg_codec_differentiable

    return jpeg_codec_differentiable(faces, _uniform(len(faces), 15, 80).to(faces))


#: Kind -> how often it befalls a face, and what it does to float [batch, 3, size, size]. In the order of their coming.
KINDS: dict[str, tuple[float, Callable[[Tensor], Tensor]]] = {
    "framing": (0.7, _framing),
    "oval": (0.06, _oval),
    "occlusion": (0.2, _occlusion),
    "light": (0.3, _light),
    "tone": (0.4, _tone),
    "tint": (0.5, _tint),
    "grey": (0.15, _grey),
    "blur": (0.2, _blur),
    "shrunk": (0.3, _shrunk),
    "noise": (0.2, _noise),
    "jpeg": (0.4, _jpeg),
}


def _uniform(count: int, low: float, high: float) -> Tensor:
    return low + (high - low) * torch.rand(count)


def _logarithmic(count: int, low: float, high: float) -> Tensor:
    return _uniform(count, math.log(low), math.log(high)).exp()


def _places(faces: Tensor) -> tuple[Tensor, Tensor]:
    """Of each pixel from the middle, -1 to 1: x [1, 1, size] and y [1, size, 1]."""
    size = faces.shape[-1]
    line = ((torch.arange(size) + 0.5) / size * 2 - 1).to(faces)
    return line.view(1, 1, -1), line.view(1, -1, 1)
