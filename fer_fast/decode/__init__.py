"""Image files come in, uint8 pixels [batch, S, S, 3] and one reason for each file that gives none go out."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fer_fast.decode.interface import DEFAULT_MAX_PIXELS, Decoded, Decoder

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    from PIL import Image

__all__ = ["DECODERS", "DEFAULT_MAX_PIXELS", "Decoded", "Decoder", "open_decoder", "pixels_of"]

#: The backends by name. "auto" is Pillow: it needs no GPU and is the reference for every other backend.
DECODERS: tuple[str, ...] = ("auto", "pillow")


def open_decoder(
    name: str = "auto",
    image_size: int = 224,
    workers: int | None = None,
    max_pixels: int = DEFAULT_MAX_PIXELS,
) -> Decoder:
    """Makes a decoder; the caller closes it.

    Args:
        name: one of `DECODERS`.
        image_size: S, the side in pixels of what comes out.
        workers: threads that decode; None takes the processors that this process may use.
        max_pixels: a file whose header promises more is `Status.TOO_LARGE` and never decoded.

    Raises:
        ValueError: an unknown name, or a number that is not positive.
    """
    if name not in DECODERS:
        raise ValueError(f"decoder must be one of {', '.join(DECODERS)}, not {name!r}")
    for what, number in (("image_size", image_size), ("workers", workers), ("max_pixels", max_pixels)):
        if number is not None and number < 1:
            raise ValueError(f"{what} must be at least 1, not {number}")
    from fer_fast.decode.pillow import PillowDecoder  # Pillow costs 40 ms: only for those who decode

    return PillowDecoder(image_size, workers, max_pixels)


def pixels_of(image: npt.NDArray[np.uint8] | Image.Image, size: int) -> npt.NDArray[np.uint8]:
    """The pixels that a model sees of one image in memory, by the same path as a file's.

    Args:
        image: uint8 [height, width, 3] or [height, width], or a Pillow image; EXIF orientation is obeyed.
        size: S.

    Returns:
        uint8 [S, S, 3].

    Raises:
        TypeError: neither an array nor a Pillow image, or not uint8.
        ValueError: an array of another shape, or without pixels.
        DecodeError: a Pillow image whose file is broken.
    """
    from fer_fast.decode.pixels import pixels_of as of

    return of(image, size)
