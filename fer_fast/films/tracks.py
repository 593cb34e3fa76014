"""The faces of one frame after another come in; a number for each goes out, the same for the same face over time.

By their boxes alone, where they are and how they move: nothing is kept by which a person could be told from another. So
a face that comes back later than `patience` has a new number, and behind a cut another person may get that of whose
face was in the same place.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from fer_fast.decode.limits import number
from fer_fast.films import motion
from fer_fast.films.assignment import cheapest_pairs

if TYPE_CHECKING:
    import numpy.typing as npt

    from fer_fast.types import Face

    Array = npt.NDArray[np.float64]
    Mask = npt.NDArray[np.bool_]


class Tracker:
    """Numbers faces over time; for one film or camera, on one thread.

    In the way of ByteTrack (Zhang et al. 2022, algorithm 1): faces of a high score continue tracks first, then those of
    a low one the tracks that are left, and what is left of the high ones begins tracks, at once. Tracks are paired with
    faces by `fer_fast.films.motion`, as is likeliest for all together. Unlike there, a face of a low score continues a
    track that was lost as well: who is hidden in part is often not found at all for a frame.

    Args:
        score: a face of a smaller one begins no track, 0 to 1.
        patience: seconds that a track goes on without a face: it ends at the first look after them that has none for
            it. So it lasts over any gap in which nobody looked; but over more than about a minute no face is likely
            enough to be the same.

    Raises:
        TypeError, ValueError: a number that is none, or out of range.
    """

    def __init__(self, *, score: float = 0.6, patience: float = 1.0) -> None:
        self._score, self._patience = number("score", score, 1), number("patience", patience)
        self._time = -math.inf
        self._next = 0
        self._ids: list[int] = []
        self._tracks: Array = np.empty((0, motion.COLUMNS))

    def update(self, time: float, faces: Sequence[Face]) -> list[int | None]:
        """Takes the faces of the next frame.

        Args:
            time: seconds; not before the last. Times may be uneven.
            faces: in any order, from which nothing depends; those of a low score, too, if the finder gives them.

        Returns:
            Of each face its track's number: from 0, never used again, those of new faces from the left of the frame to
            the right. None for a face of a low score that continues no track.

        Raises:
            ValueError: a time that is not finite or lies before the last; a box that is not finite or has no area.
        """
        if not self._time <= time < math.inf:
            raise ValueError(f"time must be finite and not before the last, {self._time}, not {time!r}")
        boxes, order = _from_the_left(faces)
        seen, is_high = motion.seen_of(boxes[:, :4]), boxes[:, 4] >= self._score
        expected = motion.ahead(self._tracks, time)
        pairs = _paired(motion.costs(expected, seen), is_high)
        ids = {face: self._ids[track] for track, face in pairs.items()}
        if pairs:
            continued = motion.continued(expected, list(pairs), seen[list(ids)], time)
            self._tracks[list(pairs)] = continued
        self._end_and_begin(time, seen, [face for face in np.flatnonzero(is_high).tolist() if face not in ids], ids)
        self._time = float(time)
        found: list[int | None] = [None] * len(faces)
        for face, track in ids.items():
            found[order[face]] = track
        return found

    def _end_and_begin(self, time: float, seen: Array, new: list[int], ids: dict[int, int]) -> None:
        stays = time - self._tracks[:, motion.SEEN] <= self._patience
        if new or not stays.all():
            begun = range(self._next, self._next + len(new))
            self._next += len(new)
            ids.update(zip(new, begun, strict=True))
            self._ids = [track for track, is_here in zip(self._ids, stays.tolist(), strict=True) if is_here] + [*begun]
            self._tracks = np.concatenate([self._tracks[stays], motion.begun(seen[new], time)])

    def state(self) -> dict[str, Any]:
        """All that the next numbers depend on, for JSON; `of` goes on from it to the same numbers."""
        return {
            "score": self._score,
            "patience": self._patience,
            "time": self._time if self._time > -math.inf else None,
            "next": self._next,
            "tracks": [[track, *row] for track, row in zip(self._ids, self._tracks.tolist(), strict=True)],
        }

    @classmethod
    def of(cls, state: Mapping[str, Any]) -> Tracker:
        """A tracker that goes on from what `state` gave.

        Raises:
            ValueError: it is something else.
        """
        try:
            tracker = cls(score=state["score"], patience=state["patience"])
            tracker._time = -math.inf if state["time"] is None else float(state["time"])
            tracker._next, tracker._ids = int(state["next"]), [int(track) for track, *_ in state["tracks"]]
            rows = [row for _, *row in state["tracks"]]
            tracker._tracks = np.array(rows, np.float64).reshape(len(rows), motion.COLUMNS)
        except (KeyError, TypeError, ValueError) as error:
            raise ValueError(f"state must be what Tracker.state gave, not {str(state)[:100]}") from error
        return tracker


def _from_the_left(faces: Sequence[Face]) -> tuple[Array, list[int]]:
    """Boxes and scores, [faces, 5], in an order of their own; and the place of each among the faces."""
    boxes = np.array([(face.x, face.y, face.width, face.height, face.score) for face in faces]).reshape(-1, 5)
    order = np.lexsort(boxes.T[::-1])
    boxes = boxes[order]
    if not (np.isfinite(boxes).all() and (boxes[:, 2:4] > 0).all()):
        raise ValueError("faces must have finite boxes and scores, of a width and a height above 0")
    return boxes, order.tolist()


def _paired(costs: Array, is_high: Mask) -> dict[int, int]:
    """The face of each track that has one."""
    worth: tuple[dict[int, dict[int, float]], ...] = ({}, {})
    tracks, faces = np.nonzero(costs < 0)
    for track, face, cost, high in zip(
        tracks.tolist(), faces.tolist(), costs[tracks, faces].tolist(), is_high[faces].tolist(), strict=True
    ):
        worth[not high].setdefault(track, {})[face] = cost
    pairs = _cheapest(worth[0])
    return pairs | _cheapest({track: faces for track, faces in worth[1].items() if track not in pairs})


def _cheapest(costs: Mapping[int, Mapping[int, float]]) -> dict[int, int]:
    tracks = list(costs)
    return {tracks[row]: face for row, face in cheapest_pairs([*costs.values()]).items()}
