"""Crops: cases worked by hand, then the reference, then the native functions; Pillow's resize where nothing turns."""

from __future__ import annotations

import pickle
import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from fer_fast import _C as core  # noqa: N811
from fer_fast.faces.cells import MOST_CELLS, OVERLAP
from fer_fast.faces.crops import TEMPLATE, TEMPLATE_SIDE, crop_faces_reference, crop_matrices_reference
from fer_fast.faces.framing import LEAST_FOR_LANDMARKS
from fer_fast.models.finder.config import STRIDES

ROOT = Path(__file__).parent.parent
FRAMINGS = ("points", "box", "level")
SQUARE = np.array([[0, 100], [200, 40]], np.uint8)[..., None].repeat(3, axis=2)


def face_of(x=10.0, y=20.0, width=30.0, height=40.0, angle=0.0, noise=0.0, random=None):
    """A face whose landmarks are the template's, turned about the box's centre, float32 [14]."""
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    landmarks = (np.array(TEMPLATE) / TEMPLATE_SIDE - 0.5) * max(width, height) @ turn.T
    landmarks += (x + width / 2, y + height / 2)
    if random is not None:
        landmarks += random.normal(0, noise, landmarks.shape)
    return np.array([x, y, width, height, *landmarks.ravel()], np.float32)


def faces_of(random, count):
    return np.stack(
        [
            face_of(*random.uniform(-60, 200, 2), *random.uniform(2, 300, 2), random.uniform(-3, 3), 1.0, random)
            for _ in range(count)
        ]
    )


@pytest.mark.parametrize("cut", [crop_faces_reference, core.crop_faces])
@pytest.mark.parametrize(
    ("matrix", "wanted"),
    [
        ([[1, 0, 0], [0, 1, 0]], [[0, 100], [200, 40]]),
        ([[1, 0, 0.5], [0, 1, 0]], [[50, 100], [120, 40]]),  # between two pixels, and at the edge
        ([[0, -1, 2], [1, 0, 0]], [[100, 40], [0, 200]]),  # a quarter of a turn
        ([[1, 0, 9], [0, 1, -9]], [[100, 100], [100, 100]]),  # outside: the corner
        ([[2, 0, 0], [0, 2, 0]], [[85]]),  # all of it, each pixel as much
        ([[0.5, 0, 0.5], [0, 0.5, 0]], [[25, 75], [59, 76]]),  # the lower row is a quarter of [160, 80]
    ],
)
def test_a_square_worked_by_hand(cut, matrix, wanted):
    crop = cut(SQUARE, np.array([matrix], np.float64), len(wanted))
    np.testing.assert_array_equal(crop[0, :, :, 0], wanted)
    np.testing.assert_array_equal(crop, crop[..., :1].repeat(3, axis=3))


@pytest.mark.parametrize("matrices", [crop_matrices_reference, core.crop_matrices])
def test_matrices_worked_by_hand(matrices):
    (box,) = matrices(face_of()[None], "box", 2)  # a side of 40 about (25, 40)
    np.testing.assert_allclose(box, [[20, 0, 5], [0, 20, 20]])
    (points,) = matrices(face_of()[None], "points", 2)
    np.testing.assert_allclose(points, box, atol=1e-5)
    face = face_of(angle=np.pi / 2)
    for framing in ("level", "points"):
        np.testing.assert_allclose(matrices(face[None], framing, 2)[0], [[0, -20, 45], [20, 0, 20]], atol=1e-5)


@pytest.mark.parametrize("matrices", [crop_matrices_reference, core.crop_matrices])
@pytest.mark.parametrize("wrong", [0, 25, np.nan, np.inf, "tiny", "mirrored"])
def test_landmarks_that_fit_no_face_give_the_box(matrices, wrong):
    face = face_of()
    if wrong == "tiny":
        face[4:] = (face[4:] - 25) / 10 + 25
    elif wrong == "mirrored":
        face[4::2] = 50 - face[4::2]
    else:
        face[4:] = wrong
    for framing in ("points", "level")[: 1 if isinstance(wrong, str) else 2]:
        np.testing.assert_array_equal(matrices(face[None], framing, 8), matrices(face[None], "box", 8))


