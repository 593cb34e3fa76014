"""A WebP comes in, a picture goes out: its only frame, or the first of an animation.

Its chunks are walked here, so that opening reads little more than their headers, and libwebp gets the coded frame
alone: neither a damaged colour profile nor damaged alpha, which is dropped anyway, costs a face.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from typing import TYPE_CHECKING, BinaryIO, NamedTuple

from fer_fast.decode.formats.exif import orientation_of
from fer_fast.decode.formats.frame_holes import NOT_WRITTEN, frame_written
from fer_fast.decode.formats.picture import Picture
from fer_fast.types import DecodeError, Status

if TYPE_CHECKING:
    from PIL.Image import Image

    from fer_fast.decode.pixels import Size

#: Of a frame: the decoder's own, a canvas and the one before it, Pillow's two; of an animation's canvas around it.
_BYTES_A_PIXEL = {b"VP8 ": 17, b"VP8L": 19}
_CANVAS = 5
#: Of the coded frame: as read, as a file for libwebp, as Pillow holds that, and libwebp.
_COPIES = 4
#: Coded bytes that are read, at most: lossless noise takes four a pixel.
_MOST_BYTES, _MOST_BYTES_A_PIXEL = 1 << 16, 16
#: Of a file of 64 MiB: it could have eight million without a body.
_MOST_CHUNKS = 1 << 16
#: Of EXIF or XMP: the orientation is in its first directory.
_MOST_METADATA = 1 << 20

#: A flag of VP8X.
_EXIF = 8

_NO_PICTURE = "a WebP without a picture"


class _Frame(NamedTuple):
    """A coded frame: its chunk's kind, where its body is, its sides in pixels, its place on an animation's canvas."""

    kind: bytes
    start: int
    length: int
    size: tuple[int, int]
    place: tuple[int, int] = (0, 0)


class _WebpPicture(Picture):
    """A coded frame, on the canvas of an animation if there is one."""

    mode = "RGB"  # alpha is not decoded

    def __init__(self, content: BinaryIO, frame: _Frame, canvas: tuple[int, int] | None = None) -> None:
        self._content, self._frame = content, frame
        self.size = canvas or frame.size
        pixels = frame.size[0] * frame.size[1]
        self._length = min(frame.length, _MOST_BYTES + _MOST_BYTES_A_PIXEL * pixels)
        self.memory = _BYTES_A_PIXEL[frame.kind] * pixels + _COPIES * self._length
        if self.size != frame.size:
            self.memory += _CANVAS * self.size[0] * self.size[1]

    def load(self, least: Size) -> Image:
        """See `Picture.load`."""
        kind = self._frame.kind
        self._content.seek(self._frame.start)
        coded = self._content.read(self._length)
        written = frame_written(coded, kind == b"VP8 ", lambda each: _decodes(kind, each))
        if written is None:
            raise DecodeError(Status.CORRUPT, NOT_WRITTEN)
        image = _decoded(kind, written)
        return image if image.size == self.size else _on_canvas(image, self.size, self._frame.place)


def open_webp(content: BinaryIO, size: int) -> Picture:
    """Opens a WebP; see `opening.open_picture`."""
    content.seek(0)
    head = content.read(30)
    end = 8 + int.from_bytes(head[4:8], "little")
    if end > size:
        raise _ends(size, end)
    kind = head[12:16]
    if kind in _BYTES_A_PIXEL:  # a picture alone, as most are
        return _WebpPicture(content, _frame(kind, 20, int.from_bytes(head[16:20], "little"), end, head[20:]))
    return _extended(content, end)


def _extended(content: BinaryIO, end: int) -> Picture:
    """Opens a file of several chunks: the first is VP8X as a rule, and says what there is."""
    picture: _WebpPicture | None = None
    metadata = {b"EXIF": b"", b"XMP ": b""}
    flags, canvas, has_hole = 0, None, False
    for kind, start, length, head in _chunks(content, 12, end):
        if kind == b"VP8X" and len(head) == 10:
            flags = head[0]
            canvas = 1 + int.from_bytes(head[4:7], "little"), 1 + int.from_bytes(head[7:], "little")
        elif kind in metadata and not metadata[kind]:
            content.seek(start)
            metadata[kind] = content.read(min(length, _MOST_METADATA, end - start))
        elif picture is None and kind == b"ANMF" and canvas:
            picture = _WebpPicture(content, _animated(content, start, min(start + length, end), canvas, head), canvas)
        elif picture is None and kind in _BYTES_A_PIXEL:
            picture = _WebpPicture(content, _frame(kind, start, length, end, head))
        elif kind == bytes(4):
            has_hole = True
    if picture is None:
        raise DecodeError(Status.CORRUPT, _NO_PICTURE)
    if has_hole and flags & _EXIF and not metadata[b"EXIF"]:
        raise DecodeError(Status.CORRUPT, NOT_WRITTEN)  # the orientation is lost
    picture.orientation = orientation_of(metadata[b"EXIF"], metadata[b"XMP "])
    return picture


def _chunks(content: BinaryIO, start: int, end: int) -> Iterator[tuple[bytes, int, int, bytes]]:
    """Of each chunk the kind, where its body starts, the length that it claims, and up to ten bytes of its body."""
    for _ in range(_MOST_CHUNKS):
        if start + 8 > end:
            return
        content.seek(start)
        head = content.read(min(18, end - start))
        length = int.from_bytes(head[4:8], "little")
        yield head[:4], start + 8, length, head[8 : 8 + length]
        start += 8 + length + length % 2


def _animated(content: BinaryIO, start: int, end: int, canvas: tuple[int, int], head: bytes) -> _Frame:
    """The frame of a chunk ANMF."""
    x, y = 2 * int.from_bytes(head[:3], "little"), 2 * int.from_bytes(head[3:6], "little")
    for kind, body, length, coded in _chunks(content, start + 16, end):
        if kind in _BYTES_A_PIXEL:
            frame = _frame(kind, body, length, end, coded)._replace(place=(x, y))
            width, height = frame.size
            if x + width > canvas[0] or y + height > canvas[1]:
                reason = f"a frame of {width} x {height} pixels at {x}, {y} of a canvas of {canvas[0]} x {canvas[1]}"
                raise DecodeError(Status.CORRUPT, reason)
            return frame
    raise DecodeError(Status.CORRUPT, _NO_PICTURE)


def _frame(kind: bytes, start: int, length: int, end: int, coded: bytes) -> _Frame:
    """A chunk of pixels, of whose body `coded` is the beginning."""
    if start + length > end:
        raise _ends(end, start + length)
    if kind == b"VP8 " and coded[3:6] == b"\x9d\x01\x2a":
        width, height = int.from_bytes(coded[6:8], "little") & 0x3FFF, int.from_bytes(coded[8:10], "little") & 0x3FFF
    elif kind == b"VP8L" and coded[:1] == b"\x2f":
        sides = int.from_bytes(coded[1:5], "little")
        width, height = 1 + (sides & 0x3FFF), 1 + (sides >> 14 & 0x3FFF)
    else:
        width = height = 0
    if not width or not height:
        raise DecodeError(Status.CORRUPT, "a WebP whose picture has no header")
    return _Frame(kind, start, length, (width, height))


def _decoded(kind: bytes, coded: bytes) -> Image:
    from PIL.WebPImagePlugin import WebPImageFile  # not in every Pillow

    chunk = b"".join((kind, len(coded).to_bytes(4, "little"), coded, bytes(len(coded) % 2)))
    image = WebPImageFile(io.BytesIO(b"".join((b"RIFF", (4 + len(chunk)).to_bytes(4, "little"), b"WEBP", chunk))))
    image.load()
    return image


def _decodes(kind: bytes, coded: bytes) -> bool:
    try:
        _decoded(kind, coded)
    except MemoryError:
        raise
    except Exception:  # whatever libwebp makes of too few bytes
        return False
    return True


def _on_canvas(image: Image, size: tuple[int, int], place: tuple[int, int]) -> Image:
    """An animation's first frame where it belongs; around it the canvas is empty."""
    from PIL import Image

    canvas = Image.new("RGB", size)
    canvas.paste(image.convert("RGB"), place)
    return canvas


def _ends(size: int, promised: int) -> DecodeError:
    return DecodeError(Status.CORRUPT, f"the file ends after {size} of {promised} bytes")
