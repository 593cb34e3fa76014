"""Drawn photos: boxes in their places, notes that hide no other face, a run's pictures that are whole or told."""

import errno

import numpy as np
import pytest
from PIL import Image

from fer_fast.inputs import key_of
from fer_fast.reports import saved
from fer_fast.reports.colours import UNSURE, colours_of
from fer_fast.reports.drawing import draw_faces
from fer_fast.reports.marks import Mark
from fer_fast.reports.places import Places
from fer_fast.reports.saved import Drawings, SavedPictures, picture_stem, save_crops
from fer_fast.types import EMOTIONS, Item, ItemRows, OutputError, Prediction, Row, Status

PROBABILITIES = np.array([0.1, 0.6, 0.05, 0.05, 0.05, 0.05, 0.05, 0.05], np.float32)
PREDICTION = Prediction(EMOTIONS, PROBABILITIES)


def mark(x, y, side, label="happiness", prediction=PREDICTION):
    return Mark(x, y, side, side, prediction, label)


def covered(one, other):
    across = min(one[2], other[2]) - max(one[0], other[0])
    down = min(one[3], other[3]) - max(one[1], other[1])
    return max(across, 0) * max(down, 0)


@pytest.mark.parametrize(("label", "colour"), [("happiness", colours_of(EMOTIONS)["happiness"]), ("", UNSURE)])
def test_a_box_has_its_labels_colour_and_the_photo_stays_as_it_is(label, colour):
    photo = Image.new("RGB", (640, 480), (90, 90, 90))
    drawn = draw_faces(photo, [mark(200, 150, 120, label)])
    assert drawn.size == photo.size and photo.getextrema() == ((90, 90),) * 3
    assert drawn.getpixel((200, 210)) == drawn.getpixel((320, 210)) == drawn.getpixel((260, 270)) == colour
    assert drawn.crop((210, 160, 310, 260)).getextrema() == ((90, 90),) * 3  # the face itself


def test_colours_are_apart_for_any_classes():
    colours = colours_of([f"class {number}" for number in range(12)])
    values = [np.array(each) for each in colours.values()]
    assert min(np.abs(one - other).max() for n, one in enumerate(values) for other in values[:n]) >= 20
    assert colours_of(EMOTIONS)["anger"] == colours_of(["joy", "anger"])["anger"]


