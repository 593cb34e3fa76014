"""The first look: photos of people are told from crops, whatever their margins, and silence is kept where in doubt."""

import numpy as np
import pytest
from PIL import Image

from fer_fast.bench.portraits import photo_with_faces
from fer_fast.faces.finder import FaceFinder
from fer_fast.faces.first_look import SIDE, are_photos, chosen


@pytest.fixture(scope="module")
def find():
    with FaceFinder(find_size=SIDE) as finder:
        yield lambda: finder.find_in


@pytest.fixture(scope="module")
def photos():
    """Drawn photos and the boxes of their faces."""
    random = np.random.default_rng(4)
    return [photo_with_faces(random, (960, 720), 2) for _ in range(8)]


def cut(photo, box, margin, shape=1.0):
    """A crop with a margin of so many sides of the face on each side."""
    x, y, width, height = box
    side = max(width, height) * (1 + 2 * margin)
    middle, down = x + width / 2, y + height / 2
    box = (middle - side / 2, down - side * shape / 2, middle + side / 2, down + side * shape / 2)
    return photo.crop(tuple(map(round, box))).resize((300, round(300 * shape)))


def save(pictures, folder):
    for number, picture in enumerate(pictures):
        picture.save(folder / f"{number}.jpg")
    return [str(folder / f"{number}.jpg") for number in range(len(pictures))]


def test_photos_are_told(photos, find, tmp_path):
    paths = save([photo for photo, _ in photos], tmp_path)
    assert are_photos(paths, find)
    assert are_photos(paths[:1], find)


def test_portraits_of_a_cameras_size_are_told(photos, find, tmp_path):
    crops = [cut(photo, max(boxes, key=lambda box: box[2]), 0.5, 1.25) for photo, boxes in photos]
    assert not are_photos(save(crops, tmp_path), find)  # 300 x 375: they may be crops
    portraits = [crop.resize((1200, 1500)) for crop in crops]
    assert are_photos(save(portraits, tmp_path), find)


@pytest.mark.parametrize(("margin", "shape"), [(0, 1), (0.3, 1.25), (1.0, 1)])
def test_crops_are_not(photos, find, tmp_path, margin, shape):
    crops = [cut(photo, max(boxes, key=lambda box: box[2]), margin, shape) for photo, boxes in photos]
    assert not are_photos(save(crops, tmp_path), find)


def test_what_a_header_tells_needs_no_finder(tmp_path):
    def find():
        return lambda pixels: pytest.fail("a finder was asked")

    sizes = [(48, 48), (224, 224), (100, 100), (90, 400)]
    paths = save([Image.new("RGB", size) for size in sizes], tmp_path)
    Image.new("L", (3000, 2000)).save(tmp_path / "large.png")  # would take long
    (tmp_path / "broken.jpg").write_text("none")
    assert not are_photos([*paths, str(tmp_path / "large.png"), str(tmp_path / "broken.jpg"), "gone.jpg"], find)
    assert not are_photos([], find)


def test_without_a_finder_cameras_photos_are_told(tmp_path):
    assert are_photos(save([Image.new("L", (1280, 960)), Image.new("L", (1440, 2160))], tmp_path), lambda: None)
    assert not are_photos(save([Image.new("L", (1200, 1200)), Image.new("L", (640, 480))], tmp_path), lambda: None)


def test_nothing_is_said_of_photos_without_faces(find, tmp_path):
    pictures = [photo_with_faces(np.random.default_rng(seed), (640, 480), 0)[0] for seed in range(3)]
    assert not are_photos(save(pictures, tmp_path), find)


def test_few_photos_are_told_though_one_has_no_face(photos, find, tmp_path):
    empty = photo_with_faces(np.random.default_rng(0), (960, 720), 0)[0]
    few = [empty, *(photo for photo, _ in photos[:3])]
    assert are_photos(save(few, tmp_path), find)
    assert not are_photos(save([empty, empty, empty, few[1]], tmp_path), find)


def test_some_of_each_kind_are_chosen():
    paths = [f"{number:03}.png" for number in range(50)] + ["a.jpg", "b.JPG", "c.heic"]
    found = chosen(paths)
    assert len(found) == 16 and {"a.jpg", "b.JPG", "c.heic"} <= set(found)
    assert chosen(paths[:3]) == paths[:3] and chosen([]) == []
