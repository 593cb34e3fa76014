"""The whole way: drawn photos of known faces go in, the table must have each of them, wherever and however they lie."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from fer_fast import Classifier, classify_folder
from fer_fast.bench.images import scene
from fer_fast.bench.portraits import photo_with_faces
from fer_fast.faces.finder import FaceFinder
from fer_fast.faces.framing import crop_matrices
from fer_fast.ops import native
from fer_fast.types import Face

Box = tuple[float, float, float, float]
SIZE = (960, 720)
#: Pixels of the photo by which a box may differ, where the finder saw the same picture.
NEAR = 3.0


@pytest.fixture(scope="module")
def drawn() -> tuple[Image.Image, list[Box]]:
    """A photo of four faces, and where they are, by falling area."""
    photo, boxes = photo_with_faces(np.random.default_rng(11), SIZE, 4)
    return photo, sorted(boxes, key=lambda box: -box[2] * box[3])


@pytest.fixture(scope="module")
def photos(drawn: tuple[Image.Image, list[Box]], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """That photo as it is, turned and told so by EXIF, in grey, twice as large; and one without a face."""
    photo, folder = drawn[0], tmp_path_factory.mktemp("photos")
    photo.save(folder / "upright.png")
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned by 90 degrees clockwise
    photo.transpose(Image.Transpose.ROTATE_90).save(folder / "turned.png", exif=exif)
    photo.convert("L").save(folder / "grey.png")
    photo.resize((2 * SIZE[0], 2 * SIZE[1]), Image.Resampling.BICUBIC).save(folder / "twice.png")
    Image.fromarray(scene(np.random.default_rng(0), SIZE)).save(folder / "nobody.png")
    return folder


@pytest.fixture(scope="module")
def classifier() -> Iterator[Classifier]:
    with Classifier("tiny") as opened:
        yield opened


Rows = list[dict[str, str]]


def rows_of(photos: Path, out: Path, **options: Any) -> dict[str, Rows]:
    """The rows of each photo, by its name."""
    classify_folder(photos, out, **options)
    rows: dict[str, Rows] = {}
    with out.open(newline="", encoding="utf-8") as file:
        for row in csv.DictReader(file):
            rows.setdefault(Path(row["path"]).stem, []).append(row)
    return rows


@pytest.fixture(scope="module")
def rows(photos: Path, classifier: Classifier, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Rows]:
    """Of all faces."""
    return rows_of(photos, tmp_path_factory.mktemp("out") / "out.csv", classifier=classifier, faces="all")


def boxes_of(rows: Rows) -> np.ndarray[Any, Any]:
    return np.array([[float(row[name]) for name in ("x", "y", "width", "height")] for row in rows])


def overlap(one: Sequence[float], other: Sequence[float]) -> float:
    """Intersection over union."""
    sides = [max(0.0, min(one[k] + one[k + 2], other[k] + other[k + 2]) - max(one[k], other[k])) for k in (0, 1)]
    both = sides[0] * sides[1]
    return both / (one[2] * one[3] + other[2] * other[3] - both)


def test_each_face_is_a_row_where_it_was_drawn(rows: dict[str, Rows], drawn: tuple[Image.Image, list[Box]]) -> None:
    found = rows["upright"]
    assert [row["face"] for row in found] == ["0", "1", "2", "3"] and {row["status"] for row in found} == {"ok"}
    overlaps = [overlap(box, known) for box, known in zip(boxes_of(found), drawn[1], strict=True)]
    assert min(overlaps) > 0.7, overlaps
    assert [(row["status"], row["face"], row["x"], row["label"]) for row in rows["nobody"]] == [("no_face", "", "", "")]


@pytest.mark.parametrize(("name", "scale", "near"), [("turned", 1, 0.5), ("twice", 2, NEAR), ("grey", 1, 4 * NEAR)])
def test_how_a_photo_lies_on_disk_does_not_matter(rows: dict[str, Rows], name: str, scale: int, near: float) -> None:
    np.testing.assert_allclose(boxes_of(rows[name]) / scale, boxes_of(rows["upright"]), atol=near)
    if name == "turned":
        assert [row["label"] for row in rows[name]] == [row["label"] for row in rows["upright"]]


def test_a_rows_prediction_is_of_the_crop_at_its_box(photos: Path, classifier: Classifier) -> None:
    path, pixels = photos / "upright.png", np.asarray(Image.open(photos / "upright.png"))
    (faces,) = classifier.predict_faces([path])
    size = classifier.image_size
    matrices = crop_matrices(faces, classifier.framing, size, SIZE[0] / 640)
    expected = classifier.predict_batch(native.core().crop_faces(pixels, matrices, size))
    found = np.array([face.prediction.probabilities for face in faces if face.prediction is not None])
    np.testing.assert_allclose(found, expected, atol=1e-3)
    assert len(faces) == 4


def test_the_largest_comes_first(photos: Path, rows: dict[str, Rows], classifier: Classifier, tmp_path: Path) -> None:
    largest = rows_of(photos, tmp_path / "out.csv", classifier=classifier, faces="largest")
    assert largest == {name: found[:1] for name, found in rows.items()}


def test_limits_of_the_finder(photos: Path, rows: dict[str, Rows], classifier: Classifier, tmp_path: Path) -> None:
    two = rows_of(photos, tmp_path / "two.csv", classifier=classifier, faces="all", finder={"max_faces": 2})
    assert two == {name: found[:2] for name, found in rows.items()}
    sides = boxes_of(rows["upright"])[:, 2:].max(axis=1)
    least = float(np.sort(sides)[1:3].mean())  # the two smaller ones are below
    large = rows_of(photos, tmp_path / "large.csv", classifier=classifier, faces="all", finder={"min_face": least})
    assert len(large["upright"]) == 2 and len(large["twice"]) == 4, "pixels of the photo count"
    nobody = rows_of(photos, tmp_path / "nobody.csv", classifier=classifier, faces="all", finder={"min_face": 2000})
    assert {row["status"] for found in nobody.values() for row in found} == {"no_face"}


def test_faces_of_an_array_are_those_of_its_file(photos: Path, rows: dict[str, Rows]) -> None:
    with FaceFinder() as finder:
        on_disk, in_memory = finder.find([photos / "upright.png", np.asarray(Image.open(photos / "upright.png"))])
    boxes = [[(face.x, face.y, face.width, face.height) for face in each] for each in (on_disk, in_memory)]
    np.testing.assert_allclose(boxes[0], boxes_of(rows["upright"]), atol=0.01)
    np.testing.assert_allclose(boxes[1], boxes[0], atol=NEAR)
    assert isinstance(on_disk[0], Face)
