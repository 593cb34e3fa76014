"""A decoder's name and the wishes for it come in, an open decoder goes out."""

from __future__ import annotations

import logging
from importlib.util import find_spec

from fer_fast.decode.interface import DEFAULT_MAX_PIXELS, Decoder
from fer_fast.types import FerFastError

_log = logging.getLogger(__name__)

#: The backends by name. "auto" is DALI for a GPU, if it is installed, and else Pillow, the reference for every other.
DECODERS: tuple[str, ...] = ("auto", "pillow", "dali")


def open_decoder(
    name: str = "auto",
    image_size: int = 224,
    workers: int | None = None,
    max_pixels: int = DEFAULT_MAX_PIXELS,
    device: str = "cpu",
) -> Decoder:
    """Makes a decoder; the caller closes it.

    Args:
        name: one of `DECODERS`.
        image_size: S, the side in pixels of what comes out.
        workers: files decoded at once; None takes the processors that this process may use.
        max_pixels: a file whose header promises more is `Status.TOO_LARGE` and never decoded.
        device: where the model takes pixels: cpu or cuda:N, several joined by commas. Pillow's are in memory whatever
            it is.

    Raises:
        ValueError: an unknown name, or a number that is not positive.
        FerFastError: DALI is asked for and not installed, or the device is not there.
    """
    check_decoder(name, image_size, workers, max_pixels)
    if name == "dali" or (name == "auto" and device != "cpu" and _dali_is_installed()):
        try:
            return _dali(image_size, workers, max_pixels, device.split(","))
        except FerFastError as error:
            if name == "dali":
                raise
            _log.warning("Pillow decodes: %s", error)
    from fer_fast.decode.pillow import PillowDecoder  # Pillow costs 40 ms: only for those who decode

    return PillowDecoder(image_size, workers, max_pixels)


def _dali(image_size: int, workers: int | None, max_pixels: int, cards: list[str]) -> Decoder:
    from fer_fast.decode.dali import DaliDecoder
    from fer_fast.decode.several import SeveralDecoders

    opened: list[Decoder] = []
    try:
        for card in cards:
            opened.append(DaliDecoder(image_size, workers, max_pixels, card))
    except BaseException:
        for decoder in opened:
            decoder.close()
        raise
    return opened[0] if len(opened) == 1 else SeveralDecoders(opened)


def check_decoder(name: str, image_size: int, workers: int | None, max_pixels: int) -> None:
    """Refuses what `open_decoder` would, without opening anything.

    Raises:
        ValueError: see `open_decoder`.
    """
    if name not in DECODERS:
        raise ValueError(f"decoder must be one of {', '.join(DECODERS)}, not {name!r}")
    for what, number in (("image_size", image_size), ("workers", workers), ("max_pixels", max_pixels)):
        if number is not None and number < 1:
            raise ValueError(f"{what} must be at least 1, not {number}")


def _dali_is_installed() -> bool:
    # Asked for a part of a package that is not there, find_spec raises.
    return find_spec("nvidia") is not None and find_spec("nvidia.dali") is not None
