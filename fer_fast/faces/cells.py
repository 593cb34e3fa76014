"""What the finder's network says of an image's cells comes in, its faces go out.

As OpenCV's FaceDetectorYN reads YuNet: each cell's box and landmarks in pixels, those of a high score, of boxes that
overlap the one with the highest. The reference of `fer_fast._C.faces_in`, which is what runs.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import numpy.typing as npt

    Array = npt.NDArray[np.float32]

#: Pixels of the image a cell of each scale stands for, in the order of the cells.
STRIDES: tuple[int, ...] = (8, 16, 32)
#: Of two boxes whose intersection is a larger part of their union, one is the same face once more.
OVERLAP = 0.3
#: Cells of the highest scores that are looked at: each is compared with every other.
MOST_CELLS = 5000


def faces_in_reference(cells: Array, height: int, width: int, score: float, overlap: float = OVERLAP) -> Array:
    """The faces of one image, by falling score.

    Args:
        cells: float32 [cells, 15], what `FinderNetwork` gives; one that holds what is no finite number is no face,
            nor is one whose box does not touch the image, or has more than twice its longer side.
        height, width: of the network's input, multiples of 32.
        score: the smallest.
        overlap: see `OVERLAP`.

    Returns:
        float32 [faces, 15]: x, y, width, height, x and y of five landmarks, in pixels of that input; score.
    """
    chosen = np.flatnonzero((cells[:, 0] >= score) & np.isfinite(cells).all(axis=1))
    chosen = chosen[np.argsort(-cells[chosen, 0], kind="stable")][:MOST_CELLS]
    corners, strides = _corners(height, width)
    values, corner, stride = cells[chosen], corners[chosen], strides[chosen, None]
    centres = (corner + values[:, 1:3]) * stride
    with np.errstate(over="ignore"):
        sizes = np.exp(values[:, 3:5]) * stride
    landmarks = (np.tile(corner, 5) + values[:, 5:]) * stride
    faces = np.concatenate([centres - sizes / 2, sizes, landmarks, values[:, :1]], axis=1)
    faces = faces[np.isfinite(faces).all(axis=1)]
    low, size, image = faces[:, :2], faces[:, 2:4], np.array([width, height], np.float32)
    faces = faces[((size > 0) & (size <= 2 * image.max()) & (low < image) & (low + size > 0)).all(axis=1)]
    kept: Array = faces[_kept(faces, overlap)]
    return kept


def _corners(height: int, width: int) -> tuple[Array, Array]:
    """Of each cell its column and row, and its stride."""
    corners, strides = [], []
    for stride in STRIDES:
        rows, columns = np.mgrid[: height // stride, : width // stride]
        corners.append(np.stack([columns.ravel(), rows.ravel()], axis=1))
        strides.append(np.full(rows.size, stride))
    return np.concatenate(corners).astype(np.float32), np.concatenate(strides).astype(np.float32)


def _kept(faces: Array, overlap: float) -> list[int]:
    kept: list[int] = []
    for place, (x, y, width, height) in enumerate(faces[:, :4].tolist()):
        for other in kept:
            left, top, wide, high = faces[other, :4].tolist()
            across = max(0.0, min(x + width, left + wide) - max(x, left))
            down = max(0.0, min(y + height, top + high) - max(y, top))
            both = across * down
            if both > overlap * (width * height + wide * high - both):
                break
        else:
            kept.append(place)
    return kept
