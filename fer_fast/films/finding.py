"""A film's frames come in; who is in each goes out, though the finder looks at some of them alone.

Where everybody whom it sees at one look is there at the next, and nobody else, faces have moved evenly between the two.
Where anybody came, went or was missed, it looks at the frames between as well. So what is not found is who comes and
goes between two looks, and what is found twice is not found otherwise; and nothing depends on what was before the last
look, so that a film which is read in sections gives the same.
"""

from __future__ import annotations

import math
from collections.abc import Generator, Iterable, Iterator, Sequence
from contextlib import closing
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

from fer_fast.faces.turns import in_turn
from fer_fast.films.stretch import Stretch
from fer_fast.films.tracks import Tracker
from fer_fast.types import Face

if TYPE_CHECKING:
    from fer_fast.faces.looking import Looking
    from fer_fast.films.faces import FramePhoto

_EVEN = ("x", "y", "width", "height", "score")


class Known(NamedTuple):
    """A frame and what is known of it.

    Attributes:
        number, time: see `Frame`.
        photo: its pixels.
        faces: by falling area; None where the finder is still to look.
        finding: seconds that it took.
        factor: see `Looking.find`.
    """

    number: int
    time: float
    photo: FramePhoto
    faces: list[Face] | None = None
    finding: float = 0.0
    factor: float = 1.0

    def found(self, looking: Looking) -> Known:
        """With the faces that the finder sees in it."""
        faces, seconds, factor = looking.find(self.photo)
        return self._replace(faces=faces, finding=seconds, factor=factor)


def found_in(
    frames: Iterable[Known], looking: Looking, workers: int, every: int, stretch: Stretch
) -> Generator[Known, None, None]:
    """Finds the faces of some frames and tells those of others.

    Args:
        frames: of which nothing is known; taken on the caller's thread.
        looking: finds, on threads.
        workers: how many.
        every: each so manieth is looked at, counted from the beginning of each section.
        stretch: what has sections.

    Returns:
        All of them, in order. Its `close`, and its end, leave no thread.

    Raises:
        Exception: whatever `frames` or the finder raises, once the frames before have gone out.
    """
    return _told(in_turn(_pieces(frames, looking, every, stretch), workers))


def _pieces(frames: Iterable[Known], looking: Looking, every: int, stretch: Stretch) -> Iterator[partial[Known]]:
    section, count = -1, 0
    for frame in frames:
        last, section = section, math.floor(round(1000 * frame.time) / stretch.section)
        count = count + 1 if section == last else 0
        yield partial(frame.found, looking) if count % every == 0 else partial(Known, *frame)


def _told(looks: Generator[Known, None, None]) -> Generator[Known, None, None]:
    """Each frame, with its faces where the looks around it tell them."""
    last: Known | None = None
    waiting: list[Known] = []
    fault: Exception | None = None
    with closing(looks):
        while True:
            try:
                look = next(looks, None)
            except Exception as error:
                fault = error
                break
            if look is None:
                break
            if look.faces is None:
                waiting.append(look)
                continue
            yield from _between(last, waiting, look)
            yield look
            last, waiting = look, []
        yield from waiting  # to be looked at, as there is nothing behind them
    if fault is not None:
        raise fault


def _between(last: Known | None, waiting: Sequence[Known], look: Known) -> Iterator[Known]:
    pairs = _same(last, look) if last is not None and waiting else None
    for each in waiting:
        if pairs is None or last is None:
            yield each
        else:
            share = (each.time - last.time) / (look.time - last.time) if last.time < each.time < look.time else 0.0
            faces = [_moved(one, other, share) for one, other in pairs]
            faces.sort(key=lambda face: -face.width * face.height)
            yield each._replace(faces=faces, factor=look.factor)


def _same(last: Known, look: Known) -> list[tuple[Face, Face]] | None:
    """Each face of a look and the same of the next; None where anybody is in one of them alone."""
    ones, others = last.faces or [], look.faces or []
    if len(ones) != len(others):
        return None
    tracker = Tracker(score=0.0, patience=math.inf)
    tracks = tracker.update(0.0, ones)
    at = dict(zip(tracker.update(max(0.0, look.time - last.time), others), others, strict=True))
    return [(face, at[track]) for face, track in zip(ones, tracks, strict=True)] if {*tracks} == {*at} else None


def _moved(one: Face, other: Face, share: float) -> Face:
    """A face on its way from one place to another, of which it has gone a share, 0 to 1."""
    x, y, width, height, score = (_part(getattr(one, name), getattr(other, name), share) for name in _EVEN)
    points = [
        (_part(x, to_x, share), _part(y, to_y, share))
        for (x, y), (to_x, to_y) in zip(one.landmarks, other.landmarks, strict=True)
    ]
    return Face(x, y, width, height, tuple(points), score)  # type: ignore[arg-type]


def _part(one: float, other: float, share: float) -> float:
    return (1 - share) * one + share * other
