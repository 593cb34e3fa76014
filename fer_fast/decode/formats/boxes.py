"""A file of the family of ISO 14496-12, AVIF or HEIC, comes in, a picture goes out.

Opening it reads the boxes that describe its picture, see `items`; a file that these say too little of is opened by its
codec, which reads it whole.
"""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import TYPE_CHECKING, BinaryIO

from fer_fast.decode.formats.items import Layout, layout_of
from fer_fast.decode.formats.picture import Picture, PillowPicture
from fer_fast.decode.formats.unwritten import NOT_WRITTEN, has_hole
from fer_fast.types import DecodeError, Status

if TYPE_CHECKING:
    from PIL.Image import Image
    from PIL.ImageFile import ImageFile

#: The codec's planes, RGB, and Pillow's own.
_BYTES_A_PIXEL = 16


class _BoxedPicture(Picture):
    """A picture whose coded bytes are known.

    Args:
        content: its file.
        layout: of the file.
        codec: opens a file that ends where the layout does.
    """

    mode = "RGB"

    def __init__(self, content: BinaryIO, layout: Layout, codec: Callable[[BinaryIO], ImageFile]) -> None:
        self._content, self._layout, self._codec = content, layout, codec
        self.size = layout.size
        self.memory = _BYTES_A_PIXEL * layout.size[0] * layout.size[1] + 2 * layout.end

    def load(self, side: int) -> Image:
        """See `Picture.load`."""
        if any(has_hole(self._content, *coded) for coded in self._layout.coded):
            raise DecodeError(Status.CORRUPT, NOT_WRITTEN)
        self._content.seek(0)
        image = self._codec(io.BytesIO(self._content.read(self._layout.end)))
        image.load()
        return image


def open_avif(content: BinaryIO, size: int) -> Picture:
    """Opens an AVIF; see `opening.open_picture`."""
    from PIL.AvifImagePlugin import AvifImageFile  # not in every Pillow

    layout = _layout(content, size)
    if layout is None:
        return PillowPicture(AvifImageFile(content), _BYTES_A_PIXEL)
    picture = _BoxedPicture(content, layout, AvifImageFile)
    picture.orientation = layout.orientation
    return picture


def open_heif(content: BinaryIO, size: int) -> Picture:
    """Opens a HEIC; see `opening.open_picture`."""
    from pillow_heif import HeifImageFile  # its plugin is not registered: the program around us may mind

    layout = _layout(content, size)
    if layout is None:
        return PillowPicture(HeifImageFile(content), _BYTES_A_PIXEL)  # type: ignore[no-untyped-call]
    picture = _BoxedPicture(content, layout, HeifImageFile)
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
