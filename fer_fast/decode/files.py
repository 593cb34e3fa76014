"""A path comes in; the file's bytes and its format by content go out, or the status that says why not."""

from __future__ import annotations

import errno
import io
import os
import stat
import zlib
from typing import BinaryIO

from fer_fast.types import DecodeError, Stamp, Status

#: The formats that are read, by their first bytes; the suffix has no say.
_MAGIC: tuple[tuple[bytes, str], ...] = (
    (b"\xff\xd8\xff", "jpeg"),
    (b"\x89PNG\r\n\x1a\n", "png"),
    (b"GIF87a", "gif"),
    (b"GIF89a", "gif"),
    (b"II*\0", "tiff"),
    (b"MM\0*", "tiff"),
    (b"II+\0", "tiff"),
    (b"MM\0+", "tiff"),
)
_BMP_HEADER_SIZES = (12, 16, 40, 52, 56, 64, 108, 124)
_HEAD = 18  # bytes that tell the format: up to the header size of a BMP

#: Files up to here are read at once, larger ones piecewise: a film named .jpg costs no memory.
_READ_AT_ONCE = 64 << 20


def read_image_file(path: str) -> tuple[BinaryIO, str, int, Stamp]:
    """Opens a regular file that begins like an image.

    Returns:
        The content (the caller closes it), the format (jpeg, png, webp, bmp, tiff, gif), the size in bytes, the stamp.

    Raises:
        DecodeError: `UNREADABLE`, `EMPTY`, `UNSUPPORTED`, or `CORRUPT` if it ends within its first bytes.
    """
    try:
        # Without O_NONBLOCK a FIFO named face.jpg would wait for a writer for ever.
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        raise DecodeError(Status.UNREADABLE, _unreadable(path, error)) from None
    except ValueError as error:  # a NUL or a lone surrogate: no file can be called so
        raise DecodeError(Status.UNREADABLE, f"no file can have this name: {error}") from None
    try:
        content, size, stamp = _content(descriptor)
    except OSError as error:
        raise DecodeError(Status.UNREADABLE, error.strerror or str(error)) from None
    try:
        head = content.read(_HEAD)
        content.seek(0)
        return content, _format_of(head, size), size, stamp
    except OSError as error:
        content.close()
        raise DecodeError(Status.UNREADABLE, error.strerror or str(error), stamp) from None
    except DecodeError as error:
        content.close()
        error.stamp = stamp
        raise


def _content(descriptor: int) -> tuple[BinaryIO, int, Stamp]:
    """Takes over the descriptor of a file that is open for reading."""
    try:
        status = os.fstat(descriptor)
        stamp = (status.st_size, status.st_mtime_ns)
        if stat.S_ISDIR(status.st_mode):
            raise DecodeError(Status.UNREADABLE, "is a directory", stamp)
        if not stat.S_ISREG(status.st_mode):
            raise DecodeError(Status.UNREADABLE, "is not a regular file", stamp)
        if status.st_size == 0:
            raise DecodeError(Status.EMPTY, "the file has no bytes", stamp)
        if status.st_size > _READ_AT_ONCE:
            descriptor, taken = -1, descriptor
            return os.fdopen(taken, "rb"), status.st_size, stamp
        data = os.read(descriptor, status.st_size)
        while len(data) < status.st_size and (more := os.read(descriptor, status.st_size - len(data))):
            data += more
        return io.BytesIO(data), len(data), stamp
    finally:
        if descriptor >= 0:
            os.close(descriptor)


def _format_of(head: bytes, size: int) -> str:
    for magic, name in _MAGIC:
        if head.startswith(magic):
            return name
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return "webp"
    if head[:2] == b"BM" and int.from_bytes(head[14:18], "little") in _BMP_HEADER_SIZES:
        return "bmp"
    if size < _HEAD and _may_begin_an_image(head):
        raise DecodeError(Status.CORRUPT, f"the file ends after {size} bytes")
    raise DecodeError(Status.UNSUPPORTED, "not a jpeg, png, webp, bmp, tiff or gif image")


def check_png(content: BinaryIO) -> None:
    """Checks a PNG's chunks up to its end, as Pillow does not: it takes pixels whose checksum is wrong.

    An interrupted copy often has its full length and zeros at the end; without this it would be half a face.

    Raises:
        DecodeError: `CORRUPT` for a missing end or a wrong checksum of a chunk that the pixels depend on.
    """
    position = content.tell()
    content.seek(8)
    kind = b""
    while kind != b"IEND":
        length, kind = int.from_bytes(content.read(4), "big"), content.read(4)
        if kind[:1].islower():  # ancillary: no reason to lose a face
            content.seek(length + 4, os.SEEK_CUR)
            continue
        checksum = zlib.crc32(kind)
        while length > 0 and (piece := content.read(min(length, 1 << 20))):
            checksum = zlib.crc32(piece, checksum)
            length -= len(piece)
        if len(kind) < 4 or length > 0 or content.read(4) != checksum.to_bytes(4, "big"):
            raise DecodeError(Status.CORRUPT, f"broken PNG chunk {ascii(kind)[1:]}" if kind else "no end of the PNG")
    content.seek(position)


def jpeg_coding(content: bytes) -> int:
    """How a JPEG's pixels are coded: the last byte of its frame header's marker, 0xC0 to 0xCF; 0 if it has none."""
    place = 2
    while place + 4 <= len(content) and content[place] == 0xFF:
        marker = content[place + 1]
        if marker == 0xFF:  # fill
            place += 1
            continue
        if 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC):  # tables and extensions among them
            return marker
        place += 2 + int.from_bytes(content[place + 2 : place + 4], "big")
    return 0


def _may_begin_an_image(head: bytes) -> bool:
    if any(magic.startswith(head) for magic, _ in _MAGIC):
        return True
    if head.startswith(b"BM"[: len(head)]):
        return len(head) < _HEAD
    return b"RIFF".startswith(head[:4]) and b"WEBP".startswith(head[8:12])


def _unreadable(path: str, error: OSError) -> str:
    if error.errno == errno.ENOENT and os.path.islink(path):  # noqa: PTH114 (a Path cannot hold every str)
        return "a link to a file that does not exist"
    if error.errno == errno.ENXIO:
        return "is not a regular file"  # a socket
    return error.strerror or str(error)
