"""A Pillow image comes in, its pixels at another size go out: upright, in grey or RGB; a square's as bytes.

Grey stays one byte a pixel until the bytes are spread over a batch's three channels: a third of the work. What needs a
conversion is converted and reduced a band at a time: a large picture takes little beside itself.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, TypeAlias

from PIL import Image

from fer_fast.types import DecodeError, Status

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

Convert: TypeAlias = Callable[[Image.Image], Image.Image]

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

#: Pixels that are converted at once, and the bytes for each of them: of numbers, of all else.
_PIECE = 1 << 18
_BYTES_OF_NUMBERS, _BYTES_OF_OTHERS = 40, 16

Box: TypeAlias = tuple[int, int, int, int]
#: Width and height in pixels.
Size: TypeAlias = tuple[int, int]


def square(image: Image.Image, side: int, orientation: int = 1) -> bytes:
    """Resizes an image to a square, upright.

    Args:
        image, orientation: see `resized`.
        side: S.

    Returns:
        S * S bytes of a grey image, or S * S * 3 in RGB: what `spread` takes.

    Raises:
        Exception: as `resized`.
    """
    return resized(image, (side, side), orientation).tobytes()


def resized(image: Image.Image, size: Size, orientation: int = 1) -> Image.Image:
    """Resizes an image, and turns it upright then.

    Args:
        image: any mode that Pillow converts; its pixels are read from the file here, if they have not been.
        size: of what comes out before it is turned.
        orientation: how it is still to be turned, 1 to 8 as EXIF counts.

    Returns:
        An image in grey or RGB.

    Raises:
        DecodeError: `UNSUPPORTED` for colours without a conversion to RGB.
        Exception: whatever Pillow raises on a broken file.
    """
    image.load()  # a GIF or a TIFF may change its mode when it is read, a PNG's EXIF may stand behind its pixels
    halfway = _halfway(image.size, size)
    flat = image if image.mode in ("RGB", "L") else _flat(image, halfway)
    if halfway[1] == size[1] and flat.size == image.size != size:  # a copy costs as much as all else of a small face
        flat = flat.resize(halfway, Image.Resampling.BILINEAR)
    if flat.size != size:
        flat = flat.resize(size, Image.Resampling.BILINEAR)  # antialiased when it shrinks
    # After the resize a turn moves few pixels, not the photo's.
    return flat if orientation == 1 else turned(flat, orientation)


def reduced(image: Image.Image, size: Size, orientation: int = 1) -> Image.Image:
    """As `resized`, several times faster of what becomes half as large or less; for who sees no difference.

    Blocks of whole pixels become their means, by as much as the size allows; what is left is resized.
    """
    image.load()
    across, down = (max(1, side // wanted) for side, wanted in zip(image.size, size, strict=True))
    if across == down == 1:
        return resized(image, size, orientation)
    means = image.reduce((across, down)) if image.mode in ("RGB", "L") else _flat_means(image, across, down)
    whole = 0, 0, image.width / across, image.height / down  # the last block may be a part of one
    if means.size != size or whole[2:] != size:
        means = means.resize(size, Image.Resampling.BILINEAR, whole)
    return turned(means, orientation)


def turned(image: Image.Image, orientation: int) -> Image.Image:
    """An image that is stored so, upright."""
    turn = _TURNS.get(orientation)
    return image if turn is None else image.transpose(turn)


def upright(size: Size, orientation: int) -> Size:
    """The width and height of an image that is stored so, turned; its own inverse."""
    return size[::-1] if orientation >= 5 else size


def resized_bytes(mode: str, size: Size, target: Size) -> int:
    """Bytes that `resized` takes at most, its result and a copy of that in bytes counted, the image not.

    Args:
        mode: of the image.
        size: of the image.
        target: of what comes out.
    """
    width, height = size
    columns, rows = _halfway(size, target)
    halfway = rows * (4 * columns + 8)  # Pillow has a pointer to each row
    band = 12 * max(width, height)
    weights = 16 * (width + height)  # of a resize: for each pixel in each direction two of eight bytes
    converted = 0 if mode in ("RGB", "L") else min(_PIECE, width * height) * converted_bytes(mode)
    return converted + halfway + band + weights + 16 * target[0] * target[1]


def converted_bytes(mode: str) -> int:
    """Bytes for each pixel that converting a part of an image to grey or RGB takes at most."""
    return 0 if mode in ("RGB", "L") else _BYTES_OF_NUMBERS if _are_numbers(mode) else _BYTES_OF_OTHERS


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


def _halfway(size: Size, target: Size) -> Size:
    """The size between the two passes of a resize, each of which rounds: rows first, of a high image columns first.

    It is Pillow's own order as of 13. Before, every image's rows were first: 224 columns of each of 10,000,000 rows.
    """
    width, height = size
    across, down = target
    return (width, down) if height - down > max(0, 2 * (width - across)) else (across, height)


def _flat(image: Image.Image, halfway: Size) -> Image.Image:
    """An image in grey or RGB: a small one as it is, a large one after the first pass."""
    width, height = image.size
    convert = conversion(image)
    if width * height <= _PIECE:
        return convert(image)
    by_columns = halfway[0] == width
    long, across = (height, width) if by_columns else (width, height)
    step = max(1, _PIECE // long)
    whole = None
    for start in range(0, across, step):
        end = min(start + step, across)
        box = (start, 0, end, height) if by_columns else (0, start, width, end)
        size = (end - start, halfway[1]) if by_columns else (halfway[0], end - start)
        band = _converted(image, box, convert).resize(size, Image.Resampling.BILINEAR)
        whole = whole or Image.new(band.mode, halfway)
        whole.paste(band, box[:2])
    assert whole
    return whole


def _flat_means(image: Image.Image, across: int, down: int) -> Image.Image:
    """The means of blocks of an image that is converted to grey or RGB, a band at a time."""
    width, height = image.size
    convert = conversion(image)
    step = down * max(1, _PIECE // width // down)
    whole = None
    for start in range(0, height, step):
        band = _converted(image, (0, start, width, min(start + step, height)), convert).reduce((across, down))
        whole = whole or Image.new(band.mode, (-(-width // across), -(-height // down)))
        whole.paste(band, (0, start // down))
    assert whole
    return whole


def _converted(image: Image.Image, box: Box, convert: Convert) -> Image.Image:
    """A band of an image in grey or RGB; a single row or column of very many pixels in pieces."""
    left, top, right, bottom = box
    if (right - left) * (bottom - top) <= _PIECE:
        return convert(image.crop(box))
    whole = None
    for y in range(top, bottom, _PIECE):
        for x in range(left, right, _PIECE):
            piece = convert(image.crop((x, y, min(x + _PIECE, right), min(y + _PIECE, bottom))))
            whole = whole or Image.new(piece.mode, (right - left, bottom - top))
            whole.paste(piece, (x - left, y - top))
    assert whole
    return whole


def _are_numbers(mode: str) -> bool:
    """Whether a mode is grey in more than 8 bits."""
    return mode.startswith("I;16") or mode in ("I", "F")


def conversion(image: Image.Image) -> Convert:
    """What turns parts of an image, which is loaded, into grey or RGB."""
    mode = image.mode
    if mode in ("RGB", "L"):
        return lambda part: part
    if _are_numbers(mode):
        from fer_fast.decode import numbers

        return numbers.conversion(image)
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
