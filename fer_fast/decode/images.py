"""An image in memory comes in, the pixels that a model sees of it go out: those of the same image as a file."""

from __future__ import annotations

import io
import os
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
from PIL import Image
from PIL.ImageFile import ImageFile

from fer_fast.decode.codecs import decode_content
from fer_fast.decode.faults import fault
from fer_fast.decode.formats.exif import orientation_left
from fer_fast.decode.formats.kinds import HEAD, format_of
from fer_fast.decode.formats.picture import Picture
from fer_fast.decode.limits import DEFAULT_MAX_PIXELS, limits_of
from fer_fast.decode.views import Square
from fer_fast.types import DecodeError, Status, one_line

if TYPE_CHECKING:
    from typing import Protocol, TypeAlias

    from fer_fast.decode.pixels import Size

    class BinaryFile(Protocol):
        """What is asked of a file object; one that also has tell and seek is read from its beginning."""

        def read(self, size: int = -1, /) -> bytes:
            """The rest of it."""

    Array: TypeAlias = npt.NDArray[np.uint8]
    Encoded: TypeAlias = bytes | bytearray | memoryview
    ImageInMemory: TypeAlias = Array | Image.Image | Encoded | BinaryFile

_CLOSED = "the image is closed: it must be open or loaded"

#: An image that is still in its file is read by one thread at a time. A lock for each would outlive it or need a place
#: in it; images that share one of these wait for each other, no more.
_locks: list[threading.Lock] = []


def pixels_of(
    image: ImageInMemory,
    size: int,
    max_pixels: int = DEFAULT_MAX_PIXELS,
    exif: bool = True,
    decode: Callable[[bytes], Array] | None = None,
) -> Array:
    """The pixels that a model sees of one image in memory, by the same path as a file's.

    An encoded image gives the pixels of its file, and so does one that Pillow has opened and not loaded: large JPEGs
    are scaled while they are decoded, a PNG is checked to its end. It stays as it is. One that was loaded has been
    decoded in full: of a large JPEG the pixels differ from the file's, of a smooth one by less than 0.7 of 255 on
    average. Safe from several threads, with the same image, too.

    Args:
        image: uint8 [height, width, 3] (RGB) or [height, width] (grey), of any strides; a Pillow image; or an encoded
            image file: its bytes, or a binary file object. One that can seek is read from its beginning, wherever it
            stands, and stands there again afterwards; another is read from where it stands to its end.
        size: S.
        max_pixels: an image with more is refused, of whatever kind it is; one that is encoded is not decoded then.
        exif: False takes a Pillow image as Pillow loads it, not turned by its EXIF orientation: it may have been
            turned by hand and keep that. Encoded images are files, and turned whatever this is; arrays have no EXIF.
        decode: what decodes an encoded image to size S; see `Decoder.decode_content`. None is this thread, which cannot
            be ended.

    Returns:
        uint8 [S, S, 3].

    Raises:
        TypeError: none of these kinds, an array that is not uint8, or a file object in text mode.
        ValueError: an array of another shape; an array or a Pillow image without pixels.
        DecodeError: it gives no pixels, for the reasons that a file has; a closed Pillow image or file object is
            `UNREADABLE`, no bytes at all are `EMPTY`.
    """
    source = source_of(image, max_pixels, exif)
    if isinstance(source, bytes) and decode is not None:
        return decode(source)
    view = Square(size)
    if isinstance(source, bytes):
        data = decode_content(source, view, limits_of(1, max_pixels))
    else:
        with image_faults():
            picture = LoadedPicture(source, exif)
            data = view.make(picture, picture.image)
    pixels = view.empty()
    view.put(data, pixels)
    return pixels


class LoadedPicture(Picture):
    """A picture that is in memory already.

    Args:
        source: what `source_of` gives of an image that is not encoded.
        exif: see `pixels_of`.

    Raises:
        Exception: whatever Pillow raises.
    """

    memory = 0

    def __init__(self, source: Array | Image.Image, exif: bool) -> None:
        self.image = source if isinstance(source, Image.Image) else Image.fromarray(source)
        self.size, self.mode = self.image.size, self.image.mode
        self.orientation = orientation_left(self.image) if exif else 1

    def load(self, least: Size) -> Image.Image:
        """See `Picture.load`."""
        return self.image


def copy_of(
    image: ImageInMemory, max_pixels: int = DEFAULT_MAX_PIXELS, exif: bool = True
) -> Array | Image.Image | bytes:
    """An image that nobody else has, and that gives the pixels of this one, whatever becomes of this one.

    Args:
        image, max_pixels, exif: see `pixels_of`.

    Raises:
        Exception: as `pixels_of`; damage to what is still encoded shows in that.
    """
    source = source_of(image, max_pixels, exif)
    with image_faults():
        return source if isinstance(source, bytes) else source.copy()


def check_images(images: Iterable[Any], exif: bool) -> None:
    """Refuses what is one image instead of several, and an `exif` that is no bool.

    Raises:
        TypeError: in words that name it.
    """
    one = isinstance(images, (str, os.PathLike, bytes, bytearray, memoryview, io.IOBase))
    if isinstance(images, np.ndarray):
        one = images.ndim != 4
    if one or not isinstance(images, Iterable):
        raise TypeError(f"images must be several images, such as a list, not one {type(images).__name__}")
    if not isinstance(exif, bool):
        raise TypeError(f"exif must be True or False, not {exif!r}")