def test_native_matrices_are_the_references():
    faces = faces_of(np.random.default_rng(1), 300)
    for framing in FRAMINGS:
        found = core.crop_matrices(faces, framing, 64)
        np.testing.assert_allclose(found, crop_matrices_reference(faces, framing, 64), rtol=1e-9, atol=1e-9)
    assert core.crop_matrices(faces[:0], "points", 64).shape == (0, 2, 3)


def test_native_crops_are_the_references():
    random = np.random.default_rng(2)
    for number in range(150):
        height, width = random.integers(1, 160, 2)
        image = random.integers(0, 256, (height, width, 3), dtype=np.uint8)
        size = int(random.integers(1, 50))
        matrices = core.crop_matrices(faces_of(random, 2), FRAMINGS[number % 3], size)
        found, wanted = core.crop_faces(image, matrices, size), crop_faces_reference(image, matrices, size)
        assert np.abs(found.astype(int) - wanted).max() <= 1, (height, width, size, matrices)


def test_whole_pixels_stay_as_they_are():
    image = np.random.default_rng(3).integers(0, 256, (90, 70, 3), dtype=np.uint8)
    matrices = np.array([[[1, 0, 13], [0, 1, 29]], [[0, 1, 13], [-1, 0, 61]]], np.float64)
    upright, turned = core.crop_faces(image, matrices, 32)
    np.testing.assert_array_equal(upright, image[29:61, 13:45])
    np.testing.assert_array_equal(turned, np.rot90(image[29:61, 13:45], -1))


@pytest.mark.parametrize("side", [60, 112, 150.5, 224, 371.25])
def test_an_upright_crop_is_pillows_resize(side):
    random = np.random.default_rng(4)
    image = Image.fromarray(random.integers(0, 256, (40, 40, 3), dtype=np.uint8)).resize(
        (420, 420), Image.Resampling.BICUBIC
    )
    box = (20.25, 10, 20.25 + side, 10 + side)
    matrix = np.array([[[side / 112, 0, box[0]], [0, side / 112, box[1]]]])
    found = core.crop_faces(np.asarray(image), matrix, 112)[0].astype(int)
    wanted = np.asarray(image.resize((112, 112), Image.Resampling.BILINEAR, box=box)).astype(int)
    inner = np.abs(found - wanted)[4:-4, 4:-4]  # Pillow does not look beyond the box
    assert inner.max() <= 1 and inner.mean() < 0.25


@pytest.mark.parametrize("scale", [-18.0, -4.5, 18.0])
def test_a_mirrored_crop_of_a_narrow_image_reads_no_further_than_it(scale):
    """As of a face upside down: the columns' windows begin at one edge, and the first is the widest."""
    image = np.random.default_rng(4).integers(0, 256, (35, 9, 3), dtype=np.uint8)
    matrices = np.array([[[scale, 0, 12.0], [0, scale, 20.0]]])
    wanted = crop_faces_reference(image, matrices, 20)
    assert np.abs(core.crop_faces(image, matrices, 20).astype(int) - wanted).max() <= 1
    assert (core.crop_faces(np.full_like(image, 200), matrices, 20) == 200).all()


def test_crops_may_be_written_over_their_own_matrices():
    image = np.random.default_rng(5).integers(0, 256, (30, 30, 3), dtype=np.uint8)
    matrices = core.crop_matrices(faces_of(np.random.default_rng(6), 20), "box", 4)
    wanted = core.crop_faces(image, matrices[:19], 4)
    over = matrices.reshape(-1).view(np.uint8)[48:].reshape(19, 4, 4, 3)  # a crop over the next one's matrix
    np.testing.assert_array_equal(core.crop_faces(image, matrices[:19], 4, over), wanted)