def test_a_crowd_has_boxes_alone_and_a_legend():
    photo = Image.new("RGB", (800, 600), (40, 80, 120))
    marks = [mark(20 * (n % 39) + 4, 20 * (n // 39) + 4, 11) for n in range(39 * 28)]
    drawn = np.asarray(draw_faces(photo, marks))
    assert drawn.shape[1] == 800 and drawn.shape[0] > 600
    for each in marks:
        inside = drawn[int(each.y) + 2 : int(each.y) + 9, int(each.x) + 2 : int(each.x) + 9]
        assert (inside == (40, 80, 120)).all()


def test_notes_lie_in_the_picture_and_on_no_other_face():
    random = np.random.default_rng(0)
    for _ in range(40):
        size = tuple(random.integers(60, 900, 2).tolist())
        corners = random.integers(-20, 880, (12, 2))
        boxes = [(x, y, x + side, y + side) for (x, y), side in zip(corners.tolist(), range(10, 250, 20), strict=True)]
        places, taken = Places(size, boxes), list(boxes)
        for face in range(len(boxes)):
            wide, tall = (90, 22) if face % 2 else (130, 150)
            spot = places.take(face, (wide, tall), 4)
            if spot is None:
                continue
            assert spot[0] >= 0 and spot[1] >= 0 and spot[2] <= size[0] and spot[3] <= size[1]
            assert (spot[2] - spot[0], spot[3] - spot[1]) == (wide, tall)
            others = [box for place, box in enumerate(taken) if place != face]
            assert sum(covered(spot, box) for box in others) <= 0.05 * wide * tall
            taken.append(spot)


def test_a_note_goes_over_a_box_where_there_is_room():
    assert Places((400, 400), [(100, 100, 150, 150)]).take(0, (90, 20), 5) == (100, 75, 190, 95)
    assert Places((400, 400), [(100, 0, 150, 50)]).take(0, (90, 20), 5) == (100, 55, 190, 75)
    assert Places((400, 400), [(100, 100, 150, 150)]).take(0, (90, 120), 5) == (155, 100, 245, 220)
    assert Places((80, 80), [(10, 10, 70, 70)]).take(0, (90, 20), 5) is None


@pytest.mark.parametrize("size", [(1, 1), (3, 2000), (2000, 3), (40, 40), (1600, 1200)])
def test_any_photo_and_any_classes_are_drawn(size):
    names = ("\u559c\u60a6", "a name much longer than there is room for", "line\nbreak", *map(str, range(47)))
    prediction = Prediction(names, np.full(50, 0.02, np.float32))
    places = ((-30, -30, 5000, names[1]), (5, 5, 0.2, ""), (9, 2, 30, "3"))
    marks = [mark(*place, prediction) for place in places]
    drawn = draw_faces(Image.new("RGB", size), marks)
    assert drawn.width >= size[0] and drawn.height >= size[1]
    assert draw_faces(Image.new("RGB", size), []).height > size[1]  # "no face found"


@pytest.mark.parametrize("marks", [[], [mark(2, 2, 30)]])
def test_the_legend_of_a_narrow_photo_is_not_cut_off(marks):
    drawn = np.asarray(draw_faces(Image.new("RGB", (40, 40), "white"), marks))
    text = drawn[40:].max(axis=(0, 2)) > 100  # columns with letters
    assert drawn.shape[1] > 60 and text[: drawn.shape[1] - 11].any() and not text[-11:].any()


def test_names_are_shown_in_what_the_font_has():
    def drawn(name):
        prediction = Prediction((name, "b"), np.array([0.9, 0.1], np.float32))
        return draw_faces(Image.new("RGB", (300, 300)), [mark(20, 90, 150, "b", prediction)])

    assert drawn("\u00dcberraschung \u60a6") == drawn("Uberraschung ?") != drawn("berraschung ?")


def rows_of(path, *boxes, status=Status.OK):
    item = Item(str(path), str(path), key_of(str(path)))
    rows = [Row(item.name, status, "", PREDICTION, (n, *box, 0.9)) for n, box in enumerate(boxes)]
    return ItemRows(item, tuple(rows) or (Row(item.name, Status.NO_FACE, "no face"),), None)


def test_a_runs_photos_are_drawn_upright_and_none_takes_anothers_name(tmp_path):
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        photo = Image.new("RGB", (400, 200), (90, 90, 90))
        exif = Image.Exif()
        exif[0x0112] = 6
        photo.save(tmp_path / folder / "photo.jpg", exif=exif)
    Image.new("RGB", (4000, 2000)).save(tmp_path / "large.png")
    drawings = Drawings(tmp_path / "new" / "drawn")
    drawings.see([rows_of(tmp_path / folder / "photo.jpg", (20.0, 120.0, 40.0, 40.0)) for folder in ("a", "b")])
    drawings.see([rows_of(tmp_path / "large.png"), rows_of(tmp_path / "gone.jpg")])
    drawings.close()
    found = {path.name: Image.open(path) for path in (tmp_path / "new" / "drawn").iterdir()}
    upright = [picture for name, picture in found.items() if name.startswith("photo_")]
    assert len(found) == 3 and len(upright) == 2 and all(picture.width == 200 for picture in upright)
    red, green, blue = upright[0].getpixel((20, 140))
    assert red > 200 and green > 160 and blue < 140  # happiness, as JPEG has it
    assert next(picture for name, picture in found.items() if name.startswith("large_")).width == saved.LONGEST
    assert drawings.pictures.saved == 3 and drawings.pictures.failed == 1
    assert "gone.jpg" in drawings.pictures.failures[0]


def test_crops_are_what_the_model_saw(tmp_path):
    crops = np.random.default_rng(0).integers(0, 256, (3, 16, 16, 3), np.uint8)
    path = "x" * 250 + ".jpg"
    pictures = SavedPictures(tmp_path)
    save_crops(pictures, path, 7 << 32, None, crops)
    save_crops(pictures, path, 7 << 32, 1234, crops)
    for number, crop in enumerate(crops):
        for frame in ("", "_001234"):
            with Image.open(tmp_path / f"{'x' * 200}_00000007{frame}_{number}.png") as picture:
                assert (np.asarray(picture) == crop).all()
    assert picture_stem("a/face.jpg", 1 << 63) == "face_80000000" and pictures.saved == 6


def test_no_room_is_an_error_and_what_else_fails_is_told(tmp_path, monkeypatch):
    pictures = SavedPictures(tmp_path)

    def fail(*arguments, **options):
        raise OSError(number, "told")

    monkeypatch.setattr(saved, "write_whole", fail)
    number = errno.EIO
    save_crops(pictures, "a.jpg", 0, None, np.zeros((2, 8, 8, 3), np.uint8))
    assert pictures.saved == 0 and pictures.failed == 2 and "a_00000000_0.png" in pictures.failures[0]
    number = errno.ENOSPC
    with pytest.raises(OutputError, match="no room for pictures in"):
        save_crops(pictures, "a.jpg", 0, None, np.zeros((1, 8, 8, 3), np.uint8))
