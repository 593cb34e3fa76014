"""A Pillow image or an array comes in, square RGB uint8 pixels [S, S, 3] go out."""

from __future__ import annotations

import struct
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from fer_fast.types import DecodeError, Status, one_line

Pixels = npt.NDArray[np.uint8]

_ORIENTATION = 0x0112
_SHORT = 3


def pixels_of(image: Pixels | Image.Image, size: int) -> Pixels:
    """See `fer_fast.decode.pixels_of`."""
    if isinstance(image, np.ndarray):
        image = Image.fromarray(_checked(image))
    elif not isinstance(image, Image.Image):
        raise TypeError(f"an image must be a uint8 array or a Pillow image, not {type(image).__name__}")
    pixels = np.empty((size, size, 3), np.uint8)
    try:
        write_pixels(image, pixels)
    except (OSError, SyntaxError, EOFError, struct.error) as error:  # Pillow reads a file's pixels only now
        raise DecodeError(Status.CORRUPT, one_line(error)) from error
    return pixels


def _checked(array: npt.NDArray[Any]) -> Pixels:
    if array.dtype != np.uint8:
        raise TypeError(f"an image array must be uint8, not {array.dtype}")
    if array.ndim == 3 and array.shape[2] == 1:
        array = array[:, :, 0]
    if array.ndim not in (2, 3) or (array.ndim == 3 and array.shape[2] != 3) or 0 in array.shape:
        shape = list(array.shape)
        raise ValueError(f"an image array must be [height, width, 3] or [height, width], not {shape}")
    return np.ascontiguousarray(array)


def write_pixels(image: Image.Image, out: Pixels) -> None:
    """Resizes an image to a square and writes it, upright, in RGB.

    Args:
        image: any mode that Pillow converts; its pixels are read from the file here, if they have not been.
        out: uint8 [S, S, 3], written whole.

    Raises:
        DecodeError: `UNSUPPORTED` for colours without a conversion to RGB.
        Exception: whatever Pillow raises on a broken file.
    """
    side = out.shape[0]
    flat = _grey_or_rgb(image)
    if flat.size != (side, side):
        flat = flat.resize((side, side), Image.Resampling.BILINEAR)  # antialiased when it shrinks
    grey = flat.mode == "L"
    pixels = np.frombuffer(flat.tobytes(), np.uint8).reshape((side, side) if grey else (side, side, 3))
    # After the resize a turn moves S x S pixels, not the photo's; and only now is a PNG's trailing EXIF read.
    exif = image.info.get("exif")
    upright = _upright(pixels, orientation_of(exif)) if isinstance(exif, bytes) else pixels
    if grey:
        for channel in range(3):  # five times faster than one broadcast along the last axis
            out[:, :, channel] = upright
    else:
        out[...] = upright


def _grey_or_rgb(image: Image.Image) -> Image.Image:
    if image.mode not in ("RGB", "L"):
        image.load()  # a GIF or a TIFF may change its mode when it is read
    mode = image.mode
    if mode in ("RGB", "L"):
        return image
    if mode.startswith("I;16"):
        # The high byte, as Pillow itself does for 16-bit RGB; its conversion of grey would clip at 255.
        return Image.fromarray((np.asarray(image) >> 8).astype(np.uint8))
    if mode in ("I", "F"):
        return Image.fromarray(_scaled(np.asarray(image)))
    if mode in ("P", "PA"):
        return image.convert("RGBA").convert("RGB")  # straight to RGB Pillow warns about transparent palettes
    if mode in ("1", "LA", "La"):
        return image.convert("LA" if mode == "La" else "L").convert("L")
    try:
        return (image.convert("RGBA") if mode == "RGBa" else image).convert("RGB")
    except ValueError:
        raise DecodeError(Status.UNSUPPORTED, f"no conversion from {mode} colours to RGB") from None


def _scaled(values: npt.NDArray[Any]) -> Pixels:
    """Grey in 32 bits to 8, from the smallest of 0..1 (floats), 0..255, 0..65535, 0..2^31-1 that holds it."""
    finite = np.nan_to_num(values.astype(np.float64), nan=0.0, posinf=0.0, neginf=0.0)
    highest = float(finite.max())
    ranges = (1.0, 255.0, 65535.0) if values.dtype.kind == "f" else (255.0, 65535.0)
    top = next((limit for limit in ranges if highest <= limit), 2.0**31 - 1)
    return (finite.clip(0.0, top) * (255.0 / top)).round().astype(np.uint8)


def orientation_of(exif: bytes) -> int:
    """The EXIF orientation, 1 to 8, of an APP1 or eXIf block; 1 if it has none or is damaged.

    Pillow's own reader parses every tag and warns about damaged ones, which cost no face.
    """
    tiff = exif[6:] if exif.startswith(b"Exif\0\0") else exif
    order = {b"II": "<", b"MM": ">"}.get(tiff[:2])
    if order is None:
        return 1
    try:
        (directory,) = struct.unpack_from(order + "L", tiff, 4)
        (entries,) = struct.unpack_from(order + "H", tiff, directory)
        for entry in range(directory + 2, directory + 2 + 12 * entries, 12):
            tag, kind, _, value = struct.unpack_from(order + "HHLH", tiff, entry)
            if tag == _ORIENTATION:
                return value if kind == _SHORT and 1 <= value <= 8 else 1
    except struct.error:
        pass
    return 1


def _upright(pixels: Pixels, orientation: int) -> Pixels:
    if orientation >= 5:
        pixels = pixels.swapaxes(0, 1)
    if orientation in (2, 3, 6, 7):
        pixels = pixels[:, ::-1]
    if orientation in (3, 4, 7, 8):
        pixels = pixels[::-1]
    return pixels
