"""Faces of a network's cells: a case worked by hand, then the reference, then the native function."""

from __future__ import annotations

import numpy as np
import pytest

from fer_fast import _C as core  # noqa: N811
from fer_fast.faces.cells import MOST_CELLS, faces_in_reference

CELLS = 64 * 32 // 64 + 64 * 32 // 256 + 64 * 32 // 1024  # of an image 32 high and 64 wide


def cells_of(*faces):
    """Cells that hold nothing but what is given: place, score, centre, size and landmarks."""
    cells = np.zeros((CELLS, 15), np.float32)
    for place, *values in faces:
        cells[place] = values
    return cells


@pytest.mark.parametrize("find", [faces_in_reference, core.faces_in])
def test_faces_worked_by_hand(find):
    points, size = [0.25] * 10, [np.log(2), np.log(2)]
    cells = cells_of(
        (9, 0.5, 0.5, 0.5, *size, *points),  # the second of the second row of 8 px: the same face as cell 10
        (10, 0.75, -0.5, 0.5, *size, *points),
        (41, 0.75, 0.5, 0.5, *size, *points),  # the second of 32 px
        (0, 0.25, 0.5, 0.5, *size, *points),
    )
    found = find(cells, 32, 64, 0.5)
    np.testing.assert_allclose(found[:, :4], [[4, 4, 16, 16], [16, -16, 64, 64]], atol=1e-4)
    np.testing.assert_allclose(found[:, 4:14], [[18, 10] * 5, [40, 8] * 5], atol=1e-4)
    assert found[:, 14].tolist() == [0.75, 0.75]


def random_cells(random, count):
    cells = random.normal(0, 1, (count, 15)).astype(np.float32)
    cells[:, 0] = random.uniform(0, 1, count).round(2)  # equal scores occur
    return cells


def test_native_faces_are_the_references():
    random = np.random.default_rng(1)
    for _ in range(20):
        height, width = (int(side) * 32 for side in random.integers(1, 9, 2))
        cells = random_cells(random, sum((height // stride) * (width // stride) for stride in (8, 16, 32)))
        spoiled = random.integers(0, len(cells), 9)
        cells[spoiled, random.integers(0, 15, 9)] = random.choice([np.nan, np.inf, -np.inf, 1e30], 9)
        found = core.faces_in(cells, height, width, 0.4, 0.3)
        wanted = faces_in_reference(cells, height, width, 0.4, 0.3)
        assert np.isfinite(found).all() and len(found)
        np.testing.assert_allclose(found, wanted, rtol=1e-5, atol=1e-3)


def test_of_thousands_the_best_are_looked_at():
    cells = random_cells(np.random.default_rng(2), 64 * 64 * 21)
    cells[:, 1:5] = 0.5, 0.5, -5, -5  # so small that none overlap
    found = core.faces_in(cells, 2048, 2048, 0.0)
    assert len(found) == MOST_CELLS
    np.testing.assert_array_equal(found[:, 14], np.sort(cells[:, 0])[::-1][:MOST_CELLS])


def test_what_has_no_place_in_the_image_is_no_face():
    points = [0.0] * 10
    here, beside, huge = (0.5, 0.5, 0, 0, *points), (-0.6, 0.5, 0, 0, *points), (0.5, 0.5, np.log(17), 0, *points)
    cells = cells_of((0, 0.9, *here), (8, 0.9, *beside), (17, 0.9, *huge))
    for find in (faces_in_reference, core.faces_in):
        np.testing.assert_allclose(find(cells, 32, 64, 0.5)[:, :4], [[0, 0, 8, 8]], atol=1e-4)


@pytest.mark.parametrize(
    ("arguments", "error", "words"),
    [
        ((cells_of(), 64, 64, 0.5), ValueError, r"cells: must be \[84, 15\] for 64 x 64, got \(42, 15\)"),
        ((cells_of(), 33, 64, 0.5), ValueError, "multiples of 32 from 32 to 65536, got 33 and 64"),
        ((cells_of(), 32, 64, np.nan), ValueError, "score: must be 0 to 1, got nan"),
        ((cells_of(), 32, 64, 0.5, 2), ValueError, "overlap: must be 0 to 1, got 2"),
        ((cells_of().astype(float), 32, 64, 0.5), TypeError, "cells: must be float32, got float64"),
        ((cells_of()[:, ::-1], 32, 64, 0.5), ValueError, "cells: must be C-contiguous"),
    ],
)
def test_refusals(arguments, error, words):
    with pytest.raises(error, match=words):
        core.faces_in(*arguments)
