"""Random numbers come in, drawn heads that a finder finds and a classifier reads go out, alone or in photos.

Nobody's picture: ovals, shades and lines of a head from the front, with what differs between people drawn by chance.
"""

from __future__ import annotations

import shutil
from itertools import cycle
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

from fer_fast.bench.images import GRAIN, JPEG_QUALITY, PHOTO_SIZE, scene

#: Heads are drawn at this side and reduced: their lines are smooth then.
DRAWN = 512
#: x, y, width and height of the face in its picture, as shares of the side.
FACE = (0.25, 0.21, 0.5, 0.63)
#: Faces that a photo may have, and the sides of their pictures as shares of their part of the photo.
MOST_FACES = 5
SMALLEST, LARGEST = 0.35, 0.95
#: Photos that differ.
SCENES = 5

Colour = tuple[int, int, int]
Box = tuple[float, float, float, float]


class Look(NamedTuple):
    """What differs between drawn heads; lengths are shares of the picture's side."""

    skin: Colour
    hair: Colour
    cloth: Colour
    eyes: float
    mouth: float
    smile: float
    open: float
    brows: float


def look_of(random: np.random.Generator) -> Look:
    """A look by chance."""
    tone = random.uniform(0.55, 1.05)
    skin = (int(215 * tone), int(170 * tone), int(145 * tone))
    hair = tuple(random.integers((20, 15, 10), (110, 80, 60)).tolist())
    cloth = tuple(random.integers(30, 200, 3).tolist())
    eyes, mouth, smile = random.uniform(0.1, 0.112), random.uniform(0.07, 0.095), random.uniform(-0.02, 0.03)
    return Look(skin, hair, cloth, eyes, mouth, smile, random.uniform(0.015, 0.04), random.uniform(-0.02, 0.015))


def draw_head(look: Look, side: int) -> Image.Image:
    """A head in a square, RGBA: what is not head or shoulders is transparent."""
    head = Image.new("RGB", (DRAWN, DRAWN))
    _Pen(head).head(look)
    head = head.filter(ImageFilter.GaussianBlur(3))
    shadow = Image.new("L", head.size)
    _Pen(shadow).shadows(look)
    shadow = shadow.filter(ImageFilter.GaussianBlur(9))
    head.paste(_shade(look.skin, 0.45), (0, 0, DRAWN, DRAWN), shadow)
    _Pen(head).features(look)
    outline = Image.new("L", head.size)
    _Pen(outline).outline()
    head.putalpha(outline.filter(ImageFilter.GaussianBlur(2)))
    return head.filter(ImageFilter.GaussianBlur(2)).resize((side, side), Image.Resampling.LANCZOS)


