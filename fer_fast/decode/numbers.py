"""Grey in numbers of more than 8 bits comes in, its shades in 8 bits go out.

Unsigned numbers of up to 16 bits fill their depth. Of all others, black and white are the limits that the file states,
or the first of [0, 1], [-1, 1], [0, 255], [-128, 127], [0, 65535], [-32768, 32767] and those of 32 bits that holds the
finite numbers without the lowest and the highest 0.1 %, with 5 % of room for what overshoots; beyond the first two only
if a sixteenth of them is used. If none holds them, the lowest and the highest of these numbers. What lies outside is
clipped, what is no number is black. From 16 pixels on a single one never decides.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
from PIL import Image

from fer_fast.decode.meaning import MEANING, Limits, Meaning

Numbers: TypeAlias = npt.NDArray[Any]

_RANGES: tuple[Limits, ...] = ((0, 1), (-1, 1))
#: Numbers of fewer bits are often kept in so many, and fractions may go beyond 1: taken as if they filled them they
#: would be black.
_WIDE_RANGES: tuple[Limits, ...] = (
    *((0, 255), (-128, 127), (0, 65535), (-32768, 32767)),
    *((0, 2.0**31 - 1), (0, 2.0**32 - 1), (-(2.0**31), 2.0**31 - 1)),
)
_ROOM = 0.05
_LEAST = 1 / 16

#: Of fewer numbers each one counts.
_FEW = 16
#: A larger picture is judged by so many of its rows and columns: a prime, out of step with patterns.
_SAMPLED = 1021


def conversion(image: Image.Image) -> Callable[[Image.Image], Image.Image]:
    """What turns a part of an image into shades, as its whole needs it.

    Args:
        image: of mode I, F or one of I;16, loaded.
    """
    meaning: Meaning = image.info.get(MEANING) or Meaning()
    limits = _limits(image, meaning)

    def converted(part: Image.Image) -> Image.Image:
        numbers = _numbers(part, meaning)
        shades = _scaled(numbers, *limits) if limits else (numbers >> (meaning.bits - 8)).astype(np.uint8)
        if meaning.is_negative:
            shades = ~shades
        if numbers.dtype.kind == "f":
            shades[np.isnan(numbers)] = 0
        return Image.fromarray(shades)

    return converted


def limits_of(numbers: Numbers) -> Limits:
    """What is black and what is white of numbers of which nothing is known."""
    lowest, highest = _ends(numbers)
    for limits in _RANGES:
        if _hold(limits, lowest, highest):
            return limits
    for black, white in _WIDE_RANGES:
        is_reached = lowest <= _LEAST * black if black < 0 else highest >= _LEAST * white
        if is_reached and _hold((black, white), lowest, highest):
            return black, white
    return lowest, highest


def _limits(image: Image.Image, meaning: Meaning) -> Limits | None:
    """What is black and what is white; None of unsigned numbers that fill their depth."""
    is_known = (np.dtype(meaning.dtype).kind == "u") if meaning.dtype else image.mode.startswith("I;16")
    if is_known and meaning.limits is None:
        return None
    sample = image.resize((min(image.width, _SAMPLED), min(image.height, _SAMPLED)), Image.Resampling.NEAREST)
    numbers = _numbers(sample, meaning)
    if meaning.limits:
        lowest, highest = _ends(numbers)
        black, white = meaning.limits
        if _hold(meaning.limits, lowest, highest) and highest - lowest >= _LEAST * (white - black):
            return meaning.limits
    return None if is_known else limits_of(numbers)


def _numbers(image: Image.Image, meaning: Meaning) -> Numbers:
    """[height, width]; whole numbers of 32 bits as float32, as a TIFF's are read."""
    numbers: Numbers = np.asarray(image)
    if meaning.dtype:
        numbers = numbers.view(meaning.dtype)
        return numbers[:, :: numbers.shape[1] // image.width]
    return numbers.astype(np.float32) if image.mode == "I" else numbers


def _ends(numbers: Numbers) -> Limits:
    """The lowest and the highest finite number, but for 0.1 % at either end; for one of few; for none of very few."""
    finite = np.sort(numbers[np.isfinite(numbers)], axis=None)
    if not finite.size:
        return 0.0, 0.0
    left_out = max(finite.size // 1000, int(finite.size >= _FEW))
    return float(finite[left_out]), float(finite[-1 - left_out])


def _hold(limits: Limits, lowest: float, highest: float) -> bool:
    black, white = limits
    room = _ROOM * (white - black)
    return black - room <= lowest and highest <= white + room


def _scaled(numbers: Numbers, black: float, white: float) -> npt.NDArray[np.uint8]:
    """Shades of numbers; those that are not finite are clipped or of any shade."""
    scale = 255 / (white - black) if white > black else 0.0
    shades = numbers.astype(np.float64)
    shades.clip(black, white, out=shades)
    shades -= black
    shades *= scale
    return np.nan_to_num(shades, copy=False).round().astype(np.uint8)
