"""A decoder's name and the wishes for it come in, an open decoder goes out."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

from fer_fast.decode.interface import Decoder
from fer_fast.decode.limits import DEFAULT_MAX_PIXELS, DEFAULT_MAX_SECONDS, check_count, check_limits
from fer_fast.machine.extras import is_installed, need
from fer_fast.types import FerFastError

if TYPE_CHECKING:
    from fer_fast.decode.library import Library

_log = logging.getLogger(__name__)

#: The libraries that decode on a card, by the names of their decoders, and the modules that each takes.
LIBRARIES: dict[str, tuple[str, ...]] = {"dali": ("nvidia.dali",), "nvimagecodec": ("torch", "nvidia.nvimgcodec")}
#: The backends by name. "auto" is, for a GPU, the fastest of the libraries that are installed; and else Pillow, the
#: reference for every other.
DECODERS: tuple[str, ...] = ("auto", "pillow", *LIBRARIES)


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
        MissingExtraError: a library is asked for and not installed.
        FerFastError: the device is not there.
    """
    check_decoder(name, image_size, workers, max_pixels, max_memory, max_seconds)
    cost: dict[str, Any] = {"max_pixels": max_pixels, "max_memory": max_memory, "max_seconds": max_seconds}
    opened = partial(_by_library, image_size=image_size, workers=workers, cost=cost, cards=device.split(","))
    if name in LIBRARIES:
        return opened(name)
    installed = [each for each, modules in LIBRARIES.items() if all(map(is_installed, modules))]
    if name == "auto" and device != "cpu" and installed:
        try:
            return _first_that_opens(*_ranked(installed, device.split(",")[0], image_size), opened)
        except FerFastError as error:
            _log.warning("Pillow decodes: %s", error)
    from fer_fast.decode.pillow import PillowDecoder  # Pillow costs 40 ms: only for those who decode

    return PillowDecoder(image_size, workers, **cost)


def _first_that_opens(names: list[str], why: str, opened: Callable[[str], Decoder]) -> Decoder:
    """A library that was the fastest before may not work today.

    Raises:
        FerFastError: none opens.
    """
    refusals: list[str] = []
    for name in names:
        try:
            decoder = opened(name)
        except FerFastError as error:
            refusals.append(str(error))
            continue
        for refusal in refusals:
            _log.warning("decoder auto leaves out: %s", refusal)
        decoder.why = why
        _log.info("%s decodes: %s", name, why)
        return decoder
    raise FerFastError("; ".join(refusals))


def _ranked(installed: list[str], card: str, image_size: int) -> tuple[list[str], str]:
    """Libraries, the fastest on a card first, whatever limits the caller has, and why that one is taken."""
    if len(installed) == 1:
        return installed, "no other library for a card is installed"
    from fer_fast.decode.fastest import ranked
    from fer_fast.machine.devices import card_name

    opened = partial(_by_library, image_size=image_size, workers=None, cost={}, cards=[card])
    return ranked(installed, opened, card_name(card), image_size)


def _by_library(name: str, image_size: int, workers: int | None, cost: dict[str, Any], cards: list[str]) -> Decoder:
    _need(name)
    from fer_fast.decode.nvidia import NvidiaDecoder
    from fer_fast.decode.several import SeveralDecoders

    library = _library(name)
    opened: list[Decoder] = []
    try:
        for card in cards:
            opened.append(NvidiaDecoder(name, library, image_size, workers, device=card, **cost))
    except BaseException:
        for decoder in opened:
            decoder.close()
        raise
    return opened[0] if len(opened) == 1 else SeveralDecoders(opened)


def _need(name: str) -> None:
    """Refuses a library that is not installed, and imports it.

    Raises:
        MissingExtraError: it is not.
    """
    # Read when it is imported: it tells standard error of every file that it does not decode. The file's row does, too.
    os.environ.setdefault("PYNVIMGCODEC_VERBOSITY", "0")
    need(f"decoder {name!r}", "cuda", modules=LIBRARIES[name])


def _library(name: str) -> type[Library]:
    if name == "dali":
        from fer_fast.decode.dali import Dali

        return Dali
    from fer_fast.decode.nvimagecodec import NvImageCodec

    return NvImageCodec


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
    if name in LIBRARIES:
        _need(name)
