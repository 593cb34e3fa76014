"""A track's points come in; the outlines of what is drawn of them go out, for templates/timeline.html.

Across a chart has `WIDE` units and down `TALL`, whatever its size on a screen is.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from math import ceil
from typing import TYPE_CHECKING

import numpy as np

from fer_fast.timeline.points import Points, Scale

if TYPE_CHECKING:
    import numpy.typing as npt

    Array = npt.NDArray[np.float64]

WIDE, TALL = 4000, 1000
#: Of a label that is not sure.
_UNSURE = "rgb(255, 255, 255)"
_MOST_TICKS = 9
_TICKS = (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400, 43200, 86400)


@dataclass(frozen=True)
class Band:
    """One colour of a chart.

    Attributes:
        name: what it stands for.
        colour: as CSS has it.
        path: its outline, as SVG has it.
    """

    name: str
    colour: str
    path: str


@dataclass(frozen=True)
class Tick:
    """A time on the axis.

    Attributes:
        place: in percent from the left.
        said: the time.
    """

    place: float
    said: str


def ticks(scale: Scale) -> list[Tick]:
    """Round times, not too many."""
    length = scale.end - scale.start
    days = ceil(length / _MOST_TICKS / _TICKS[-1]) * _TICKS[-1]  # of a damaged film's table it may be ages
    apart = next((each for each in _TICKS if length / each <= _MOST_TICKS), days)
    times = range(ceil(scale.start / apart) * apart, int(scale.end) + 1, apart)
    return [Tick(100 * (time - scale.start) / length, clock(time)) for time in times]


def clock(seconds: float) -> str:
    """A time as players show it: 1:02:03, 2:03; with a tenth where it is no whole second."""
    tenths = round(10 * seconds)
    whole, tenth = divmod(tenths, 10)
    hours, minutes, rest = whole // 3600, whole // 60 % 60, whole % 60
    said = f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
    return f"{said}.{tenth}" if tenth else said


def bands(points: Points, scale: Scale, colours: Mapping[str, str]) -> list[Band]:
    """The classes' probabilities, stacked: each band reaches to the foot, and is drawn over the ones before."""
    tops = np.cumsum(points.shares, axis=1)
    tops /= np.maximum(tops[:, -1:], 1e-9)
    made = []
    for place, (name, colour) in reversed([*enumerate(colours.items())]):
        parts = [
            _area(times, np.concatenate([tops[each, place][:1], tops[each, place], tops[each, place][-1:]]))
            for each, times in _with_ends(points, scale)
        ]
        made.append(Band(name, colour, "".join(parts)))
    return made


def ribbon(points: Points, scale: Scale, colours: Mapping[str, str]) -> list[Band]:
    """The label of each point, in its colour and as high as its probability."""
    labels = np.where(points.unsure, -1, points.shares.argmax(axis=1))
    heights = points.shares.max(axis=1)
    parts: dict[int, list[str]] = {}
    for each, ends in _with_ends(points, scale):
        times = ends[1:-1]
        borders = np.concatenate([ends[:1], (times[1:] + times[:-1]) // 2, ends[-1:]])
        for place, label in enumerate(labels[each].tolist()):
            left, right = borders[place], borders[place + 1]
            top = TALL - round(TALL * float(heights[each][place]))
            parts.setdefault(label, []).append(f"M{left} {TALL}V{top}H{right}V{TALL}z")
    named = [("unsure", _UNSURE) if label < 0 else [*colours.items()][label] for label in parts]
    return [Band(name, colour, "".join(path)) for (name, colour), path in zip(named, parts.values(), strict=True)]


def _with_ends(points: Points, scale: Scale) -> Iterator[tuple[slice, npt.NDArray[np.int64]]]:
    """Each stretch without a gap; where its points are across, with an end on either side of them."""
    for each in points.stretches():
        times = points.times[each]
        ends = np.concatenate([[times[0] - scale.half], times, [times[-1] + scale.half]])
        across = (ends - scale.start) / (scale.end - scale.start) * WIDE
        yield each, np.rint(np.clip(across, 0, WIDE)).astype(np.int64)


def _area(across: npt.NDArray[np.int64], shares: Array) -> str:
    """The outline of what lies beneath some shares."""
    down = np.rint(TALL * (1 - shares)).astype(np.int64)
    line = "L".join(f"{x} {y}" for x, y in zip(across.tolist(), down.tolist(), strict=True))
    return f"M{across[0]} {TALL}L{line}V{TALL}z"
