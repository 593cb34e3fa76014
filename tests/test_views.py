"""What is made of a picture: squashed, reduced and cut, upright, from pixels that are fine enough, and small enough."""

import io

import numpy as np
import pytest
from image_files import FILES, encoded, face, oriented
from PIL import Image

from fer_fast.decode.codecs import decode_content, memory_of, open_content
from fer_fast.decode.formats.jpeg import open_jpeg
from fer_fast.decode.images import LoadedPicture
from fer_fast.decode.limits import limits_of
from fer_fast.decode.pixels import resized, turned
from fer_fast.decode.views import LEAST_SEEN, Crops, Reduced, Square, reduced_size, seen_in, seen_size, view_of


def saved(image, kind="PNG", **options):
    content = io.BytesIO()
    image.save(content, kind, **options)
    return content.getvalue()


def stored(image, orientation):
    """An image as a file has it that says so."""
    return turned(image, {6: 8, 8: 6}.get(orientation, orientation))


def seen(content, longest):
    view = Reduced(longest)
    out = view.empty()
    view.put(decode_content(content, view), out)
    return seen_in(out)


def cut(content, view):
    out = view.empty()
    view.put(decode_content(content, view), out)
    return out


def boxes(*rows, side=8, longest=16):
    """Crops of upright boxes: x, y and the length of a side."""
    matrices = [[[length / side, 0, x], [0, length / side, y]] for x, y, length in rows]
    return Crops(np.array(matrices, np.float64), side, longest)


def test_a_size_is_reduced_to_its_longer_side_and_never_enlarged():
    assert reduced_size((1280, 960), 640) == (640, 480)
    assert reduced_size((3, 20000), 640) == (1, 640)
    assert reduced_size((640, 1), 640) == (640, 1)
    assert reduced_size((1024, 683), 640) == (640, 427)


def test_a_finder_sees_a_very_small_picture_enlarged():
    sizes = [(1280, 960), (640, 480), (200, 100), (128, 128), (127, 64), (48, 48), (30, 64), (1, 2)]
    wanted = [(640, 480), (640, 480), (200, 100), (128, 128), (128, 65), (128, 128), (60, 128), (64, 128)]
    assert [seen_size(size, 640) for size in sizes] == wanted
    assert [seen_size(size, 64) for size in ((48, 48), (20, 10), (100, 50))] == [(64, 64), (64, 32), (64, 32)]
    image = face(40, 32)
    pixels, size = seen(saved(image, "PNG"), 640)
    assert size == image.size == (32, 40)
    assert np.array_equal(pixels, np.asarray(resized(image, (102, 128))))


@pytest.mark.parametrize("name", FILES)
def test_a_view_of_each_format_is_what_pillow_shows(name):
    pixels, size = seen(encoded(name), 40)
    turned = "turned" in name or name == "webp-lossless-alpha"
    assert pixels.shape == ((32, 40, 3) if turned else (40, 32, 3)) and size == pixels.shape[1::-1]
    crop = cut(encoded(name), boxes((4, 8, 16), side=16, longest=64))[0]
    assert np.array_equal(crop, pixels[8:24, 4:20])


@pytest.mark.parametrize("mode", ["RGB", "L", "CMYK", "P"])
def test_a_reduced_picture_is_near_a_plain_resize(mode):
    image = Image.fromarray(np.asarray(face(40, 64).resize((1000, 700), Image.Resampling.BICUBIC)))
    pixels, size = seen(saved(image.convert(mode), "TIFF"), 150)
    assert pixels.shape == (105, 150, 3) and size == (1000, 700)
    plain = resized(image.convert(mode), (150, 105)).convert("RGB")
    assert np.abs(pixels.astype(int) - np.asarray(plain)).mean() < 2


