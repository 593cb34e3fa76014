"""The looks at a film's faces come in; points of a timeline, not too many, go out, with gaps where nobody was seen."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from fer_fast.timeline.seen import Track

if TYPE_CHECKING:
    import numpy.typing as npt

    Array = npt.NDArray[np.float64]

#: A page has so many points at most, and each track of it.
MOST_POINTS, MOST_OF_TRACK = 20_000, 1_500
#: Seconds that are taken together where there would be more; 0 takes none.
_WIDTHS = (0, 0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 30, 60, 120, 300, 600, 1800, 3600, 14400)
#: A face that was not seen at two looks one after the other is gone; once is the finder's mistake more often than not.
_MISSED = 2.5
_STEP = 0.04


@dataclass(frozen=True)
class Scale:
    """How time is divided.

    Attributes:
        start, end: seconds, of all that is shown.
        step: between two looks, as a rule.
        width: seconds that a point is the mean of; 0 where each look is one.
    """

    start: float
    end: float
    step: float
    width: float

    @property
    def gap(self) -> float:
        """Seconds: two points of a face that are farther apart have a gap between them."""
        return _gap(self.step, self.width)

    @property
    def half(self) -> float:
        """Seconds that a point stands for to each side where none is next to it."""
        return max(self.step, self.width) / 2


@dataclass(frozen=True)
class Points:
    """A track on a timeline.

    Attributes:
        times: seconds, [points].
        shares: the mean probabilities, [points, classes].
        unsure: whether most looks were called nothing, [points].
        begins: the first point of each stretch without a gap.
    """

    times: Array
    shares: Array
    unsure: npt.NDArray[np.bool_]
    begins: npt.NDArray[np.intp]

    def stretches(self) -> list[slice]:
        """Points without a gap between them."""
        ends = [*self.begins[1:].tolist(), len(self.times)]
        return [slice(first, end) for first, end in zip(self.begins.tolist(), ends, strict=True)]


def scale_of(tracks: Sequence[Track]) -> Scale:
    """The finest division of which a page can show these tracks."""
    all_times = [np.asarray(track.times) for track in tracks]
    pauses = np.concatenate([np.diff(times) for times in all_times])
    pauses = pauses[pauses > 0]
    step = float(np.median(pauses)) if len(pauses) else _STEP
    start, end = min(times[0] for times in all_times), max(times[-1] for times in all_times) + step
    for width in _WIDTHS:
        counts = [len(_firsts(times, step, width)) for times in all_times]
        if max(counts) <= MOST_OF_TRACK and sum(counts) <= MOST_POINTS:
            break
    return Scale(float(start), float(end), step, width)


def points_of(track: Track, scale: Scale) -> Points:
    """A track's points."""
    looks = np.asarray(track.times)
    firsts = _firsts(looks, scale.step, scale.width)
    counts = np.diff([*firsts, len(looks)])
    times = np.add.reduceat(looks, firsts) / counts
    shares = np.add.reduceat(track.probabilities().astype(np.float64), firsts) / counts[:, None]
    unsure = np.add.reduceat(np.asarray(track.unsure, np.int64), firsts) * 2 > counts
    gaps = looks[firsts[1:]] - looks[firsts[1:] - 1] > scale.gap
    return Points(times, shares, unsure, np.concatenate([[0], np.flatnonzero(gaps) + 1]))


def _firsts(times: Array, step: float, width: float) -> npt.NDArray[np.intp]:
    """The look with which each point begins: a new one after a gap, and where a width ends."""
    if not width:
        return np.arange(len(times))
    bins = np.floor(times / width)
    new = (np.diff(bins) > 0) | (np.diff(times) > _gap(step, width))
    return np.concatenate([[0], np.flatnonzero(new) + 1])


def _gap(step: float, width: float) -> float:
    return max(_MISSED * step, width)
