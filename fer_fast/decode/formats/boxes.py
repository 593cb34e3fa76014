"""A file of the family of ISO 14496-12, AVIF or HEIC, comes in, a picture goes out.

Opening it reads the boxes that describe its picture, see `items`; a file that these say too little of is opened by its
codec, which reads it whole.
"""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import TYPE_CHECKING, BinaryIO

from fer_fast.decode.formats.frame_holes import NOT_WRITTEN, has_hole
from fer_fast.decode.formats.items import Layout, layout_of
from fer_fast.decode.formats.picture import Picture, PillowPicture
from fer_fast.types import DecodeError, Status, one_line

if TYPE_CHECKING:
    from PIL.Image import Image
    from PIL.ImageFile import ImageFile

    from fer_fast.decode.pixels import Size

_AV1, _HEVC = (b"av01",), (b"hvc1", b"hev1")

#: Besides the codec's planes: grey, RGB or RGB with alpha, in the codec's memory and twice in Pillow's.
_GREY, _COLOUR, _ALPHA = 2.8, 9, 12
#: Planes of more than 8 bits, against planes of 8.
_DEEP = 2.25
#: Of what nothing is known.
_MOST_BYTES_A_PIXEL = 19


class _BoxedPicture(Picture):
    """A picture whose coded bytes are known.

    Args:
        content: its file.
        layout: of the file.
        codec: opens a file that ends where the layout does.
        codings: that the codec is known to read.
    """

    def __init__(
        self, content: BinaryIO, layout: Layout, codec: Callable[[BinaryIO], ImageFile], codings: tuple[bytes, ...]
    ) -> None:
        self._content, self._layout, self._codec, self._codings = content, layout, codec, codings
        self.size = layout.size
        self.mode, bytes_a_pixel = _mode_and_bytes(layout)
        self.memory = int(bytes_a_pixel * layout.size[0] * layout.size[1]) + 2 * layout.end

    def load(self, least: Size) -> Image:
        """See `Picture.load`."""
        if any(has_hole(self._content, *coded) for coded in self._layout.coded):
            raise DecodeError(Status.CORRUPT, NOT_WRITTEN)
        self._content.seek(0)
        content = io.BytesIO(self._content.read(self._layout.end))
        try:
            image = self._codec(content)
            image.load()
        except (OSError, ValueError, SyntaxError, RuntimeError) as error:
            coding = self._layout.coded[0].codec
            if coding in self._codings:
                raise
            reason = f"pixels coded as {ascii(coding)[1:]} cannot be read here: {one_line(error)}"
            raise DecodeError(Status.UNSUPPORTED, reason) from None
        return image


def open_avif(content: BinaryIO, size: int) -> Picture:
    """Opens an AVIF; see `opening.open_picture`."""
    from PIL.AvifImagePlugin import AvifImageFile  # not in every Pillow

    layout = _layout(content, size)
    if layout is None:
        return PillowPicture(AvifImageFile(content), _MOST_BYTES_A_PIXEL)
    picture = _BoxedPicture(content, layout, AvifImageFile, _AV1)
    picture.orientation = layout.orientation
    return picture


def open_heif(content: BinaryIO, size: int) -> Picture:
    """Opens a HEIC; see `opening.open_picture`."""
    from pillow_heif import HeifImageFile  # its plugin is not registered: the program around us may mind

    layout = _layout(content, size)
    if layout is None:
        return PillowPicture(HeifImageFile(content), _MOST_BYTES_A_PIXEL)  # type: ignore[no-untyped-call]
    picture = _BoxedPicture(content, layout, HeifImageFile, _HEVC)
    picture.size = layout.cropped  # libheif crops and turns by itself
    return picture


def _layout(content: BinaryIO, size: int) -> Layout | None:
    layout = layout_of(content, size)
    content.seek(0)
    if layout is not None:
        last = max(end for coded in layout.coded for _, end in coded.pieces)
        if last > size:
            raise DecodeError(Status.CORRUPT, f"the file ends after {size} of {last} bytes")
    return layout


def _mode_and_bytes(layout: Layout) -> tuple[str, float]:
    """The mode of the pixels, and the bytes that decoding takes for each."""
    codec, configuration = layout.coded[0].codec, layout.configuration
    if codec in _AV1 and len(configuration) >= 3:
        flags = configuration[2]
        is_grey, is_full, is_deep = bool(flags & 0x10), not flags & 0x08, bool(flags & 0x40)
    elif codec in _HEVC and len(configuration) >= 18:
        chroma = configuration[16] & 3
        is_grey, is_full, is_deep = chroma == 0, chroma > 1, bool(configuration[17] & 7)
    else:
        return "RGB", _MOST_BYTES_A_PIXEL
    planes = (1 if is_grey else 3 if is_full else 1.5) * (_DEEP if is_deep else 1)
    if layout.has_alpha:
        return "RGB", planes + _ALPHA  # a square of RGBA takes no more than one of RGB
    return ("L", planes + _GREY) if is_grey else ("RGB", planes + _COLOUR)
