"""A decoder's name and the wishes for it come in, an open decoder goes out."""

from __future__ import annotations

import logging
from typing import Any

from fer_fast.decode.interface import Decoder
from fer_fast.decode.limits import DEFAULT_MAX_PIXELS, DEFAULT_MAX_SECONDS, check_count, check_limits
from fer_fast.machine.extras import is_installed, need
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
    max_memory: int | None = None,
    max_seconds: float = DEFAULT_MAX_SECONDS,
) -> Decoder:
    """Makes a decoder; the caller closes it.

    Args:
        name: one of `DECODERS`.
        image_size: S, the side in pixels of what comes out.
        workers: files decoded at once; None takes the processors that this process may use.
        max_pixels: a file whose header promises more is `Status.TOO_LARGE` and never decoded.
        device: where the model takes pixels: cpu or cuda:N, several joined by commas. Pillow's are in memory whatever
            it is.
        max_memory: bytes that decoding takes over all workers, the files among them; a file that takes more alone is
            `Status.TOO_LARGE`. None is a quarter of what this process may use, a container's limit counted.
        max_seconds: of a processor that a file may take, or it is `Status.TOO_LARGE`; 0 is without end. It is kept for
            files that may take long by their header, and for every file once processes decode.

    Raises:
        ValueError: an unknown name, or a number that is not positive.
        TypeError: not a number, or one that has to be an integer and is none.
        MissingExtraError: DALI is asked for and not installed.
        FerFastError: the device is not there.
    """
    check_decoder(name, image_size, workers, max_pixels, max_memory, max_seconds)
    cost: dict[str, Any] = {"max_pixels": max_pixels, "max_memory": max_memory, "max_seconds": max_seconds}
    if name == "dali" or (name == "auto" and device != "cpu" and is_installed("nvidia.dali")):
        try:
            return _dali(image_size, workers, cost, device.split(","))
        except FerFastError as error:
            if name == "dali":
                raise
            _log.warning("Pillow decodes: %s", error)
    from fer_fast.decode.pillow import PillowDecoder  # Pillow costs 40 ms: only for those who decode

    return PillowDecoder(image_size, workers, **cost)


def _dali(image_size: int, workers: int | None, cost: dict[str, Any], cards: list[str]) -> Decoder:
    need("decoder 'dali'", "cuda", modules=("nvidia.dali",))
    from fer_fast.decode.dali import DaliDecoder
    from fer_fast.decode.several import SeveralDecoders

    opened: list[Decoder] = []
    try:
        for card in cards:
            opened.append(DaliDecoder(image_size, workers, device=card, **cost))
    except BaseException:
        for decoder in opened:
            decoder.close()
        raise
    return opened[0] if len(opened) == 1 else SeveralDecoders(opened)


def check_decoder(
    name: str,
    image_size: int,
    workers: int | None,
    max_pixels: int = DEFAULT_MAX_PIXELS,
    max_memory: int | None = None,
    max_seconds: float = DEFAULT_MAX_SECONDS,
) -> None:
    """Refuses what `open_decoder` would, without opening anything.

    Raises:
        ValueError, TypeError, MissingExtraError: see `open_decoder`.
    """
    if name not in DECODERS:
        raise ValueError(f"decoder must be one of {', '.join(DECODERS)}, not {name!r}")
    for what, number in (("image_size", image_size), ("workers", workers)):
        check_count(what, number)
    check_limits(max_pixels, max_memory, max_seconds)
    if name == "dali":
        need("decoder 'dali'", "cuda", modules=("nvidia.dali",))
