"""How a film's pictures are stored comes in: rotated, mirrored, of pixels that are not square; upright ones go out."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING, Any

import numpy as np

from fer_fast.films.opening import check_size

if TYPE_CHECKING:
    import av
    import numpy.typing as npt

    from fer_fast.decode.pixels import Box, Size

    Pixels = npt.NDArray[np.uint8]


@dataclass(frozen=True)
class Upright:
    """What is done to each stored picture of a film.

    Attributes:
        size: width and height of the upright picture in square pixels.
        swaps: whether rows become columns; before what follows.
        mirrors: left becomes right.
        flips: the upper end becomes the lower.
    """

    size: Size
    swaps: bool = False
    mirrors: bool = False
    flips: bool = False

    def stored(self, size: Size) -> Size:
        """The width and height, before it is turned, of a picture that is `size` when it is upright."""
        return (size[1], size[0]) if self.swaps else size

    def stored_box(self, box: Box) -> Box:
        """Where what is in a box of the upright picture lies before it is turned, of a picture stored in its size."""
        (left, top, right, bottom), (width, height) = box, self.size
        if self.mirrors:
            left, right = width - right, width - left
        if self.flips:
            top, bottom = height - bottom, height - top
        return (top, left, bottom, right) if self.swaps else (left, top, right, bottom)

    def turned(self, pixels: Pixels) -> Pixels:
        """A stored picture, uint8 [height, width, 3], upright and contiguous."""
        if self.swaps:
            pixels = pixels.transpose(1, 0, 2)
        if self.mirrors:
            pixels = pixels[:, ::-1]
        if self.flips:
            pixels = pixels[::-1]
        return np.ascontiguousarray(pixels)


def upright_of(picture: av.VideoFrame, aspect: Fraction | None) -> Upright:
    """What is done to the pictures of a film, by its first.

    Pixels that are not square are made so by enlarging the side that is too short, as players do: none is lost.

    Args:
        picture: the first.
        aspect: width of a pixel by its height; None or 0 where nothing is said.

    Raises:
        DecodeError: `TOO_LARGE`: a small picture may say that its pixels are a thousand times as wide as high.
    """
    width, height = picture.width, picture.height
    aspect = aspect if aspect and aspect > 0 else Fraction(1)
    size = (round(width * aspect), height) if aspect >= 1 else (width, round(height / aspect))
    check_size(*size)
    swaps, mirrors, flips = _turn(picture)
    return Upright((size[1], size[0]) if swaps else size, swaps, mirrors, flips)


def _turn(picture: av.VideoFrame) -> tuple[bool, bool, bool]:
    """Swaps, mirrors, flips of the display matrix; of one that is askew those of the nearest quarter turn."""
    data: Any = picture.side_data.get("DISPLAYMATRIX")
    if data is None:
        return False, False, False
    # Rows (a, b, u), (c, d, v), (x, y, w): a stored point (p, q) is shown at (a p + c q + x, b p + d q + y).
    a, b, _, c, d = np.frombuffer(data, np.int32)[:5].tolist()
    swaps = abs(b) + abs(c) > abs(a) + abs(d)
    return swaps, (c if swaps else a) < 0, (b if swaps else d) < 0
