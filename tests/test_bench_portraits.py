"""Drawn heads: the packaged finder finds each where it was put, and a seed always gives the same photo."""

import numpy as np
import pytest

from fer_fast.bench.portraits import make_photos_with_faces, photo_with_faces
from fer_fast.faces.finder import FaceFinder


def overlap(face, box):
    x, y, width, height = box
    across = min(face.x + face.width, x + width) - max(face.x, x)
    down = min(face.y + face.height, y + height) - max(face.y, y)
    both = max(across, 0) * max(down, 0)
    return both / (face.width * face.height + width * height - both)


def test_every_drawn_face_is_found_and_nothing_else():
    random = np.random.default_rng(2)
    with FaceFinder() as finder:
        for count in (0, 1, 6):
            photo, boxes = photo_with_faces(random, (640, 480), count)
            (found,) = finder.find([np.asarray(photo)])
            assert len(found) == count
            assert all(max(overlap(face, box) for face in found) > 0.7 for box in boxes)
            assert all(face.score > 0.8 for face in found)


def test_a_seed_gives_the_same_files(tmp_path):
    first, again = (make_photos_with_faces(tmp_path / name, 3, 5, (320, 240), 2) for name in ("first", "again"))
    assert [path.read_bytes() for path in first] == [path.read_bytes() for path in again]
    assert first[0].read_bytes() == first[2].read_bytes() != first[1].read_bytes()


def test_a_folder_is_made_by_the_call(tmp_path):
    with pytest.raises(FileExistsError):
        make_photos_with_faces(tmp_path, 1)
