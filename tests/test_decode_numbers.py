"""Grey in numbers of more than 8 bits comes in, from files and from memory; the shades that were meant must go out."""

import numpy as np
import pytest
from image_files import face
from PIL import Image
from tiff_files import NEGATIVE, tiff

from fer_fast.decode import pixels_of
from fer_fast.decode.codecs import decode_content
from fer_fast.decode.views import Square

SHADES = np.asarray(face(40, 32).convert("L"))
HEIGHT, WIDTH = SHADES.shape
#: The same, to calculate with.
WHOLE = SHADES.astype(np.int64)


def shown(shades, side=WIDTH):
    """What is to come of an image in 8 bits, in grey."""
    return np.asarray(Image.fromarray(shades).resize((side, side), Image.Resampling.BILINEAR))


def from_file(content, side=WIDTH):
    return np.frombuffer(decode_content(content, Square(side)), np.uint8).reshape(side, side)


def both(numbers, side=WIDTH):
    """The shades of numbers in a file, after a look whether they are those of the same numbers in memory."""
    shades = from_file(tiff(numbers), side)
    wide = np.int32 if numbers.dtype.kind == "i" else np.float32
    assert np.array_equal(pixels_of(Image.fromarray(numbers.astype(wide)), side)[..., 0], shades)
    return shades


def with_outliers(numbers, *outliers):
    numbers = numbers.copy()
    for place, outlier in enumerate(outliers):
        numbers[3 + place, 5] = outlier
    return numbers


@pytest.mark.parametrize(
    ("scale", "offset", "dtype"),
    [
        (1 / 255, 0, np.float32),
        (1 / 255, 0, np.float64),
        (2 / 255, -1, np.float32),
        (1, 0, np.float32),
        (1, -128, np.float32),
        (257, 0, np.float32),
        (257, -32768, np.float32),
        (1, -128, np.int8),
        (1, 0, np.int16),
        (257, -32768, np.int16),
        (1, 0, np.int32),
        (257, 0, np.int32),
        (257, -32768, np.int32),
    ],
)
def test_the_ranges_that_numbers_are_kept_in_are_known(scale, offset, dtype):
    numbers = (WHOLE * scale + offset).astype(dtype)
    assert np.array_equal(both(numbers), shown(SHADES))


def test_every_shade_survives_being_a_float():
    every = np.arange(256, dtype=np.uint8).reshape(16, 16)
    assert np.array_equal(both((every / 255).astype(np.float32), 16), every)


