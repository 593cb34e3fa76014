"""A path or a file's bytes come in, pixels by Pillow's codecs go out; nothing but a DecodeError is raised."""

from __future__ import annotations

import io
import mmap
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import BinaryIO, NamedTuple

from PIL import Image, features
from PIL.BmpImagePlugin import BmpImageFile
from PIL.GifImagePlugin import GifImageFile
from PIL.ImageFile import ImageFile
from PIL.JpegImagePlugin import JpegImageFile
from PIL.PngImagePlugin import PngImageFile
from PIL.TiffImagePlugin import TiffImageFile

from fer_fast.decode.faults import fault
from fer_fast.decode.files import check_readable, read_image_file
from fer_fast.decode.formats import HEAD, check_png, webp_pixels
from fer_fast.decode.interface import DEFAULT_MAX_PIXELS
from fer_fast.decode.pixels import square
from fer_fast.types import DecodeError, Stamp, Status


class _Jpeg(JpegImageFile):
    def _read_dpi_from_exif(self) -> None:
        """Nothing: the resolution is of no use here, and reading it parses the whole EXIF block."""


# The plugins are called directly. Image.open would try them in turn, and warn about large images by a global
# limit that belongs to the program around us; this module has its own.
_PLUGINS: dict[str, type[ImageFile]] = {
    "jpeg": _Jpeg,
    "png": PngImageFile,
    "bmp": BmpImageFile,
    "tiff": TiffImageFile,
    "gif": GifImageFile,
}

#: Of the formats that Pillow may lack, what a row says then.
_TO_INSTALL = {
    "webp": "WebP needs a Pillow built with it: pip install --upgrade pillow",
    "avif": "AVIF needs Pillow 11.3 or later, built with it: pip install --upgrade pillow",
    "heif": "HEIC needs pillow-heif: pip install 'fer-fast[heif]'",
}

#: Bytes a pixel while an image is decoded, at most: a WebP's two frames; a progressive JPEG's coefficients are 6.
_MOST_BYTES = 8

#: Bytes that a JPEG decoder is given at once, so that it runs in one call without the GIL.
_BLOCK = 16 << 20

_preparing = threading.Lock()


def _renew_lock() -> None:
    global _preparing
    _preparing = threading.Lock()


os.register_at_fork(after_in_child=_renew_lock)  # another thread of the parent may have held it


class Opened(NamedTuple):
    """A file whose header has been read and checked.

    Attributes:
        image: its pixels are still in the file.
        kind: the format, as `formats.format_of` has it.
        content, size: the file and its bytes.
        stamp: tells whether the file was changed later.
    """

    image: ImageFile
    kind: str
    content: BinaryIO
    size: int
    stamp: Stamp | None


def lacking_codecs() -> dict[str, str]:
    """The formats that cannot be read here, and what to install for each."""
    prepare_codecs()
    return {kind: advice for kind, advice in _TO_INSTALL.items() if _optional_plugin(kind) is None}


def prepare_codecs() -> None:
    """Uses each codec once, so that none sets itself up on two threads at the same time."""
    with _preparing:
        _prepare()


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


def decode_opened(file: Opened, side: int) -> bytes:
    """The same of a file that is open; inside `opened` alone, which turns whatever is raised into a DecodeError."""
    width, height = file.image.size
    if file.kind == "jpeg":
        _shrink_while_decoding(file.image, side)
        file.image.decodermaxblock = max(file.image.decodermaxblock, min(file.size, _BLOCK))
    try:
        return square(file.image, side)
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


def decode_jpeg(encoded: bytes, side: int) -> bytes:
    """Decodes the bytes of a JPEG as those of a file, without a limit of pixels.

    Raises:
        DecodeError: it is broken.
    """
    try:
        return decode_opened(_opened(io.BytesIO(encoded), "jpeg", len(encoded), None, None), side)
    except Exception as error:
        raise fault(error) from None


def _opened(content: BinaryIO, kind: str, size: int, stamp: Stamp | None, max_pixels: int | None) -> Opened:
    try:
        image = _plugin(kind)(content)
    except OSError:
        if kind == "webp":  # its codec takes the memory here, and says only that there is no decoder
            content.seek(0)
            promised = webp_pixels(content.read(HEAD))
            _check_memory(min(promised, max_pixels or promised))
        raise
    width, height = image.size
    if max_pixels is not None and width * height > max_pixels:
        reason = f"{width} x {height} pixels are more than the limit of {max_pixels}"
        raise DecodeError(Status.TOO_LARGE, reason)
    if kind == "png":
        check_png(content)
    return Opened(image, kind, content, size, stamp)


def _verdict(error: Exception, content: BinaryIO, stamp: Stamp | None) -> DecodeError:
    found = fault(error, stamp)
    if found.status is Status.CORRUPT and not isinstance(content, io.BytesIO):
        try:
            check_readable(content)
        except OSError as unreadable:
            return fault(unreadable, stamp)
    return found


def _shrink_while_decoding(image: ImageFile, side: int) -> None:
    """Lets libjpeg scale a large photo by 1/2, 1/4 or 1/8, never below twice the wanted side.

    At twice the side the pixels differ from a full decode by 0.4 of 255 on average, in half the time or less;
    at once the side by 0.6 to 1.0.
    """
    image.draft(None, (2 * side, 2 * side))


def _plugin(kind: str) -> type[ImageFile]:
    plugin = _PLUGINS.get(kind) or _optional_plugin(kind)
    if plugin is None:
        raise DecodeError(Status.UNSUPPORTED, _TO_INSTALL[kind], again=True)
    return plugin


@cache
def _optional_plugin(kind: str) -> type[ImageFile] | None:
    """The plugin of a format that Pillow may lack. pillow-heif's is not registered: the program around us may mind."""
    if kind == "webp" and features.check("webp"):
        from PIL.WebPImagePlugin import WebPImageFile

        return WebPImageFile
    # Pillow before 11.3 does not know the name, and warns when it is asked.
    if kind == "avif" and "avif" in features.modules and features.check("avif"):
        from PIL.AvifImagePlugin import AvifImageFile

        return AvifImageFile
    if kind == "heif":
        try:
            from pillow_heif import HeifImageFile
        except ImportError:
            return None
        heif: type[ImageFile] = HeifImageFile
        return heif
    return None


@cache
def _prepare() -> None:
    Image.preinit()
    for kind in _TO_INSTALL:
        _optional_plugin(kind)
    for kind, (feature, options) in _SAMPLES.items():
        if features.check(feature):
            content = io.BytesIO()
            Image.new("RGB", (2, 2)).save(content, kind, **options)
            content.seek(0)
            square(_plugin(kind)(content), 1)


#: What each codec that sets itself up is first tried on, if Pillow was built with it: a small image saved so.
_SAMPLES: dict[str, tuple[str, dict[str, str]]] = {
    "jpeg": ("jpg", {}),
    "png": ("zlib", {}),
    "webp": ("webp", {}),
    "tiff": ("libtiff", {"compression": "tiff_lzw"}),
}
