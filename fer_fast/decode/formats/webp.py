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


class _Layout(NamedTuple):
    """What the chunks of a file hold; the canvas is an animation's."""

    frame: _Frame
    canvas: tuple[int, int] | None
    orientation: int


class _WebpPicture(Picture):
    mode = "RGB"  # alpha is not decoded

    def __init__(self, content: BinaryIO, layout: _Layout) -> None:
        self._content = content
        self._frame = frame = layout.frame
        self.size = layout.canvas or frame.size
        self.orientation = layout.orientation
        self._length = min(frame.length, _MOST_BYTES + _MOST_BYTES_A_PIXEL * _area(frame.size))
        self.memory = _BYTES_A_PIXEL[frame.kind] * _area(frame.size) + _COPIES * self._length
        if self.size != frame.size:
            self.memory += _CANVAS * _area(self.size)

    def load(self, side: int) -> Image:
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
    content.seek(4)
    end = 8 + int.from_bytes(content.read(4), "little")
    if end > size:
        raise _ends(size, end)
    return _WebpPicture(content, _layout(content, end))


def _layout(content: BinaryIO, end: int) -> _Layout:
    frame = canvas = None
    metadata = {b"EXIF": b"", b"XMP ": b""}
    promises: int | None = None  # the flags of VP8X; a file without that is its picture alone
    has_hole = False
    for kind, start, length in _chunks(content, 12, end):
        if kind == b"VP8X":
            promises, sides = _extended(content.read(10))
        elif kind in metadata and not metadata[kind]:
            metadata[kind] = content.read(min(length, _MOST_METADATA, end - start))
        elif kind == b"ANMF" and frame is None and promises is not None:
            frame, canvas = _animated(content, start, min(start + length, end), sides), sides
        elif kind in _BYTES_A_PIXEL and frame is None:
            frame = _frame(content, kind, start, length, end)
        elif kind == bytes(4):
            has_hole = True
        if frame is not None and promises is None:
            break
    if frame is None:
        raise DecodeError(Status.CORRUPT, _NO_PICTURE)
    if has_hole and promises and promises & _EXIF and not metadata[b"EXIF"]:
        raise DecodeError(Status.CORRUPT, NOT_WRITTEN)  # the orientation is lost
    return _Layout(frame, canvas, orientation_of(metadata[b"EXIF"], metadata[b"XMP "]))


def _extended(body: bytes) -> tuple[int, tuple[int, int]]:
    """The flags and the canvas's sides."""
    if len(body) < 10:
        raise DecodeError(Status.CORRUPT, "the file ends within its first chunk")
    return body[0], (1 + int.from_bytes(body[4:7], "little"), 1 + int.from_bytes(body[7:10], "little"))


def _chunks(content: BinaryIO, start: int, end: int) -> Iterator[tuple[bytes, int, int]]:
    """The kind of each chunk, where its body starts, and the length that it claims; `content` is at that body."""
    for _ in range(_MOST_CHUNKS):
        content.seek(start)
        header = content.read(8)
        if start + 8 > end or len(header) < 8:
            return
        length = int.from_bytes(header[4:], "little")
        yield header[:4], start + 8, length
        start += 8 + length + length % 2


def _animated(content: BinaryIO, start: int, end: int, canvas: tuple[int, int]) -> _Frame:
    """The frame of a chunk ANMF, whose body starts there."""
    x, y = (2 * int.from_bytes(content.read(3), "little") for _ in range(2))
    for kind, body, length in _chunks(content, start + 16, end):
        if kind in _BYTES_A_PIXEL:
            frame = _frame(content, kind, body, length, end)._replace(place=(x, y))
            width, height = frame.size
            if x + width > canvas[0] or y + height > canvas[1]:
                reason = f"a frame of {width} x {height} pixels at {x}, {y} of a canvas of {canvas[0]} x {canvas[1]}"
                raise DecodeError(Status.CORRUPT, reason)
            return frame
    raise DecodeError(Status.CORRUPT, _NO_PICTURE)


def _frame(content: BinaryIO, kind: bytes, start: int, length: int, end: int) -> _Frame:
    if start + length > end:
        raise _ends(end, start + length)
    header = content.read(10)
    if kind == b"VP8 " and header[3:6] == b"\x9d\x01\x2a":
        width, height = (int.from_bytes(header[place : place + 2], "little") & 0x3FFF for place in (6, 8))
    elif kind == b"VP8L" and header[:1] == b"\x2f":
        sides = int.from_bytes(header[1:5], "little")
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


def _area(size: tuple[int, int]) -> int:
    return size[0] * size[1]


def _ends(size: int, promised: int) -> DecodeError:
    return DecodeError(Status.CORRUPT, f"the file ends after {size} of {promised} bytes")
