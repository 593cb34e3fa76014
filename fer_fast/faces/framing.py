"""Faces of a photo and a model's framing come in; where each one's crop lies goes out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from fer_fast.ops import native

if TYPE_CHECKING:
    import numpy.typing as npt

    from fer_fast.types import Face

#: Landmarks of a face that is smaller than this where the finder looked, its box's longer side in pixels, are too
#: coarse to cut by: its box is what is cut.
LEAST_FOR_LANDMARKS = 40.0


def crop_matrices(faces: Sequence[Face], framing: str, size: int, reduction: float) -> npt.NDArray[np.float64]:
    """Where a photo's faces are cut.

    Args:
        faces: in pixels of the photo.
        framing: the model's, one of `fer_fast.models.config.FRAMINGS`.
        size: a crop's side in pixels.
        reduction: how many pixels of the photo one of the finder's stood for; 1 where it saw the photo itself.

    Returns:
        float64 [faces, 2, 3], from a crop's coordinates to the photo's.
    """
    rows = np.array([_row(face) for face in faces], np.float32).reshape(-1, 14)
    matrices: npt.NDArray[np.float64] = native.core().crop_matrices(rows, framing, size)
    coarse = rows[:, 2:4].max(axis=1, initial=0) < LEAST_FOR_LANDMARKS * reduction
    if framing != "box" and coarse.any():
        matrices[coarse] = native.core().crop_matrices(rows[coarse], "box", size)
    return matrices


def _row(face: Face) -> tuple[float, ...]:
    return (face.x, face.y, face.width, face.height, *(value for point in face.landmarks for value in point))
