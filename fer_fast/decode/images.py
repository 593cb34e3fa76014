"""An image in memory comes in, the pixels that a model sees of it go out: those of the same image as a file."""

from __future__ import annotations

import os
import threading
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image
from PIL.ImageFile import ImageFile

from fer_fast.decode.codecs import decode_content
from fer_fast.decode.faults import fault
from fer_fast.decode.formats.exif import orientation_left
from fer_fast.decode.pixels import spread, square

Array = npt.NDArray[np.uint8]

#: An image that is still in its file is read by one thread at a time. A lock for each would outlive it or need a place
#: in it; images that share one of these wait for each other, no more.
_locks: list[threading.Lock] = []


def pixels_of(image: Array | Image.Image, size: int) -> Array:
    """The pixels that a model sees of one image in memory, by the same path as a file's.

    A JPEG that Pillow has opened and not loaded gives the pixels of its file: large ones are scaled while they are
    decoded, and `image` stays as it is. One that was loaded has been decoded in full, and the pixels differ from the
    file's by 0.4 of 255 on average if it is a large photo. A PNG that was not loaded is checked as its file is. Safe
    from several threads, with the same image, too.

    Args:
        image: uint8 [height, width, 3] or [height, width], or a Pillow image; EXIF orientation is obeyed.
        size: S.

    Returns:
        uint8 [S, S, 3].

    Raises:
        TypeError: neither an array nor a Pillow image, or not uint8.
        ValueError: an array of another shape, or without pixels.
        DecodeError: a Pillow image whose file is broken or cannot be read.
    """
    if isinstance(image, np.ndarray):
        image = Image.fromarray(_checked(image))
    elif not isinstance(image, Image.Image):
        raise TypeError(f"an image must be a uint8 array or a Pillow image, not {type(image).__name__}")
    pixels = np.empty((size, size, 3), np.uint8)
    spread(_square(image, size), pixels)
    return pixels


def _square(image: Image.Image, size: int) -> bytes:
    if isinstance(image, ImageFile) and image.tile and image.fp is None:
        raise ValueError("an image must be open or loaded, not closed")
    try:
        with _locks[id(image) // 64 % len(_locks)]:
            encoded = _unread(image)
            if encoded is None:
                image.load()
        if encoded is not None:
            return decode_content(encoded, size)
        return square(image, size, orientation_left(image))
    except Exception as error:  # Pillow reads a file's pixels only now
        if isinstance(error, ValueError) and "closed" in str(error):
            raise ValueError("an image must be open or loaded, not closed") from error
        raise fault(error) from error


def _unread(image: Image.Image) -> bytes | None:
    """The bytes of an image whose pixels are still in its file, as the file has them; None of any other image."""
    if not isinstance(image, ImageFile) or not image.tile or image.fp is None:
        return None
    if image.decoderconfig or image.tell() != 0:
        return None  # its owner wants it as draft() has left it, or a later picture
    position = image.fp.tell()
    try:
        image.fp.seek(0)
        return image.fp.read()
    finally:
        image.fp.seek(position)


def _checked(array: npt.NDArray[Any]) -> Array:
    if array.dtype != np.uint8:
        raise TypeError(f"an image array must be uint8, not {array.dtype}")
    if array.ndim == 3 and array.shape[2] == 1:
        array = array[:, :, 0]
    if array.ndim not in (2, 3) or (array.ndim == 3 and array.shape[2] != 3) or 0 in array.shape:
        shape = list(array.shape)
        raise ValueError(f"an image array must be [height, width, 3] or [height, width], not {shape}")
    return np.ascontiguousarray(array)


def _renew_locks() -> None:
    _locks[:] = [threading.Lock() for _ in range(64)]


_renew_locks()
os.register_at_fork(after_in_child=_renew_locks)  # another thread of the parent may have held one
