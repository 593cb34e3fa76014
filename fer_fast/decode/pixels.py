"""A Pillow image comes in, the bytes of a square of S x S pixels go out: upright, in grey or RGB.

Grey stays one byte a pixel until the bytes are spread over a batch's three channels: a third of the work. numpy is
loaded only for the rare images that need arithmetic: a decoding process starts in half the time without it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from PIL import Image

from fer_fast.types import DecodeError, Status

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

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
    flat = _grey_or_rgb(image)
    if flat.size != (side, side):
        flat = flat.resize((side, side), Image.Resampling.BILINEAR)  # antialiased when it shrinks
    # After the resize a turn moves S x S pixels, not the photo's.
    turn = _TURNS.get(orientation)
    return (flat if turn is None else flat.transpose(turn)).tobytes()


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


def _grey_or_rgb(image: Image.Image) -> Image.Image:
    image.load()  # a GIF or a TIFF may change its mode when it is read
    mode = image.mode
    if mode in ("RGB", "L"):
        return image
    if mode.startswith("I;16"):
        return _high_byte(image)
    if mode in ("I", "F"):
        return _scaled(image)
    if mode in ("P", "PA"):
        return image.convert("RGBA").convert("RGB")  # straight to RGB Pillow warns about transparent palettes
    if mode in ("1", "LA", "La"):
        return image.convert("LA" if mode == "La" else "L").convert("L")
    try:
        return (image.convert("RGBA") if mode == "RGBa" else image).convert("RGB")
    except ValueError:
        raise DecodeError(Status.UNSUPPORTED, f"no conversion from {mode} colours to RGB") from None


def _high_byte(image: Image.Image) -> Image.Image:
    """Grey in 16 bits to 8, as Pillow itself does for 16-bit RGB; its conversion of grey would clip at 255."""
    import numpy as np

    return Image.fromarray((np.asarray(image) >> 8).astype(np.uint8))


def _scaled(image: Image.Image) -> Image.Image:
    """Grey in 32 bits to 8, from the smallest of 0..1 (floats), 0..255, 0..65535, 0..2^31-1 that holds it."""
    import numpy as np

    values: npt.NDArray[Any] = np.asarray(image)
    finite = np.nan_to_num(values.astype(np.float64), nan=0.0, posinf=0.0, neginf=0.0)
    highest = float(finite.max())
    ranges = (1.0, 255.0, 65535.0) if values.dtype.kind == "f" else (255.0, 65535.0)
    top = next((limit for limit in ranges if highest <= limit), 2.0**31 - 1)
    return Image.fromarray((finite.clip(0.0, top) * (255.0 / top)).round().astype(np.uint8))