def test_rows_apart_and_a_place_for_the_crops():
    random = np.random.default_rng(5)
    image = random.integers(0, 256, (50, 80, 3), dtype=np.uint8)
    matrices = core.crop_matrices(faces_of(random, 3), "points", 16)
    out = np.zeros((3, 16, 16, 3), np.uint8)
    found = core.crop_faces(image[:, 10:60], matrices, 16, out=out)
    assert found is out
    np.testing.assert_array_equal(out, core.crop_faces(image[:, 10:60].copy(), matrices, 16))


def test_arrays_of_another_process_are_taken():
    """pickle gives them dtypes that equal NumPy's own and are others."""
    faces, image = face_of()[None], np.random.default_rng(5).integers(0, 256, (50, 80, 3), dtype=np.uint8)
    matrices = core.crop_matrices(pickle.loads(pickle.dumps(faces)), "points", 16)
    found = core.crop_faces(*pickle.loads(pickle.dumps((image, matrices))), 16)
    np.testing.assert_array_equal(found, core.crop_faces(image, matrices, 16))


MATRIX = np.zeros((1, 2, 3))
FACE = face_of()[None]


@pytest.mark.parametrize(
    ("function", "arguments", "error", "words"),
    [
        ("crop_faces", (SQUARE.astype(np.int8), MATRIX, 8), TypeError, "image: must be uint8, got int8"),
        ("crop_faces", (SQUARE[0], MATRIX, 8), ValueError, "image: must have 3 dimensions, got 2"),
        ("crop_faces", (SQUARE[:0], MATRIX, 8), ValueError, r"neither side 0, got \(0, 2, 3\)"),
        ("crop_faces", (SQUARE[:, ::-1], MATRIX, 8), ValueError, "rows must be contiguous"),
        ("crop_faces", (SQUARE, MATRIX[0], 8), ValueError, "matrices: must have 3 dimensions, got 2"),
        ("crop_faces", (SQUARE, MATRIX + np.nan, 8), ValueError, r"matrices\[0\]: must be finite and keep"),
        ("crop_faces", (SQUARE, MATRIX + 1e6, 8), ValueError, "keep the crop within 1048576 pixels"),
        ("crop_faces", (SQUARE, MATRIX, 0), ValueError, "size: must be 1 to 2048, got 0"),
        ("crop_faces", (SQUARE, MATRIX, 8, SQUARE), ValueError, "out: must have 4 dimensions, got 3"),
        ("crop_matrices", (FACE, "tight", 8), ValueError, "framing: must be points, box or level, got tight"),
        ("crop_matrices", (FACE[:, :13].copy(), "box", 8), ValueError, r"14 columns or more, got \(1, 13\)"),
        ("crop_matrices", (FACE.astype(float), "box", 8), TypeError, "faces: must be float32, got float64"),
        ("crop_matrices", (FACE * 0, "box", 8), ValueError, r"faces\[0\]: must have a box of finite numbers"),
    ],
)
def test_refusals(function, arguments, error, words):
    with pytest.raises(error, match=words):
        getattr(core, function)(*arguments)


def test_python_and_cpp_have_the_same_numbers():
    """Those that both write down; the rest of the rule is one function."""
    text = "".join(path.read_text() for path in (ROOT / "csrc/faces").glob("*.*"))
    for name, value in (
        ("kLeastForLandmarks", LEAST_FOR_LANDMARKS),
        ("kMostCells", MOST_CELLS),
        ("kFaceOverlap", OVERLAP),
    ):
        (number,) = re.findall(rf"constexpr \w+ {name} = ([\d.]+);", text)
        assert float(number) == value
    (strides,) = re.findall(r"kCellStrides\[\] = \{(.*)\};", text)
    assert tuple(map(int, strides.split(","))) == STRIDES