@pytest.mark.parametrize(
    ("numbers", "tolerance"),
    [
        (WHOLE * 16843009 - 2**31, 1),
        ((WHOLE * 16843009) // 2, 1),
    ],
)
def test_whole_numbers_of_32_bits_may_fill_them(numbers, tolerance):
    difference = both(numbers.astype(np.int32)).astype(int) - shown(SHADES)
    assert np.abs(difference).max() <= tolerance


def test_unsigned_numbers_of_32_bits():
    for numbers in (SHADES.astype(np.uint32), SHADES * np.uint32(257), SHADES * np.uint32(16843009)):
        assert np.abs(from_file(tiff(numbers)).astype(int) - shown(SHADES)).max() <= 1


@pytest.mark.parametrize("outliers", [(1.0001,), (1e6,), (-5.0,), (np.nan,), (np.inf, -np.inf, np.nan), (1e38, -1e38)])
def test_no_single_number_decides(outliers):
    numbers = with_outliers((SHADES / 255).astype(np.float32), *outliers)
    wanted = with_outliers(SHADES, *(255 if each > 1 else 0 for each in outliers))
    assert np.array_equal(both(numbers), shown(wanted))


def test_of_a_large_picture_one_in_a_thousand_is_left_out():
    rng = np.random.default_rng(7)
    shades = np.asarray(Image.fromarray(SHADES).resize((2042, 1100), Image.Resampling.BICUBIC))
    numbers = (shades / 255).astype(np.float32)
    hot = rng.random(shades.shape) < 0.0005
    numbers[hot], wanted = 900, np.where(hot, 255, shades)
    assert np.array_equal(both(numbers), shown(wanted.astype(np.uint8)))


@pytest.mark.parametrize("overshoot", [0.04, -0.04])
def test_what_overshoots_a_little_is_clipped(overshoot):
    numbers = SHADES / 255 + overshoot
    wanted = (numbers.clip(0, 1) * 255).round().astype(np.uint8)
    assert np.array_equal(both(numbers.astype(np.float32)), shown(wanted))


@pytest.mark.parametrize("dtype", [np.float32, np.int32])
@pytest.mark.parametrize(("scale", "offset"), [(4, 0), (16, 0), (-3, -40), (1000, 10**6), (10, -900)])
def test_numbers_in_no_known_range_show_what_they_have(scale, offset, dtype):
    """Of 10 or 12 bits, below zero, far from it: their own lowest and highest are black and white."""
    _check_own_limits((WHOLE * float(scale) + offset).astype(dtype))


@pytest.mark.parametrize(
    "numbers",
    [
        ((WHOLE - WHOLE.mean()) / WHOLE.std()).astype(np.float32),
        (WHOLE / 255 * 1.5).astype(np.float32),
        (WHOLE / 255 * 6 - 3).astype(np.float64),
        (WHOLE // 32).astype(np.int32),
    ],
    ids=["standardised", "brighter than white", "logarithms", "labels"],
)
def test_numbers_that_use_little_of_8_bits_are_not_black(numbers):
    _check_own_limits(numbers)


def _check_own_limits(numbers):
    lowest, highest = np.sort(numbers, axis=None)[[1, -2]]
    wanted = ((numbers.clip(lowest, highest) - lowest) * (255 / (highest - lowest))).round().astype(np.uint8)
    difference = both(numbers).astype(int) - shown(wanted)
    assert np.abs(difference).max() <= 1


@pytest.mark.parametrize(
    ("number", "shade"),
    [
        (0.0, 0),
        (0.5, 128),
        (1.0, 255),
        (-0.5, 64),
        (128.0, 128),
        (30000.0, 117),
        (1e9, 119),
        (1e12, 0),
        (-1e30, 0),
        (np.nan, 0),
    ],
)
@pytest.mark.parametrize("size", [(1, 1), (2, 3), (20, 20)])
def test_a_picture_of_one_number(number, shade, size):
    assert np.all(both(np.full(size, number, np.float32), 8) == shade)


def test_pictures_of_a_few_pixels():
    assert np.array_equal(both(np.array([[0, 51], [102, 255]], np.float32), 2), [[0, 51], [102, 255]])
    assert np.array_equal(both(np.array([[np.inf, 0.2], [np.nan, 1]], np.float32), 2), [[255, 51], [0, 255]])


LIMITS = 340, 341


def stated(kind, black, white):
    return [(tag, kind, [limit]) for tag, limit in zip(LIMITS, (black, white), strict=True)]


@pytest.mark.parametrize(
    ("numbers", "limits"),
    [
        ((WHOLE * 16).astype(np.uint16), ("H", 0, 4080)),
        ((SHADES * 4.0).astype(np.float32), ("f", 0, 1020)),
        ((SHADES * 4.0 - 100).astype(np.float64), ("d", -100, 920)),
        ((WHOLE * 3 - 500).astype(np.int16), ("h", -500, 265)),
        ((WHOLE * 1000 + 10**6).astype(np.int32), ("i", 10**6, 1255000)),
    ],
)
def test_limits_that_a_file_states_are_believed(numbers, limits):
    assert np.array_equal(from_file(tiff(numbers, tags=stated(*limits))), shown(SHADES))


@pytest.mark.parametrize(
    "limits", [("f", 0, 0), ("f", 1, 0), ("f", -3e38, 3e38), ("f", np.nan, 1), ("f", 0, np.inf), ("f", 0, 0.01)]
)
def test_limits_that_cannot_be_are_not(limits):
    numbers = (SHADES / 255).astype(np.float32)
    assert np.array_equal(from_file(tiff(numbers, tags=stated(*limits))), shown(SHADES))


@pytest.mark.parametrize(
    "numbers",
    [
        (65535 - WHOLE * 257).astype(np.uint16),
        (1 - SHADES / 255).astype(np.float32),
        (1 - SHADES / 255 * 2).astype(np.float64),
        (127 - WHOLE).astype(np.int8),
    ],
)
def test_of_a_negative_zero_is_white(numbers):
    assert np.array_equal(from_file(tiff(numbers, NEGATIVE)), shown(SHADES))


def test_what_is_no_number_is_black_in_a_negative_too():
    numbers = with_outliers((1 - SHADES / 255).astype(np.float32), np.nan)
    assert np.array_equal(from_file(tiff(numbers, NEGATIVE)), shown(with_outliers(SHADES, 0)))


@pytest.mark.parametrize("mode", ["I;16", "I;16B"])
def test_unsigned_16_bits_fill_their_depth_however_dark(mode):
    dark = (WHOLE * 3).astype({"I;16": "<u2", "I;16B": ">u2"}[mode])
    image = Image.frombytes(mode, (WIDTH, HEIGHT), dark.tobytes())
    assert np.array_equal(pixels_of(image, WIDTH)[..., 0], shown((dark >> 8).astype(np.uint8)))
