"""Where a face's note stands in a picture: beside its box, on no other face and on no other note."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt

#: Left, top, right, bottom, in pixels.
Box = tuple[int, int, int, int]

#: Of a note the part that may lie on others, and of its own face's box the part that it may cover, where there is no
#: better place.
_MOST_COVERED, _MOST_OF_OWN = 0.05, 0.22


class Places:
    """The room in a picture.

    Args:
        size: width and height of the picture.
        faces: boxes that are not to be covered.
    """

    def __init__(self, size: tuple[int, int], faces: Sequence[Box]) -> None:
        self._size = size
        self._taken: npt.NDArray[np.float64] = np.array([*faces], np.float64).reshape(-1, 4)

    def take(self, face: int, size: tuple[int, int], gap: int) -> Box | None:
        """Finds a place for a note and keeps others from it.

        Args:
            face: the number of its face.
            size: width and height of the note.
            gap: between box and note.

        Returns:
            The place; None where every one would cover others.
        """
        own: Box = tuple(map(int, self._taken[face]))  # type: ignore[assignment]
        best, least = None, float("inf")
        for candidate in self._candidates(own, size, gap):
            on_others, on_own = self._covered(candidate, face)
            if on_others > _MOST_COVERED or on_own > _MOST_OF_OWN:
                continue
            if on_others + on_own < least:
                best, least = candidate, on_others + on_own
            if least == 0:
                break
        if best is not None:
            self._taken = np.concatenate([self._taken, np.array([best], np.float64)])
        return best

    def _candidates(self, own: Box, size: tuple[int, int], gap: int) -> Iterator[Box]:
        """Places inside the picture, the best first: a flat note goes over or under the box, a high one beside it."""
        left, top, right, bottom = own
        wide, tall = size
        over = [(left, top - gap - tall), (left, bottom + gap), (right - wide, top - gap - tall)]
        over += [(right - wide, bottom + gap)]
        beside = [(right + gap, top), (left - gap - wide, top), (right + gap, bottom - tall)]
        beside += [(left - gap - wide, bottom - tall)]
        inside = [(left, bottom - tall), (left, top)] if wide <= right - left else []
        farthest, lowest = self._size[0] - wide, self._size[1] - tall
        corners = [(0, 0), (farthest, 0), (0, lowest), (farthest, lowest)]
        places = over + beside + inside if wide > 2 * tall else beside + over + corners
        if farthest < 0 or lowest < 0:
            return
        for x, y in places:
            x, y = min(max(x, 0), farthest), min(max(y, 0), lowest)
            yield x, y, x + wide, y + tall

    def _covered(self, place: Box, face: int) -> tuple[float, float]:
        """The part of a place that others have, and the part of its face's box that it covers."""
        left, top, right, bottom = place
        taken = self._taken
        across = np.minimum(taken[:, 2], right) - np.maximum(taken[:, 0], left)
        down = np.minimum(taken[:, 3], bottom) - np.maximum(taken[:, 1], top)
        both = np.maximum(across, 0) * np.maximum(down, 0)
        own = both[face]
        box = taken[face]
        of_own = own / max((box[2] - box[0]) * (box[3] - box[1]), 1)
        return float(both.sum() - own) / ((right - left) * (bottom - top)), float(of_own)