def test_blocks_that_the_sides_do_not_fill_do_not_shift_the_picture():
    ramp = np.repeat(np.linspace(0, 255, 1999, dtype=np.uint8)[None], 7, axis=0)
    pixels, _ = seen(saved(Image.fromarray(ramp)), 300)
    expected = np.linspace(0, 255, 300)
    assert pixels.shape == (1, 300, 3) and np.abs(pixels[0, :, 0] - expected).max() < 2


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_turned_file_gives_the_same_views_as_the_upright_one(orientation):
    upright = face(48, 72)
    content = saved(stored(upright, orientation), exif=oriented(orientation))
    pixels, size = seen(content, 36)
    assert size == (72, 48) and np.abs(pixels.astype(int) - seen(saved(upright), 36).pixels).max() <= 1
    tilted = Crops(np.array([[[2, 0.5, 11.2], [-0.5, 2, 20.1]], [[1, 0, -3], [0, 1, 44]]], np.float64), 8, 36)
    assert np.array_equal(cut(content, tilted), cut(saved(upright), tilted))


def test_crops_are_pixels_and_edges_are_repeated():
    image = np.asarray(face(40, 40))
    crops = cut(saved(face(40, 40)), boxes((4, 8, 8), (-4, 36, 8), (1000, -1000, 8)))
    assert np.array_equal(crops[0], image[8:16, 4:12])
    padded = np.pad(image, ((8, 8), (8, 8), (0, 0)), "edge")
    assert np.array_equal(crops[1], padded[44:52, 4:12])
    assert (crops[2] == image[0, -1]).all()


def test_a_photo_is_loaded_as_coarsely_as_the_smallest_crop_allows():
    photo = face(96, 128).resize((1024, 768), Image.Resampling.BICUBIC)
    content = saved(photo, "JPEG", quality=95)
    picture = open_jpeg(io.BytesIO(content), len(content))
    large, small, whole = boxes((100, 100, 64)), boxes((100, 100, 64), (9, 9, 20)), boxes((100, 100, 64), (9, 9, 8))
    sizes = [picture.load(view.least(picture)).size for view in (large, small, whole, Reduced(128), Reduced(16))]
    assert sizes == [(128, 96), (512, 384), (1024, 768), (256, 192), (128, 96)]
    loaded = LoadedPicture(photo, exif=True)
    for view in (large, small, whole):
        assert np.abs(cut(content, view)[0].astype(int) - view.cut(loaded, photo)[0]).mean() < 4
    shared = boxes((100, 100, 64), longest=512)  # not from a coarser load than what it was found in
    assert picture.load(shared.least(picture)).size == (1024, 768)


@pytest.mark.parametrize("view", [Square(8), Reduced(20), boxes((1, 2, 30), (3, 4, 9))])
def test_a_view_goes_to_a_process_by_its_form(view):
    content = encoded("jpeg")
    data = decode_content(content, view)
    assert data == decode_content(content, view_of(view.form)) and len(data) <= view.most_bytes


def test_pieces_are_the_crops_in_order():
    view = boxes(*[(x, 2, 9) for x in range(5)])
    content = encoded("png")
    pieces = [cut(content, piece) for piece in view.pieces(2)]
    assert [len(piece) for piece in pieces] == [2, 2, 1]
    assert np.array_equal(np.concatenate(pieces), cut(content, view))


def test_what_a_small_picture_takes_is_small_whatever_it_might_be_reduced_to():
    file = open_content(encoded("png"), Square(8), limits_of(1))
    assert memory_of(file.picture, Reduced(16_384)) == memory_of(file.picture, Reduced(LEAST_SEEN))


def test_memory_grows_with_what_is_cut():
    content = encoded("png")
    file = open_content(content, Square(8), limits_of(1))
    few, many = boxes((0, 0, 8)), boxes(*[(0, 0, 8)] * 50)
    assert memory_of(file.picture, many) - memory_of(file.picture, few) == 2 * 49 * 8 * 8 * 3
    assert memory_of(file.picture, boxes((0, 0, 40))) > memory_of(file.picture, few)
