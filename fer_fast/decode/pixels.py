"""A Pillow image comes in, the bytes of a square of S x S pixels go out: upright, in grey or RGB.

Grey stays one byte a pixel until the bytes are spread over a batch's three channels: a third of the work. What needs a
conversion is converted and narrowed a band of rows at a time: a large picture takes little beside itself. numpy is
loaded only for the rare images that need arithmetic: a decoding process starts in half the time without it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

from PIL import Image

from fer_fast.types import DecodeError, Status

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

Convert: TypeAlias = Callable[[Image.Image], Image.Image]
Limits: TypeAlias = tuple[float, float]

#: Where an image's `info` has its `Meaning`.
MEANING = "fer_fast numbers"

#: How an image is turned that has this EXIF orientation.
_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}

#: Pixels that are converted at once.
_PIECE = 1 << 18
#: Bytes for each of them at most, while numbers become shades.
_BYTES_OF_PIECE = 40
#: Rows from which on an image that is to be widened is shortened first. Pillow widens first, 224 columns of each of
#: 10,000,000 rows; for all others its order is kept, as rounding shows it.
_TALL = 1 << 14


class Meaning(NamedTuple):
    """What a file says of its numbers, where they are of more than 8 bits; see `numbers`.

    Attributes:
        bits: of unsigned ones.
        limits: what is black, what is white; None if it does not say.
        is_negative: the picture is a negative.
        dtype: numpy's name of the numbers where Pillow has whole numbers in their place; of several samples that share
            one the first counts.
    """

    bits: int = 16
    limits: Limits | None = None
    is_negative: bool = False
    dtype: str = ""


def square(image: Image.Image, side: int, orientation: int = 1) -> bytes:
    """Resizes an image to a square, upright.

    Args:
        image: any mode that Pillow converts; its pixels are read from the file here, if they have not been.
        side: S.
        orientation: how it is still to be turned, 1 to 8 as EXIF counts.

    Returns:
        S * S bytes of a grey image, or S * S * 3 in RGB: what `spread` takes.

    Raises:
        DecodeError: `UNSUPPORTED` for colours without a conversion to RGB.
        Exception: whatever Pillow raises on a broken file.
    """
    image.load()  # a GIF or a TIFF may change its mode when it is read, a PNG's EXIF may stand behind its pixels
    columns = _columns(image.size, side)
    convert = None if image.mode in ("RGB", "L") else _conversion(image)
    flat = image if convert is None else _narrowed(image, columns, convert)
    if columns != side:
        flat = flat.resize((columns, side), Image.Resampling.BILINEAR)
    if flat.size != (side, side):
        flat = flat.resize((side, side), Image.Resampling.BILINEAR)  # antialiased when it shrinks
    # After the resize a turn moves S x S pixels, not the photo's.
    turn = _TURNS.get(orientation)
    return (flat if turn is None else flat.transpose(turn)).tobytes()


def square_bytes(size: tuple[int, int], side: int) -> int:
    """Bytes that `square` takes at most, besides the image that it is given.

    Args:
        size: the image's width and height.
        side: S.
    """
    width, height = size
    row = 4 * (width + _columns(size, side))
    return _PIECE * _BYTES_OF_PIECE + 4 * height * _columns(size, side) + row + 16 * side * side


def spread(data: bytes | npt.NDArray[np.uint8], out: npt.NDArray[np.uint8]) -> None:
    """Writes what `square` gave to an image of a batch.

    Args:
        data: S * S or S * S * 3 bytes.
        out: uint8 [S, S, 3].
    """
    import numpy as np

    pixels = np.frombuffer(data, np.uint8)
    if pixels.size == out.size:
        out[...] = pixels.reshape(out.shape)
        return
    grey = pixels.reshape(out.shape[:2])
    for channel in range(3):  # five times faster than one broadcast along the last axis
        out[:, :, channel] = grey


def _columns(size: tuple[int, int], side: int) -> int:
    """How wide an image is before it is shortened: S, as Pillow's own resize has it."""
    width, height = size
    return width if width < side and height > _TALL else side


def _narrowed(image: Image.Image, columns: int, convert: Convert) -> Image.Image:
    """An image in grey or RGB, that wide and as high as it is.

    Pillow resizes rows before columns and rounds in between: bands of rows, each narrowed, are what it has by then.
    """
    width, height = image.size
    rows = max(1, _PIECE // width)
    if rows >= height and width <= _PIECE:
        return convert(image)
    narrowed = None
    for top in range(0, height, rows):
        bottom = min(top + rows, height)
        band = _band(image, top, bottom, convert).resize((columns, bottom - top), Image.Resampling.BILINEAR)
        narrowed = narrowed or Image.new(band.mode, (columns, height))
        narrowed.paste(band, (0, top))
    assert narrowed
    return narrowed


def _band(image: Image.Image, top: int, bottom: int, convert: Convert) -> Image.Image:
    """Rows of an image in grey or RGB."""
    width = image.width
    if width <= _PIECE:
        return convert(image.crop((0, top, width, bottom)))
    band = None
    for left in range(0, width, _PIECE):
        piece = convert(image.crop((left, top, min(left + _PIECE, width), bottom)))
        band = band or Image.new(piece.mode, (width, bottom - top))
        band.paste(piece, (left, 0))
    assert band
    return band


def _conversion(image: Image.Image) -> Convert:
    """What turns parts of an image into grey or RGB."""
    mode = image.mode
    if mode.startswith("I;16") or mode in ("I", "F"):
        from fer_fast.decode.numbers import conversion

        return conversion(image)
    if mode in ("P", "PA"):
        return lambda part: part.convert("RGBA").convert("RGB")  # straight to RGB Pillow warns about transparency
    if mode in ("1", "LA"):
        return lambda part: part.convert("L")
    if mode == "La":
        return lambda part: part.convert("LA").convert("L")
    return _to_rgb


def _to_rgb(image: Image.Image) -> Image.Image:
    try:
        return (image.convert("RGBA") if image.mode == "RGBa" else image).convert("RGB")
    except ValueError:
        raise DecodeError(Status.UNSUPPORTED, f"no conversion from {image.mode} colours to RGB") from None