def is_held(images: Iterable[Any]) -> bool:
    """Whether images stay as they are while others of them are taken: those of anything else may share a buffer."""
    return type(images) in (list, tuple) or isinstance(images, np.ndarray)


@contextmanager
def naming(image: Any, place: int) -> Iterator[None]:
    """Says which image is at fault: its path, or its place as images[3]."""
    name = os.fsdecode(image) if isinstance(image, (str, os.PathLike)) else f"images[{place}]"
    try:
        yield
    except DecodeError as error:
        raise called(error, name) from error
    except (TypeError, ValueError) as error:
        kind = TypeError if isinstance(error, TypeError) else ValueError
        raise kind(f"{name}: {error}") from error


def called(error: DecodeError, name: str) -> DecodeError:
    """The same error, of an image that has a name."""
    return DecodeError(error.status, f"{name}: {error}", error.stamp, error.again)


def source_of(image: ImageInMemory, max_pixels: int, exif: bool) -> Array | Image.Image | bytes:
    """An array as it is, a Pillow image that is loaded, or the bytes of a file.

    Args:
        image, max_pixels, exif: see `pixels_of`.

    Raises:
        Exception: as `pixels_of`, but for what only decoding shows.
    """
    if isinstance(image, np.ndarray):
        array = _checked(image)
        _check_size(array.shape[1], array.shape[0], max_pixels)
        return array
    with _locks[id(image) // 64 % len(_locks)]:
        if isinstance(image, Image.Image):
            if 0 in image.size:
                raise ValueError(f"an image must have pixels, not be {image.width} x {image.height}")
            return _unread_or_loaded(image, max_pixels, exif)
        encoded = bytes(image) if isinstance(image, (bytes, bytearray, memoryview)) else _content(image)
    if not encoded:
        raise DecodeError(Status.EMPTY, "the file has no bytes")
    return encoded


def _unread_or_loaded(image: Image.Image, max_pixels: int, exif: bool) -> Image.Image | bytes:
    with image_faults():
        _check_size(*image.size, max_pixels)
        if isinstance(image, ImageFile) and image.tile and image.fp is None:
            raise DecodeError(Status.UNREADABLE, _CLOSED)
        encoded = _unread(image) if exif else None
        if encoded is not None:
            return encoded
        image.load()
        return image


def _unread(image: Image.Image) -> bytes | None:
    """The bytes of an image whose pixels are still in its file, as the file has them; None of any other image."""
    if not isinstance(image, ImageFile) or not image.tile or image.fp is None:
        return None
    if image.decoderconfig or image.tell() != 0:
        return None  # its owner wants it as draft() has left it, or a later picture
    position = image.fp.tell()
    try:
        image.fp.seek(0)
        encoded: bytes = image.fp.read()
    finally:
        image.fp.seek(position)
    return encoded if _is_known(encoded) else None  # Pillow reads more formats than this package


def _is_known(encoded: bytes) -> bool:
    try:
        format_of(encoded[:HEAD], len(encoded))
    except DecodeError as error:
        return error.status is not Status.UNSUPPORTED
    return True


def _content(file: Any) -> bytes:
    """What is in a file object; it stands where it stood, if it can."""
    read = getattr(file, "read", None)
    if not callable(read):
        kinds = "a uint8 array, a Pillow image, or an encoded image as bytes or a binary file"
        raise TypeError(f"an image must be {kinds}, not {type(file).__name__}")
    try:
        position = _rewound(file)
        try:
            encoded = read()
        finally:
            if position is not None:
                file.seek(position)
    except Exception as error:  # whoever wrote the file object may raise anything; no word on what is in it
        if isinstance(error, (MemoryError, DecodeError)) or (isinstance(error, OSError) and error.errno is not None):
            raise fault(error) from error
        raise DecodeError(Status.UNREADABLE, f"the file object cannot be read: {one_line(error)}") from error
    if not isinstance(encoded, (bytes, bytearray, memoryview)):
        raise TypeError(f"an image's file must be binary, not one whose read() gives {type(encoded).__name__}")
    return bytes(encoded)


def _rewound(file: Any) -> int | None:
    """Goes to a file object's beginning, and gives where it stood; None if it cannot, as a pipe cannot."""
    try:
        position: int = file.tell()
        file.seek(0)
    except (AttributeError, OSError):
        return None
    return position


def _check_size(width: int, height: int, max_pixels: int) -> None:
    if width * height > max_pixels:
        reason = f"{width} x {height} pixels are more than the limit of {max_pixels}"
        raise DecodeError(Status.TOO_LARGE, reason)


@contextmanager
def image_faults() -> Iterator[None]:
    """Whatever Pillow raises is a DecodeError."""
    try:
        yield
    except Exception as error:
        if isinstance(error, ValueError) and "closed" in str(error):
            raise DecodeError(Status.UNREADABLE, _CLOSED) from error
        raise fault(error) from error


def _checked(array: npt.NDArray[Any]) -> Array:
    if array.dtype != np.uint8:
        raise TypeError(f"an image array must be uint8, not {array.dtype}")
    if array.ndim == 3 and array.shape[2] == 1:
        array = array[:, :, 0]
    if array.ndim not in (2, 3) or (array.ndim == 3 and array.shape[2] != 3) or 0 in array.shape:
        shape = list(array.shape)
        raise ValueError(f"an image array must be [height, width, 3] or [height, width], not {shape}")
    return np.asarray(array)


def _renew_locks() -> None:
    _locks[:] = [threading.Lock() for _ in range(64)]


_renew_locks()
os.register_at_fork(after_in_child=_renew_locks)  # another thread of the parent may have held one
