"""What goes wrong while a film is read comes in; how many frames that cost, and where and why the first, goes out."""

from __future__ import annotations

from collections.abc import Iterable

from fer_fast.types import DecodeError, Status


class Losses:
    """Of one pass over a film.

    Args:
        start: milliseconds; what is shown earlier is not asked for, and so not lost.

    Attributes:
        packets: that were read, of all streams.
        lost: frames that should be there and are not, as far as that is known.
        fault: where and why the first was lost.
    """

    def __init__(self, start: int) -> None:
        self._start = start
        self.packets = self.lost = 0
        self.fault: DecodeError | None = None

    def damage(self, found: DecodeError, time: float) -> None:
        """Something is wrong at a time, in milliseconds; the first such thing is told."""
        if self.fault is None:
            reason = f"at {max(0.0, time) / 1000:.3f} s: {found}"
            self.fault = DecodeError(found.status, reason, again=found.again)

    def lose(self, times: Iterable[int]) -> None:
        """Frames of these times are not given."""
        self.lost += sum(time >= self._start for time in times)


def damaged(reason: str) -> DecodeError:
    """A fault of the file's."""
    return DecodeError(Status.CORRUPT, reason)


def cut_off(lacking: int) -> DecodeError:
    """The fault of a file of which so many bytes are not there."""
    return damaged(f"the file ends {lacking} bytes too soon")
