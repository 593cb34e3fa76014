"""A decoded picture in whatever colours it is stored in comes in; RGB in 8 bits goes out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

from fer_fast.types import DecodeError, Status, one_line

if TYPE_CHECKING:
    import av
    import numpy as np
    import numpy.typing as npt

    Pixels = npt.NDArray[np.uint8]

#: By the number that a stream has for its matrix (ISO/IEC 23091-2), the one that swscale has.
_MATRICES = {1: 1, 4: 4, 5: 5, 6: 5, 7: 7, 9: 9, 10: 9}
_BT709, _BT601 = 1, 5
_LIMITED, _FULL = 1, 2
#: swscale's flags: bilinear, over all pixels that fall into one where it shrinks; accurate rounding and full chroma,
#: without which colours are off by three grey levels instead of two, and are as those of every second pixel.
_HOW = 0x2 | 0x40000 | 0x2000
#: What a larger picture is of high definition: where a stream does not say its matrix, players take BT.709 for it.
_STANDARD = (1279, 576)

#: By the number that a stream has for its transfer, those of high dynamic range.
HDR = {16: "pq", 18: "hlg"}


@dataclass(frozen=True)
class Colour:
    """How the numbers of a picture are colours.

    Attributes:
        matrix: swscale's number; None where they are RGB or shades.
        full: whether black is 0, and not 16.
    """

    matrix: int | None
    full: bool

    def rgb(self, picture: av.VideoFrame, size: tuple[int, int]) -> Pixels:
        """A picture in another size.

        Args:
            picture: of these colours.
            size: width and height.

        Returns:
            uint8 [height, width, 3].

        Raises:
            DecodeError: `UNSUPPORTED`, of pixels that swscale does not know.
        """
        from av.error import FFmpegError

        # By planes it takes half as long, to the same bits where each row comes from several.
        is_by_planes = self.matrix is not None and 2 * size[1] <= picture.height
        try:
            made = picture.reformat(
                *size,
                format="gbrp" if is_by_planes else "rgb24",
                src_colorspace=self.matrix,
                src_color_range=_FULL if self.full else _LIMITED,
                dst_color_range=_FULL,
                interpolation=_HOW,
                threads=1,
            )
            if is_by_planes:
                made = made.reformat(format="rgb24", threads=1)
        except (FFmpegError, ValueError) as error:
            reason = f"its pixels, {picture.format.name}, cannot be made RGB: {one_line(error)}"
            raise DecodeError(Status.UNSUPPORTED, reason) from None
        return cast("Pixels", made.to_ndarray())


def source_colour(picture: av.VideoFrame) -> Colour:
    """By what the stream says; where it says nothing, as players take it."""
    name, is_large = picture.format.name, picture.width > _STANDARD[0] or picture.height > _STANDARD[1]
    is_plain = picture.format.is_rgb or name.startswith(("gray", "mono", "ya", "pal8"))
    matrix = None if is_plain else _MATRICES.get(picture.colorspace, _BT709 if is_large else _BT601)
    said = picture.color_range
    full = said == _FULL or (said != _LIMITED and (is_plain or name.startswith("yuvj")))
    return Colour(matrix, full)
