"""Found boxes and labelled ones come in, average precision and recall by the faces' size go out.

As WIDER FACE and COCO count (Yang et al. 2016; Lin et al. 2014): of each photo the found faces take labelled ones by
falling score; faces that are not asked about are neither missed nor, when they are found, wrong.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from fer_fast.datasets.labelled_boxes import LabelledPhoto

Boxes = npt.NDArray[np.float64]

#: A found box is a labelled face where their intersection is this part of their union, or more.
OVERLAP = 0.5


class Size(NamedTuple):
    """Faces whose box has a shorter side of `least` pixels of the photo or more, and less than `below`."""

    least: float
    below: float

    def has(self, boxes: Boxes) -> npt.NDArray[np.bool_]:
        """Which boxes [n, 4 or more] are of this size."""
        shorter = boxes[:, 2:4].min(axis=1)
        chosen: npt.NDArray[np.bool_] = (shorter >= self.least) & (shorter < self.below)
        return chosen


_EDGES = (8.0, 10.0, 12.0, 16.0, 20.0, 24.0, 32.0, 64.0, np.inf)
#: What is scored: first the faces that are worth a classification, then every size by itself.
SIZES: tuple[Size, ...] = (Size(20.0, np.inf), *(Size(*pair) for pair in itertools.pairwise(_EDGES)))


@dataclass(frozen=True, eq=False)
class Judged:
    """What became of the found faces of all photos that count for one size, by falling score.

    Attributes:
        scores: float64 [found].
        right: bool [found]: a labelled face of this size that no better one had taken.
        faces: how many were to be found.
    """

    scores: npt.NDArray[np.float64]
    right: npt.NDArray[np.bool_]
    faces: int

    def average_precision(self) -> float | None:
        """The area under precision over recall, all points, precision made falling; None where there is no face.

        Faces of one score come together, since no threshold parts them: in which order photos come changes nothing.
        """
        if self.faces == 0:
            return None
        counts = np.searchsorted(-self.scores, -self.scores, side="right")  # of this score or a higher one
        precision = np.cumsum(self.right)[counts - 1] / counts
        precision = np.maximum.accumulate(precision[::-1])[::-1]  # the best at this recall or a higher one
        return float(precision[self.right].sum() / self.faces)

    def at(self, score: float) -> dict[str, Any]:
        """What is found with a score or a higher one: recall, wrong ones."""
        chosen = self.scores >= score
        found = int(self.right[chosen].sum())
        return {"recall": found / self.faces if self.faces else None, "wrong": int(chosen.sum()) - found}


def size_scores(found: Sequence[Boxes], photos: Sequence[LabelledPhoto], score: float) -> list[dict[str, Any]]:
    """Scores of each of `SIZES`, ready for JSON.

    Args:
        found: of each photo float64 [faces, 5]: x, y, width, height, score, in pixels of the upright photo; down to low
            scores, which average precision needs.
        photos: what is labelled in them.
        score: the smallest that counts as found for recall.

    Returns:
        least and below (None: no limit), faces, average_precision, recall and wrong at the score.
    """
    rows: list[dict[str, Any]] = []
    for size in SIZES:
        judged = judge(found, photos, size)
        rows.append(
            {
                "least": size.least,
                "below": None if np.isinf(size.below) else size.below,
                "faces": judged.faces,
                "average_precision": _rounded(judged.average_precision()),
                **{name: _rounded(value) for name, value in judged.at(score).items()},
            }
        )
    return rows


def judge(found: Sequence[Boxes], photos: Sequence[LabelledPhoto], size: Size) -> Judged:
    """Which found faces are labelled ones of a size; see `size_scores` for what comes in."""
    verdicts, scores, faces = [], [], 0
    for boxes, photo in zip(found, photos, strict=True):
        asked = photo.valid & size.has(photo.boxes)
        faces += int(asked.sum())
        boxes = boxes[np.argsort(-boxes[:, 4], kind="stable")]
        verdict = _verdicts(boxes, photo.boxes, asked)
        # What is no labelled face and of another size says nothing of this one.
        counts = (verdict > 0) | ((verdict == 0) & size.has(boxes))
        verdicts.append(verdict[counts])
        scores.append(boxes[counts, 4])
    all_scores, right = np.concatenate(scores), np.concatenate(verdicts) > 0
    order = np.argsort(-all_scores, kind="stable")
    return Judged(all_scores[order], right[order], faces)


def _verdicts(found: Boxes, labelled: Boxes, asked: npt.NDArray[np.bool_]) -> npt.NDArray[np.int8]:
    """Of each found box of a photo 1 (a face that was asked for), 0 (none) or -1 (a face that does not count)."""
    verdicts = np.zeros(len(found), np.int8)
    left = asked.copy()
    for place, overlaps in enumerate(intersections_over_unions(found, labelled)):
        near = overlaps >= OVERLAP
        if (near & left).any():
            verdicts[place] = 1
            left[np.where(left, overlaps, 0).argmax()] = False
        elif (near & ~asked).any():  # may be found more than once
            verdicts[place] = -1
    return verdicts


def intersections_over_unions(first: Boxes, second: Boxes) -> Boxes:
    """Of each pair of boxes x, y, width, height, [n, 4 or more] and [m, 4 or more]: float64 [n, m], 0 to 1."""
    one, other = first[:, None, :4], second[None, :, :4]
    low = np.maximum(one[..., :2], other[..., :2])
    high = np.minimum(one[..., :2] + one[..., 2:], other[..., :2] + other[..., 2:])
    both = np.clip(high - low, 0, None).prod(axis=2)
    areas = one[..., 2:].prod(axis=2) + other[..., 2:].prod(axis=2)
    return np.asarray(both / np.maximum(areas - both, 1e-12), np.float64)


def _rounded(value: float | None) -> float | int | None:
    return round(value, 6) if isinstance(value, float) else value
