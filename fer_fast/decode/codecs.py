"""A path or a file's bytes come in, the pixels of its picture go out; nothing but a DecodeError is raised."""

from __future__ import annotations

import io
import mmap
from collections.abc import Iterator
from contextlib import contextmanager
from typing import BinaryIO, NamedTuple

from fer_fast.decode.faults import fault
from fer_fast.decode.files import check_readable, read_image_file
from fer_fast.decode.formats.kinds import HEAD, format_of
from fer_fast.decode.formats.opening import open_picture
from fer_fast.decode.formats.picture import Picture
from fer_fast.decode.interface import DEFAULT_MAX_PIXELS
from fer_fast.decode.pixels import square
from fer_fast.types import DecodeError, Stamp, Status

#: Bytes a pixel while an image is decoded, at most: a WebP's two frames; a progressive JPEG's coefficients are 6.
_MOST_BYTES = 8


class Opened(NamedTuple):
    """A file whose header has been read and checked.

    Attributes:
        picture: its pixels are still in the file.
        kind: the format, as `kinds.format_of` has it.
        content, size: the file and its bytes.
        stamp: tells whether the file was changed later.
    """

    picture: Picture
    kind: str
    content: BinaryIO
    size: int
    stamp: Stamp | None


@contextmanager
def opened(path: str, max_pixels: int = DEFAULT_MAX_PIXELS) -> Iterator[Opened]:
    """Opens an image file; whatever is raised inside becomes a DecodeError, too.

    Args:
        path: any str that the operating system gave.
        max_pixels: see `open_decoder`.

    Raises:
        DecodeError: with the status that the file's row gets; nothing else, whatever the file holds.
    """
    content, kind, size, stamp = read_image_file(path)
    try:
        yield _opened(content, kind, size, stamp, max_pixels)
    except Exception as error:
        raise _verdict(error, content, stamp) from None
    finally:
        content.close()


def decode_file(path: str, side: int, max_pixels: int = DEFAULT_MAX_PIXELS) -> tuple[bytes, Stamp | None]:
    """Decodes the first frame of one file.

    Args:
        path: any str that the operating system gave.
        side: S.
        max_pixels: see `open_decoder`.

    Returns:
        The pixels as `pixels.square` gives them, and the stamp of the file that was read.

    Raises:
        DecodeError: as `opened`.
    """
    content, kind, size, stamp = read_image_file(path)
    try:  # as `opened`, without the 2 us that a generator costs
        return decode_opened(_opened(content, kind, size, stamp, max_pixels), side), stamp
    except Exception as error:
        raise _verdict(error, content, stamp) from None
    finally:
        content.close()


def decode_content(encoded: bytes, side: int, max_pixels: int = DEFAULT_MAX_PIXELS) -> bytes:
    """Decodes the bytes of a file as the file.

    Raises:
        DecodeError: as `opened`.
    """
    content = io.BytesIO(encoded)
    try:
        kind = format_of(encoded[:HEAD], len(encoded))
        return decode_opened(_opened(content, kind, len(encoded), None, max_pixels), side)
    except Exception as error:
        raise _verdict(error, content, None) from None


def decode_opened(file: Opened, side: int) -> bytes:
    """The same of a file that is open; inside `opened` alone, which turns whatever is raised into a DecodeError."""
    picture = file.picture
    width, height = picture.size
    try:
        image = picture.load(side)
        return square(image, side, picture.orientation)
    except Exception:
        _check_memory(width * height)
        raise


def _check_memory(pixels: int) -> None:
    """Asks for the memory that an image takes: without it some codecs call the file broken.

    Raises:
        OSError: there is not as much.
    """
    if pixels:
        mmap.mmap(-1, _MOST_BYTES * pixels, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS).close()


def _opened(content: BinaryIO, kind: str, size: int, stamp: Stamp | None, max_pixels: int) -> Opened:
    picture = open_picture(kind, content, size)
    width, height = picture.size
    if width * height > max_pixels:
        reason = f"{width} x {height} pixels are more than the limit of {max_pixels}"
        raise DecodeError(Status.TOO_LARGE, reason)
    return Opened(picture, kind, content, size, stamp)


def _verdict(error: Exception, content: BinaryIO, stamp: Stamp | None) -> DecodeError:
    found = fault(error, stamp)
    if found.status is Status.CORRUPT and not isinstance(content, io.BytesIO):
        try:
            check_readable(content)
        except OSError as unreadable:
            return fault(unreadable, stamp)
    return found