class _Pen:
    """Draws in shares of the picture's side."""

    def __init__(self, image: Image.Image) -> None:
        self._draw = ImageDraw.Draw(image)

    def oval(self, x: float, y: float, wide: float, high: float, fill: Colour | int) -> None:
        """An oval about a centre, by its half axes."""
        self._draw.ellipse(_scaled(x - wide, y - high, x + wide, y + high), fill=fill)

    def arc(self, box: Box, start: float, end: float, fill: Colour, width: float) -> None:
        """A part of an oval's line, by the angles in degrees."""
        self._draw.arc(_scaled(*box), start, end, fill=fill, width=round(width * DRAWN))

    def outline(self) -> None:
        """Hair, neck and shoulders, filled."""
        self.oval(0.5, 0.44, 0.34, 0.4, 255)
        self._draw.rectangle(_scaled(0.38, 0.75, 0.62, 1.0), fill=255)
        self.oval(0.5, 1.15, 0.4, 0.25, 255)

    def head(self, look: Look) -> None:
        """Hair, neck, shoulders and face, lit from the front."""
        self.oval(0.5, 0.44, 0.36, 0.42, look.hair)
        self._draw.rectangle(_scaled(0.38, 0.75, 0.62, 1.0), fill=_shade(look.skin, 0.7))
        self.oval(0.5, 1.15, 0.42, 0.27, look.cloth)
        for ring in range(8):  # from the darker rim to the middle
            share = 1 - ring / 16
            self.oval(0.5, 0.52, 0.25 * share, 0.33 * share, _shade(look.skin, 0.75 + 0.25 * ring / 7))

    def shadows(self, look: Look) -> None:
        """About the eyes, beside and below the nose, below the mouth; of 255."""
        for eye in (0.5 - look.eyes, 0.5 + look.eyes):
            self.oval(eye, 0.457, 0.085, 0.048, 110)
        self.oval(0.5, 0.615, 0.06, 0.02, 110)
        self._draw.polygon(_scaled(0.47, 0.47, 0.5, 0.47, 0.46, 0.6, 0.44, 0.6), fill=55)
        self.oval(0.5, 0.767, 0.09, 0.018, 55)

    def features(self, look: Look) -> None:
        """Eyes with lids and brows, nostrils, mouth."""
        dark, y = _shade(look.hair, 0.5), 0.47
        for side in (-1, 1):
            x = 0.5 + side * look.eyes
            self.oval(x, y, 0.05, 0.022, (225, 220, 215))
            self.oval(x, y, 0.023, 0.023, (50, 35, 25))
            self.arc((x - 0.055, y - 0.03, x + 0.055, y + 0.03), 190, 350, dark, 0.012)
            brow = look.brows
            self.arc((x - 0.075, y - 0.075 - brow, x + 0.075, y - brow), 205, 335, look.hair, 0.02)
            self.oval(0.5 + side * 0.025, 0.6125, 0.014, 0.0075, _shade(look.skin, 0.35))
        self._mouth(look)

    def _mouth(self, look: Look) -> None:
        left, right, middle = 0.5 - look.mouth, 0.5 + look.mouth, 0.71 + look.smile / 2
        corner, upper, lower = 0.71 - look.smile, 0.71 - look.open * 0.6, 0.71 + look.open + look.smile
        lips = _scaled(left, corner, 0.47, upper, 0.53, upper, right, corner, 0.54, lower, 0.46, lower)
        self._draw.polygon(lips, fill=(165, 80, 80))
        self._draw.line(_scaled(left, corner, 0.46, middle, 0.54, middle, right, corner), (90, 35, 35), 6)


def _scaled(*shares: float) -> list[float]:
    return [share * DRAWN for share in shares]


def _shade(colour: Colour, light: float) -> Colour:
    return tuple(min(255, int(value * light)) for value in colour)  # type: ignore[return-value]


def photo_with_faces(random: np.random.Generator, size: tuple[int, int], faces: int) -> tuple[Image.Image, list[Box]]:
    """Heads before a background of a camera's detail.

    Args:
        random: decides looks, sizes and places.
        size: width and height.
        faces: heads, 0 to 6; none hides another.

    Returns:
        The photo, RGB, and of each head x, y, width and height of the face, about what a finder says of it.
    """
    grain = random.normal(0, GRAIN, (size[1], size[0], 1)).astype(np.float32)
    photo = Image.fromarray((scene(random, size) + grain).clip(0, 255).astype(np.uint8))
    wide, high = size[0] / 3, size[1] / 2
    boxes = []
    for part in random.permutation(6)[:faces].tolist():
        side = int(min(wide, high) * random.uniform(SMALLEST, LARGEST))
        left = int(part % 3 * wide + random.uniform(0, wide - side))
        top = int(part // 3 * high + random.uniform(0, high - side))
        head = draw_head(look_of(random), side)
        photo.paste(head, (left, top), head)
        boxes.append((left + FACE[0] * side, top + FACE[1] * side, FACE[2] * side, FACE[3] * side))
    return photo, boxes


def make_photos_with_faces(
    folder: Path, count: int, seed: int = 0, size: tuple[int, int] = PHOTO_SIZE, scenes: int = SCENES
) -> list[Path]:
    """Fills a folder with colour JPEG files of one to `MOST_FACES` faces, as many of each; see `make_photos`."""
    folder.mkdir(parents=True)
    random = np.random.default_rng(seed)
    paths = [folder / f"photo{number:06d}.jpg" for number in range(count)]
    for number, path in enumerate(paths[:scenes]):
        photo, _ = photo_with_faces(random, size, number % MOST_FACES + 1)
        photo.save(path, quality=JPEG_QUALITY)
    for path, drawn in zip(paths[scenes:], cycle(paths[:scenes]), strict=False):
        shutil.copyfile(drawn, path)
    return paths
