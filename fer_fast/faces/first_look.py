"""The first images of a run come in; whether they are photos of people, rather than cropped faces, goes out.

It errs on the side of silence: what could be a crop with a wide margin is one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import cache
from itertools import zip_longest
from math import ceil
from pathlib import PurePath
from typing import TYPE_CHECKING

import numpy as np

from fer_fast.decode.codecs import decode_opened, opened
from fer_fast.decode.files import READ_AT_ONCE
from fer_fast.decode.limits import LargeError, default_limits
from fer_fast.decode.views import Reduced, seen_in
from fer_fast.remote.in_memory import at_hand
from fer_fast.types import DecodeError

if TYPE_CHECKING:
    import numpy.typing as npt

    #: `FaceFinder.find_in`.
    Find = Callable[[npt.NDArray[np.uint8]], npt.NDArray[np.float32]]

#: Images that are looked at.
LOOKS = 16
#: The longer side that the finder is given: at 160 px it overlooks the faces of most street photos.
SIDE = 320

#: So many more photos than crops decide, and end the look.
_LEAD = 4
#: A face whose longer side is a smaller part of the image's shorter one stands in a photo: of a crop with a margin as
#: wide as the face on each side it is a third.
_SMALL = 0.25
#: The same of what has a camera's size, where a portrait or a selfie is likelier than a crop.
_SMALL_OF_A_CAMERA = 0.6
#: Crops of the usual data sets are squares (FERPlus 48 px, RAF-DB 100, AffectNet 224); what is smaller is none of a
#: photo's sizes, either.
_LARGEST_SQUARE, _SMALLEST_PHOTO = 256, 96
#: Formats other than JPEG are decoded in full: more pixels than these take too long for a look.
_MOST_PIXELS = 4_000_000
#: What cameras give: the longer side in shorter ones, and pixels at least.
_SHAPES, _FEWEST_PIXELS = (5 / 4, 4 / 3, 3 / 2, 16 / 9), 1_000_000


def are_photos(paths: Sequence[str], open_finder: Callable[[], Find | None]) -> bool:
    """Looks at some images, their headers first.

    Args:
        paths: of the images; `chosen` chooses some.
        open_finder: is called once a header does not tell, at most once. It gives None where there is no finder at
            hand: what has a camera's size is a photo then.

    Returns:
        True if they are photos in which there are faces; False if they are crops, or nothing is known.

    Raises:
        FerFastError: the finder did.
    """
    finder = cache(open_finder)
    lead = 0
    for path in paths:
        lead += _vote(path, finder)
        if abs(lead) >= _LEAD:
            break
    # Of few images half suffice: there are photos without a face.
    return 0 < min(_LEAD, ceil(len(paths) / 2)) <= lead


def chosen(paths: Iterable[str]) -> list[str]:
    """Some of the paths, of each kind of file as many if there are as many: folders often begin with one kind."""
    kinds: dict[str, list[str]] = {}
    for path in paths:
        kinds.setdefault(PurePath(path).suffix.lower(), []).append(path)
    spread = [each[:: max(1, len(each) // LOOKS)] for each in kinds.values()]
    return [path for row in zip_longest(*spread) for path in row if path is not None][:LOOKS]


def _vote(path: str, finder: Callable[[], Find | None]) -> int:
    """1 for a photo, -1 for a crop, 0 where neither is known."""
    view = Reduced(SIDE)
    try:
        with at_hand(path, READ_AT_ONCE, patient=False) as place, opened(place, view, default_limits()) as file:
            width, height = file.picture.size
            if width == height <= _LARGEST_SQUARE or min(width, height) < _SMALLEST_PHOTO:
                return -1
            if file.kind != "jpeg" and width * height > _MOST_PIXELS:
                return 0
            pixels = seen_in(np.frombuffer(decode_opened(file, view), np.uint8)).pixels
    except (DecodeError, LargeError):  # its row tells
        return 0
    find = finder()
    if find is None:
        return int(_is_a_cameras(width, height))
    faces = find(np.ascontiguousarray(pixels))
    if not len(faces):
        return 0
    small = _SMALL_OF_A_CAMERA if _is_a_cameras(width, height) else _SMALL
    return 1 if faces[:, 2:4].max() < small * min(pixels.shape[:2]) else -1


def _is_a_cameras(width: int, height: int) -> bool:
    shape = max(width, height) / min(width, height)
    return width * height >= _FEWEST_PIXELS and any(abs(shape - each) < 0.01 * each for each in _SHAPES)
