"""Which framing a face's crop gets, and where it lies then."""

from __future__ import annotations

import numpy as np
import pytest

from fer_fast.faces.crops import TEMPLATE, TEMPLATE_SIDE
from fer_fast.faces.framing import LEAST_FOR_LANDMARKS, crop_matrices
from fer_fast.types import Face


def face_of_side(side: float, x: float = 10.0, y: float = 20.0) -> Face:
    """A face whose landmarks lie as the template has them in the middle of a box that is larger than theirs."""
    points = tuple((x + px * side / TEMPLATE_SIDE, y + py * side / TEMPLATE_SIDE) for px, py in TEMPLATE)
    return Face(x - side / 8, y, side, side * 1.25, points, 0.9)  # type: ignore[arg-type]


@pytest.mark.parametrize("reduction", [1.0, 3.5])
def test_landmarks_count_where_the_finder_saw_them_well(reduction: float) -> None:
    side = LEAST_FOR_LANDMARKS * reduction / 1.25  # of the box, the longer one is 1.25 times as long
    seen, coarse = crop_matrices([face_of_side(side * 1.001), face_of_side(side * 0.999)], "points", 112, reduction)
    np.testing.assert_allclose(seen @ [0, 0, 1], [10, 20], atol=1e-4)
    np.testing.assert_allclose(np.hypot(*seen[:, :2]), side * 1.001 / 112, rtol=1e-5)
    np.testing.assert_allclose(coarse, crop_matrices([face_of_side(side * 0.999)], "box", 112, 1.0)[0])
    np.testing.assert_allclose(np.hypot(*coarse[:, :2]), 1.25 * side * 0.999 / 112, rtol=1e-5)


def test_no_faces_have_no_crops() -> None:
    assert crop_matrices([], "level", 64, 2.0).shape == (0, 2, 3)
