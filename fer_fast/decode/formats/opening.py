"""A file of a known format comes in, its picture goes out, if that format can be read here."""

from __future__ import annotations

import io
import os
import threading
from collections.abc import Callable
from functools import cache
from typing import BinaryIO, TypeAlias

from PIL import Image, features

from fer_fast.decode.formats.boxes import open_avif, open_heif
from fer_fast.decode.formats.jpeg import open_jpeg
from fer_fast.decode.formats.picture import Picture
from fer_fast.decode.formats.plain import open_bmp, open_gif
from fer_fast.decode.formats.png import open_png
from fer_fast.decode.formats.tiff import open_tiff
from fer_fast.decode.formats.webp import open_webp
from fer_fast.decode.pixels import square
from fer_fast.machine.extras import pip_line
from fer_fast.types import DecodeError, Status

Open: TypeAlias = Callable[[BinaryIO, int], Picture]

#: What opens a file of each format: its content and its size in bytes come in. Image.open would try plugins in turn,
#: and warn about large images by a global limit that belongs to the program around us; this package has its own.
_OPEN: dict[str, Open] = {
    "jpeg": open_jpeg,
    "png": open_png,
    "webp": open_webp,
    "bmp": open_bmp,
    "tiff": open_tiff,
    "gif": open_gif,
    "avif": open_avif,
    "heif": open_heif,
}

#: Of the formats that may be lacking here, what a row says then.
_TO_INSTALL = {
    "webp": "WebP needs a Pillow built with it: pip install --upgrade pillow",
    "avif": "AVIF needs Pillow 11.3 or later, built with it: pip install --upgrade pillow",
    "heif": f"HEIC needs pillow-heif: {pip_line('heif')}",
}

OPTIONAL = tuple(_TO_INSTALL)

#: What each codec that sets itself up is first tried on, if Pillow was built with it: a small image saved so.
_SAMPLES: dict[str, tuple[str, dict[str, str]]] = {
    "jpeg": ("jpg", {}),
    "png": ("zlib", {}),
    "webp": ("webp", {}),
    "tiff": ("libtiff", {"compression": "tiff_lzw"}),
}

_preparing = threading.Lock()


def open_picture(kind: str, content: BinaryIO, size: int) -> Picture:
    """Reads the header of a file.

    Args:
        kind: the format, as `kinds.format_of` has it.
        content: at its beginning; it must stay open until the picture is loaded.
        size: of the file, in bytes.

    Raises:
        DecodeError: `UNSUPPORTED`, with what to install or what the file is; `CORRUPT` where damage shows by now.
        Exception: whatever a codec raises on a broken file.
    """
    if not _can_read(kind):
        raise DecodeError(Status.UNSUPPORTED, _TO_INSTALL[kind], again=True)
    return _OPEN[kind](content, size)


def lacking_codecs() -> dict[str, str]:
    """The formats that cannot be read here, and what to install for each."""
    prepare_codecs()
    return {kind: advice for kind, advice in _TO_INSTALL.items() if not _can_read(kind)}


def prepare_codecs() -> None:
    """Uses each codec once, so that none sets itself up on two threads at the same time."""
    with _preparing:
        _prepare()


@cache
def _can_read(kind: str) -> bool:
    if kind == "webp":
        return bool(features.check("webp"))
    if kind == "avif":  # Pillow before 11.3 does not know the name, and warns when it is asked
        return "avif" in features.modules and bool(features.check("avif"))
    if kind == "heif":
        try:
            import pillow_heif  # noqa: F401
        except ImportError:
            return False
    return True


@cache
def _prepare() -> None:
    Image.preinit()
    # Image.save, asked for a format that is not there yet, imports every plugin that Pillow has: 20 ms.
    from PIL import TiffImagePlugin, WebPImagePlugin  # noqa: F401

    for kind in _TO_INSTALL:
        _can_read(kind)
    for kind, (feature, options) in _SAMPLES.items():
        if features.check(feature):
            content = io.BytesIO()
            Image.new("RGB", (2, 2)).save(content, kind, **options)
            size = content.tell()
            content.seek(0)
            square(open_picture(kind, content, size).load((2, 2)), 1)


def _renew_lock() -> None:
    global _preparing
    _preparing = threading.Lock()


os.register_at_fork(after_in_child=_renew_lock)  # another thread of the parent may have held it
