"""A container's time stamps come in; milliseconds from the film's beginning go out, and which frame of it that is."""

from __future__ import annotations

import heapq
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from av.container import InputContainer
    from av.video.stream import VideoStream


@dataclass(frozen=True)
class Clock:
    """How a stream tells the time.

    Attributes:
        unit: of its time stamps, seconds.
        origin: when the film begins, seconds.
        rate: frames a second, for frames without a time stamp; None if that is not known.
    """

    unit: Fraction
    origin: Fraction
    rate: Fraction | None

    def milliseconds(self, stamp: int | None, number: int = 0) -> int:
        """When a frame is shown.

        Args:
            stamp: of it; None if it has none.
            number: of it, by which it is timed then.
        """
        if stamp is None:
            return round(1000 * number / self.rate) if self.rate else 0
        # As 1000 (stamp unit - origin), rounded, in whole numbers: fractions cost more than reading a packet does.
        numerator, denominator, shift = self._parts
        return (stamp * numerator - shift) // denominator

    @cached_property
    def _parts(self) -> tuple[int, int, int]:
        (unit, per), (origin, of) = self.unit.as_integer_ratio(), self.origin.as_integer_ratio()
        denominator = 2 * per * of
        return 2000 * unit * of, denominator, 2000 * origin * per - per * of


def clock_of(container: InputContainer, stream: VideoStream, first: int | None = None) -> Clock:
    """The clock of one stream; the film begins when its first picture is shown or its first sound is heard.

    Sound that begins before 0 is what a decoder needs to get going: it is not heard.

    Args:
        container: with the sound.
        stream: of the pictures.
        first: the time stamp of the first picture, for a container that does not say it.
    """
    # PyAV 19's ratios are of its own, and can do less.
    unit, rate = Fraction(stream.time_base or Fraction(1, 1000)), stream.average_rate or stream.guessed_rate
    said = first if stream.start_time is None else stream.start_time
    own = None if said is None else said * unit
    heard = [
        each.start_time * each.time_base
        for each in container.streams.audio
        if each.start_time is not None and each.time_base is not None
    ]
    begins = [time for time in heard if time >= 0] + ([] if own is None else [own])
    return Clock(unit, min(begins, default=Fraction(0)), Fraction(rate) if rate else None)


class Count:
    """Counts a film's frames by the time stamps of its packets, which are read whether or not they are decoded.

    So a frame's number is right though others before it were skipped, or could not be decoded.

    Attributes:
        next: the number that the next frame has, if none is missing before it.
    """

    def __init__(self) -> None:
        self._waiting: list[tuple[int, bool]] = []
        self.next = 0
        self._unstamped = 0

    def packet(self, stamp: int | None, decoded: bool) -> None:
        """A packet was read that holds a frame."""
        if stamp is None:
            self._unstamped += 1
        else:
            heapq.heappush(self._waiting, (stamp, decoded))

    def skip(self, stamp: int) -> None:
        """No frame before this time stamp is asked for any more."""
        self._until(stamp)

    def picture(self, stamp: int | None) -> tuple[int | None, list[int]]:
        """The number of a frame, of which each is asked for in the order of their time stamps.

        Returns:
            It, None of a picture that a decoder made up for no packet; and the time stamps before it of packets that
            were decoded and gave no frame.
        """
        missing = [] if stamp is None else self._until(stamp)
        if self._waiting and self._waiting[0][0] == stamp:
            heapq.heappop(self._waiting)
        elif self._unstamped:
            self._unstamped -= 1
        else:
            return None, missing
        self.next += 1
        return self.next - 1, missing

    def first(self) -> int | None:
        """The earliest time stamp of a packet that was decoded and of which no frame was asked for."""
        return min((stamp for stamp, decoded in self._waiting if decoded), default=None)

    def rest(self) -> list[int]:
        """As `picture`, at the end of the film."""
        return [stamp for stamp, decoded in sorted(self._waiting) if decoded]

    def _until(self, stamp: int) -> list[int]:
        missing = []
        while self._waiting and self._waiting[0][0] < stamp:
            passed, decoded = heapq.heappop(self._waiting)
            self.next += 1
            if decoded:
                missing.append(passed)
        return missing
