"""Names of decoders come in, the fastest on a card first they go out: measured once a machine, and kept."""

from __future__ import annotations

import importlib.metadata
import io
import json
import logging
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress

import numpy as np
from PIL import Image

from fer_fast.decode.apart import in_file
from fer_fast.decode.interface import Decoder
from fer_fast.machine.cache import Place
from fer_fast.machine.devices import driver_version
from fer_fast.types import FerFastError, one_line

_log = logging.getLogger(__name__)

#: Packages whose release may make another one the fastest.
_PACKAGES = ("nvidia-dali-cuda130", "nvidia-dali-cuda120", "nvidia-nvimgcodec-cu13", "nvidia-nvimgcodec-cu12", "torch")

#: Pictures of a batch, and their sides in pixels: faces as a finder cuts them, and portraits.
_PICTURES, _SMALLEST, _LARGEST = 64, 64, 640
#: Batches at once, so that those who decode take turns; and how often they are timed, of which the best counts.
_BATCHES, _TIMES = 8, 3
#: Of 255 grey levels, by which a picture may differ from Pillow's on average: a card's inverse transform and chroma
#: round otherwise than libjpeg's.
_TOLERANCE = 2.0


def ranked(
    names: Sequence[str],
    opened: Callable[[str], Decoder],
    card: str,
    image_size: int,
    clock: Callable[[], float] = time.perf_counter,
) -> tuple[list[str], str]:
    """The names of decoders that work, first what decodes most images a second, and in words how many each does.

    Args:
        names: two or more; those that do not work here are warned of, and measured again at the next start.
        opened: opens one by its name; it is closed here.
        card: its name: what is measured is kept for this card, image size and these versions of the libraries.
        image_size: S.
        clock: gives seconds.

    Raises:
        FerFastError: none of them works.
    """
    place = Place("decoder", {"names": ",".join(names), "card": card, "image_size": image_size, **_versions()})
    rates, how = _kept(place, names), "kept"
    if rates is None:
        rates, how = _measured(names, opened, image_size, clock), "measured"
        if len(rates) == len(names):
            place.store(json.dumps(rates).encode())
    said = ", ".join(f"{name} {rate:,.0f}" for name, rate in rates.items())
    return sorted(rates, key=rates.__getitem__, reverse=True), f"images a second on {card}, {how}: {said}"


def _kept(place: Place, names: Sequence[str]) -> dict[str, float] | None:
    """Images a second by name, as they were measured; None if they were not."""
    content = place.fetch()
    if content is None:
        return None
    with suppress(ValueError, TypeError):  # what is kept is not what is kept today
        rates = json.loads(bytes(content))
        if isinstance(rates, dict) and set(rates) == set(names):
            return {name: float(rates[name]) for name in names}
    return None


def _measured(
    names: Sequence[str], opened: Callable[[str], Decoder], image_size: int, clock: Callable[[], float]
) -> dict[str, float]:
    """Images a second of those that work."""
    rates: dict[str, float] = {}
    refusals: list[str] = []
    with _drawn() as paths:
        for name in names:
            try:
                with opened(name) as decoder:
                    _check(decoder, paths, image_size)
                    rates[name] = _rate(decoder, paths, clock)
            except FerFastError as error:
                refusals.append(str(error))
    if not rates:
        raise FerFastError("; ".join(refusals))
    for refusal in refusals:
        _log.warning("decoder auto leaves out: %s", refusal)
    return rates


def _rate(decoder: Decoder, paths: Sequence[str], clock: Callable[[], float]) -> float:
    """Images a second; what is built for the first batch has been."""
    seconds = []
    for _ in range(_TIMES):
        begun = clock()
        for future in [decoder.submit(paths) for _ in range(_BATCHES)]:
            future.result()
        seconds.append(clock() - begun)
    return _BATCHES * len(paths) / min(seconds)


def _check(decoder: Decoder, paths: Sequence[str], image_size: int) -> None:
    """Refuses a decoder that is fast because its pixels are wrong.

    Raises:
        FerFastError: they are not Pillow's.
    """
    decoded = decoder.decode(paths)
    for _, failure in decoded.failures:
        raise FerFastError(f"decoder {decoder.name!r} does not decode a JPEG: {failure}") from failure
    for pixels, path in zip(decoded.on_host(), paths, strict=True):
        with Image.open(path) as image:
            exact = np.asarray(image.resize((image_size, image_size), Image.Resampling.BILINEAR), np.float32)
        if (difference := float(np.abs(pixels - exact).mean())) > _TOLERANCE:
            raise FerFastError(f"decoder {decoder.name!r} shows a JPEG {difference:.1f} grey levels off Pillow's")


@contextmanager
def _drawn() -> Iterator[list[str]]:
    """Paths of JPEG files in memory: blurred noise, of sizes from the smallest to the largest, seldom square."""
    random = np.random.default_rng(0)
    with ExitStack() as files:
        paths = []
        for _ in range(_PICTURES):
            noise = Image.fromarray(random.integers(0, 256, (12, 12, 3), np.uint8))
            width, height = (int(side) for side in random.integers(_SMALLEST, _LARGEST, 2))
            content = io.BytesIO()
            noise.resize((width, height), Image.Resampling.BICUBIC).save(content, "JPEG", quality=90)
            try:
                paths.append(files.enter_context(in_file(content.getvalue())))
            except OSError as error:
                raise FerFastError(f"there are no files to measure decoders with: {one_line(error)}") from error
        yield paths


def _versions() -> dict[str, str]:
    found = {"driver": driver_version()}
    for package in _PACKAGES:
        with suppress(importlib.metadata.PackageNotFoundError):
            found[package] = importlib.metadata.version(package)
    return found
