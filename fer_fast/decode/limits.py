"""What decoding may cost: wishes come in, the limits that every worker keeps go out."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cache
from numbers import Integral, Real
from typing import NamedTuple

from fer_fast.machine.memory import usable_memory
from fer_fast.types import Stamp

#: Where Pillow itself calls an image a decompression bomb: 16,384 x 10,922. Decoded it takes 0.7 GB.
DEFAULT_MAX_PIXELS = 178_956_970
#: Seconds of a processor.
DEFAULT_MAX_SECONDS = 30.0

#: Seconds after which a run of files is answered as far as it has come: who waits for it sees that it goes on.
RUN_SECONDS = 1.0

#: Seconds from which on there is no end: a timer takes no number of them.
_FOR_EVER = 1e8

#: Of what the process may use.
_SHARE = 4
#: Bytes that a worker takes without asking, at most.
_SMALL = 256 << 20
#: Runs that a worker has under way; see `process.CHANNELS`.
_RUNS = 2


class Limits(NamedTuple):
    """What decoding may cost; plain numbers, so that they go to a process as they are.

    Attributes:
        max_pixels: that a file's header may promise.
        max_memory: bytes that all workers together may take, their files among them.
        max_seconds: of a processor, for one file; 0 is without end.
        small: bytes that each worker takes without asking; a file that needs more waits for its turn.
    """

    max_pixels: int
    max_memory: int
    max_seconds: float
    small: int


@dataclass(frozen=True, slots=True)
class Large:
    """A file that no worker decodes unasked.

    Attributes:
        memory: bytes that it takes.
        stamp: of the file that was looked at.
    """

    memory: int
    stamp: Stamp | None


class LargeError(Exception):
    """Raised instead of decoding one.

    Args:
        large: what is known of it.
    """

    def __init__(self, large: Large) -> None:
        super().__init__(large)
        self.large = large


def limits_of(
    workers: int,
    max_pixels: int = DEFAULT_MAX_PIXELS,
    max_memory: int | None = None,
    max_seconds: float = DEFAULT_MAX_SECONDS,
) -> Limits:
    """The limits for so many workers; see `open_decoder`."""
    memory = usable_memory() // _SHARE if max_memory is None else max_memory
    memory = int(memory)  # numpy's numbers, and fractions, are not written to a process as what they are
    seconds = float(max_seconds) if max_seconds < _FOR_EVER else 0.0
    return Limits(int(max_pixels), memory, seconds, min(_SMALL, memory // (int(workers) * _RUNS)))


@cache
def default_limits() -> Limits:
    """Those of one worker without any wishes."""
    return limits_of(workers=1)


def check_count(what: str, number: int | None) -> None:
    """Refuses what is no integer of 1 or more; None is left to its owner.

    Raises:
        ValueError, TypeError: in words that name it.
    """
    if number is not None and (isinstance(number, bool) or not isinstance(number, Integral)):
        raise TypeError(f"{what} must be an integer of 1 or more, not {number!r}")
    if number is not None and number < 1:
        raise ValueError(f"{what} must be at least 1, not {number}")


def check_limits(max_pixels: int, max_memory: int | None, max_seconds: float) -> None:
    """Refuses what makes no sense.

    Raises:
        ValueError: a limit of pixels or bytes below 1, or of seconds below 0.
        TypeError: pixels or bytes that are no integer, seconds that are no number.
    """
    for what, number in (("max_pixels", max_pixels), ("max_memory", max_memory)):
        check_count(what, number)
    if isinstance(max_seconds, bool) or not isinstance(max_seconds, Real):
        raise TypeError(f"max_seconds must be a number of 0 or more, not {max_seconds!r}")
    if not max_seconds >= 0:
        raise ValueError(f"max_seconds must be a number of 0 or more, not {max_seconds!r}")


def in_words(size: int) -> str:
    """Bytes for people: 5.3 GB, 120 MB."""
    if size >= 1e9:
        return f"{size / 1e9:.1f} GB"
    value, unit = (size / 1e6, "MB") if size >= 1e6 else (size / 1e3, "kB")
    return f"{min(value, 999):.3g} {unit}"


def number(name: str, value: float, most: float | None = None) -> float:
    """A number from 0 to `most`, without a limit where that is None.

    Raises:
        TypeError, ValueError: it is none; `name` is what the caller called it.
    """
    rule = f"a number from 0 to {most:g}" if most is not None else "a number of 0 or more"
    if isinstance(value, bool) or not isinstance(value, Real):
        raise TypeError(f"{name} must be {rule}, not {value!r}")
    if not 0 <= value <= (math.inf if most is None else most):
        raise ValueError(f"{name} must be {rule}, not {value!r}")
    return float(value)
