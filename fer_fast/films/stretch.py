"""What part of a film is wanted, in a user's words, comes in; which of its frames those are goes out."""

from __future__ import annotations

import math
import re
import sys
from dataclasses import dataclass
from fractions import Fraction
from numbers import Integral, Real

_EVERY = re.compile(r"(?:(?P<seconds>\d+(?:\.\d+)?)s|(?P<frames>\d+)f|keyframes)", re.ASCII)

#: Seconds that are a number of milliseconds, too.
LATEST = sys.float_info.max / 1000
#: Milliseconds: so much of a film is done again by a run that goes on.
_SECTION = 10_000
#: The most that `find_every` may be.
MOST_BETWEEN = 10


@dataclass(frozen=True)
class Stretch:
    """Which frames are wanted; times are whole milliseconds, as frames have them.

    Attributes:
        start: the first that is wanted.
        end: the first that is not; None is the film's end.
        step: one frame of each so many milliseconds, counted from the film's beginning.
        count: each so manieth frame, counted likewise.
        keys: key frames alone.
    """

    start: int
    end: int | None
    step: Fraction | None = None
    count: int = 1
    keys: bool = False

    @property
    def section(self) -> Fraction:
        """Milliseconds of a film that are a section, counted from its beginning: ten seconds, or what whole steps make.

        So the sections, each read by itself, give the frames that the whole gives.
        """
        return Fraction(_SECTION) if self.step is None else math.ceil(_SECTION / self.step) * self.step

    def holds(self, time: int) -> bool:
        """Whether a time, in milliseconds, is in the part."""
        return self.start <= time and (self.end is None or time < self.end)

    def chosen(self) -> Choice:
        """For one pass over the film."""
        return Choice(self)


WHOLE = Stretch(0, None)


class Choice:
    """Asked of each frame in turn.

    Args:
        stretch: what is wanted.
    """

    def __init__(self, stretch: Stretch) -> None:
        self._stretch = stretch
        self._last: int | None = None

    def wants(self, number: int, time: int, key: bool) -> bool:
        """Whether a frame is one of those; `time` in milliseconds, within the stretch."""
        stretch = self._stretch
        if stretch.step is not None:
            last, self._last = self._last, math.floor(time / stretch.step)
            return self._last != last
        return key if stretch.keys else number % stretch.count == 0


def check_find_every(number: int) -> None:
    """Refuses what cannot say at how manieth frame a finder looks: those between are held, decoded, until it has.

    Raises:
        ValueError, TypeError: names the rule and what came.
    """
    if isinstance(number, bool) or not isinstance(number, Integral):
        raise TypeError(f"find_every must be an integer from 1 to {MOST_BETWEEN}, not {number!r}")
    if not 1 <= number <= MOST_BETWEEN:
        raise ValueError(f"find_every must be from 1 to {MOST_BETWEEN}, not {number}")


def stretch_of(start: float | None, end: float | None, every: str | None) -> Stretch:
    """What is meant by the arguments of `Film`.

    Raises:
        ValueError, TypeError: in words that name the argument, the rule and what came.
    """
    first, last = _milliseconds("start", start), _milliseconds("end", end)
    if last is not None and last <= (first or 0):
        raise ValueError(f"end must be after start, {start or 0} s, by a millisecond or more, not {end} s")
    if every is None:
        return Stretch(first or 0, last)
    if not isinstance(every, str):
        raise TypeError(f'every must be as "0.5s", "5f" or "keyframes", not {every!r}')
    match = _EVERY.fullmatch(every)
    if match is None or not float(match["seconds"] or match["frames"] or 1):
        raise ValueError(f'every must be as "0.5s" or "5f", of a number above 0, or "keyframes", not {every!r}')
    step = Fraction(match["seconds"]) * 1000 if match["seconds"] else None
    return Stretch(first or 0, last, step, int(match["frames"] or 1), every == "keyframes")


def _milliseconds(what: str, seconds: float | None) -> int | None:
    if seconds is None:
        return None
    if isinstance(seconds, bool) or not isinstance(seconds, Real):
        raise TypeError(f"{what} must be seconds from the film's beginning, a number of 0 or more, not {seconds!r}")
    if not 0 <= seconds <= LATEST:
        raise ValueError(f"{what} must be seconds from the film's beginning, a number of 0 or more, not {seconds!r}")
    return round(float(seconds) * 1000)
