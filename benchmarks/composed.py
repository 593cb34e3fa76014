"""A labelled face comes in, a photo of known geometry that shows it goes out: of any size and tilt, on a drawn head."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from PIL import Image

from fer_fast.bench.images import scene
from fer_fast.bench.portraits import FACE, draw_head, look_of

Pixels = npt.NDArray[np.uint8]
Matrix = npt.NDArray[np.float64]
Planes = tuple[Image.Image, Image.Image]

#: A face is prepared at this side, on a head of that.
FACE_SIDE = 192
HEAD_SIDE = round(FACE_SIDE / FACE[3])
#: Where the face is on it.
PLACE = ((HEAD_SIDE - FACE_SIDE) // 2, round(FACE[1] * HEAD_SIDE))
#: Pixels over which the prepared face fades into the head.
FADE = 6
#: A photo's side, in faces' sides, and the least: a finder wants to see more than a face.
ROOM = 2.5
LEAST_SIDE = 160
SURROUNDING = 1000


@dataclass(frozen=True)
class Photo:
    """A photo with one face.

    Attributes:
        pixels: uint8 [side, side, 3].
        centre: of the face, in pixels.
        height: of the face: the side of the square that FERPlus shows.
        tilt: degrees, clockwise.
    """

    pixels: Pixels
    centre: tuple[float, float]
    height: float
    tilt: float

    def matrix(self, size: int) -> Matrix:
        """The true crop: float64 [2, 3], from pixels of a crop of `size` to pixels of the photo."""
        return square_matrix(self.centre, self.height, self.tilt, size)


def square_matrix(centre: tuple[float, float], side: float, tilt: float, size: int) -> Matrix:
    """A turned square of an image: float64 [2, 3], from pixels of a crop of `size` to the image's."""
    turn = math.radians(tilt)
    linear = np.array([[math.cos(turn), -math.sin(turn)], [math.sin(turn), math.cos(turn)]]) * (side / size)
    return np.column_stack([linear, np.array(centre) - linear @ np.full(2, size / 2)])


def prepared(face: Pixels, random: np.random.Generator) -> Planes:
    """A grey face, uint8 [48, 48], on a drawn head: grey levels and opacity, [HEAD_SIDE, HEAD_SIDE].

    A finder does not find small faces without hair, neck and shoulders, and FERPlus has none.
    """
    hair, skin = (round(float(part.mean())) for part in (face[:6, 12:36], face[-6:, 16:32]))
    head = draw_head(look_of(random)._replace(hair=(hair,) * 3, skin=(skin,) * 3), HEAD_SIDE)
    edge = np.minimum(np.arange(FACE_SIDE), np.arange(FACE_SIDE)[::-1]) / FADE
    mask = Image.fromarray((255 * np.minimum.outer(edge, edge).clip(0, 1)).astype(np.uint8))
    grey = head.convert("L")
    grey.paste(Image.fromarray(face).resize(mask.size, Image.Resampling.BICUBIC), PLACE, mask)
    opacity = head.getchannel("A")
    opacity.paste(255, PLACE, mask)
    return grey, opacity


def surrounding(random: np.random.Generator) -> Pixels:
    """A large grey picture without faces, of which each photo has a part: uint8 [SURROUNDING, SURROUNDING]."""
    return np.asarray(Image.fromarray(scene(random, (SURROUNDING, SURROUNDING))).convert("L"))


def compose(head: Planes, height: float, tilt: float, behind: Pixels, random: np.random.Generator) -> Photo:
    """Puts a prepared face somewhere into a photo.

    Args:
        head: what `prepared` gave.
        height: of the face, in pixels.
        tilt: degrees, clockwise.
        behind: what `surrounding` gave.
        random: of the place, and of the part of the surrounding.
    """
    side = max(LEAST_SIDE, 32 * math.ceil(ROOM * height / 32))
    free = side / 2 - height  # what is pasted, shoulders too, stays inside, unless it is turned far
    x, y = (side / 2 + random.uniform(-free, free, 2)).tolist()
    left, top = random.integers(0, SURROUNDING - side, 2).tolist()
    background = behind[top : top + side, left : left + side].astype(np.float32)
    inverse = np.linalg.inv(np.vstack([square_matrix((x, y), height, tilt, FACE_SIDE), [0, 0, 1]]))[:2]
    grey, opacity = (_placed(plane, inverse, height / FACE_SIDE, side) for plane in head)
    mixed = background + (grey - background) * (opacity / 255)
    pixels = np.repeat(mixed.round().clip(0, 255).astype(np.uint8)[..., None], 3, axis=2)
    return Photo(pixels, (x, y), height, tilt)


def _placed(plane: Image.Image, inverse: Matrix, factor: float, side: int) -> npt.NDArray[np.float32]:
    """A plane of a head where the photo has it: float32 [side, side]; `inverse` is from the photo to the face."""
    wide = max(1, round(HEAD_SIDE * factor))  # shrunk first: a transformation reads no more than four pixels each way
    small = plane.resize((wide, wide), Image.Resampling.LANCZOS if factor < 1 else Image.Resampling.BICUBIC)
    place = inverse.copy()
    place[:, 2] += PLACE
    coefficients = (place * (wide / HEAD_SIDE)).ravel().tolist()
    found = small.transform((side, side), Image.Transform.AFFINE, coefficients, Image.Resampling.BICUBIC)
    return np.asarray(found, np.float32)
