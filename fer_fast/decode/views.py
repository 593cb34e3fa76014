"""What is made of a picture: how much of it is loaded for that, what it takes, and the bytes that come out."""

from __future__ import annotations

import struct
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable
from functools import lru_cache
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from fer_fast.decode.pixels import (
    Box,
    Size,
    conversion,
    converted_bytes,
    reduced,
    resized_bytes,
    spread,
    square,
    turned,
    upright,
)

if TYPE_CHECKING:
    import numpy.typing as npt
    from PIL import Image

    from fer_fast.decode.formats.picture import Picture

    Pixels = npt.NDArray[np.uint8]

#: A picture whose longer side is less, in pixels, is enlarged for a finder.
LEAST_SEEN = 128
#: Of a reduced picture: its width and height, those of the whole picture.
_SIZES = struct.Struct("<4I")

#: Bytes for each pixel of the part of an image that a crop is cut from: of Pillow's part in grey, of one in RGB, of an
#: array and of the bytes that it is made of.
_BYTES_OF_PART = 11

#: Of a pixel, in what is computed of a matrix.
_ROUNDING = 1e-6

#: Where a point of an upright picture is as the picture is stored, by EXIF's orientation: of x and of y the axis that
#: it is measured along, and whether from its other end.
_STORED = {
    2: ((0, True), (1, False)),
    3: ((0, True), (1, True)),
    4: ((0, False), (1, True)),
    5: ((1, False), (0, False)),
    6: ((1, False), (0, True)),
    7: ((1, True), (0, True)),
    8: ((1, True), (0, False)),
}


class View(ABC):
    """What is made of a picture; of plain values, so that it goes to a process as `form`.

    Attributes:
        most_bytes: that `make` gives.
        form: what `view_of` makes it of.
    """

    most_bytes: int
    form: tuple[Any, ...]

    @abstractmethod
    def least(self, picture: Picture) -> Size:
        """How small the picture may be loaded, see `Picture.load`."""

    @abstractmethod
    def memory(self, picture: Picture, size: Size) -> int:
        """Bytes that `make` takes at most besides the loaded image, which has this size."""

    @abstractmethod
    def make(self, picture: Picture, image: Image.Image) -> bytes:
        """What is wanted, of the image that `picture.load(least(picture))` gave.

        Raises:
            DecodeError: `UNSUPPORTED` for colours without a conversion to RGB.
            Exception: whatever Pillow raises on a broken file.
        """

    @abstractmethod
    def empty(self) -> Pixels:
        """What `put` writes to."""

    @staticmethod
    def put(data: bytes | Pixels, out: Pixels) -> None:
        """Writes what `make` gave to where it is wanted."""
        spread(data, out)


class Square(View):
    """The whole picture, squashed to S x S pixels: what a classifier sees of a face.

    Args:
        side: S.
    """

    def __init__(self, side: int) -> None:
        self.side = side
        self.most_bytes = 3 * side * side
        self.form = ("square", side)
        self._least = 2 * side, 2 * side

    def least(self, picture: Picture) -> Size:
        """Twice the side, see `JpegPicture.load`."""
        return self._least

    def memory(self, picture: Picture, size: Size) -> int:
        """See `View.memory`."""
        return resized_bytes(picture.mode, size, (self.side, self.side))

    def make(self, picture: Picture, image: Image.Image) -> bytes:
        """See `View.make`; of grey one byte a pixel."""
        return square(image, self.side, picture.orientation)

    def empty(self) -> Pixels:
        """uint8 [S, S, 3]."""
        return np.empty((self.side, self.side, 3), np.uint8)


class Seen(NamedTuple):
    """A picture that was reduced.

    Attributes:
        pixels: uint8 [height, width, 3], RGB, upright.
        size: width and height of the whole picture, upright.
    """

    pixels: Pixels
    size: Size


class Reduced(View):
    """The picture upright, in RGB, of `seen_size`: what a face finder sees.

    Args:
        longest: in pixels.
    """

    def __init__(self, longest: int) -> None:
        self.longest = longest
        self.most_bytes = _SIZES.size + 3 * longest * longest
        self.form = ("reduced", longest)

    def least(self, picture: Picture) -> Size:
        """Twice what comes out: most crops come from the same load, and a second one costs more than a finer first."""
        width, height = seen_size(picture.size, self.longest)
        return 2 * width, 2 * height

    def memory(self, picture: Picture, size: Size) -> int:
        """See `View.memory`."""
        return resized_bytes(picture.mode, size, seen_size(size, self.longest))

    def make(self, picture: Picture, image: Image.Image) -> bytes:
        """See `View.make`; for `seen_in`."""
        seen = self.seen(picture, image)
        height, width, _ = seen.pixels.shape
        return _SIZES.pack(width, height, *seen.size) + seen.pixels.tobytes()

    def seen(self, picture: Picture, image: Image.Image) -> Seen:
        """As `make`, for who is in the same process."""
        size = picture.full_size(image)
        found = reduced(image, seen_size(size, self.longest), picture.orientation)
        return Seen(_pixels(found), upright(size, picture.orientation))

    def empty(self) -> Pixels:
        """uint8 [most_bytes], for `seen_in`."""
        return np.empty(self.most_bytes, np.uint8)

    @staticmethod
    def put(data: bytes | Pixels, out: Pixels) -> None:
        """See `View.put`."""
        out[: len(data)] = np.frombuffer(data, np.uint8)


def seen_in(data: Pixels) -> Seen:
    """What `Reduced.put` has written."""
    width, height, *size = _SIZES.unpack(data[: _SIZES.size].tobytes())
    pixels = data[_SIZES.size : _SIZES.size + 3 * width * height]
    return Seen(pixels.reshape(height, width, 3), (size[0], size[1]))


def reduced_size(size: Size, longest: int) -> Size:
    """Width and height of a picture whose longer side is to be at most so long."""
    return size if max(size) <= longest else _scaled(size, longest)


def seen_size(size: Size, longest: int) -> Size:
    """Width and height of what a finder sees of a picture: it overlooks faces that are most of a very small one.

    Its longer side is at most `longest`, and at least `LEAST_SEEN` unless that is more than `longest`.
    """
    return _scaled(size, min(max(*size, LEAST_SEEN), longest))


def _scaled(size: Size, longer: int) -> Size:
    factor = longer / max(size)
    width, height = (max(1, round(side * factor)) for side in size)
    return width, height


class Crops(View):
    """Squares cut from the picture, turned as each matrix says: what a classifier sees of the faces in a photo.

    They come from pixels at least as fine as their own, where the picture has them.

    Args:
        matrices: float64 [crops, 2, 3], crops 1 or more: from a crop's coordinates to the upright picture's, in pixels
            of all of it; of both the first pixel's centre is at 0.5.
        side: S.
        longest: of what the crops were found in: they come from no smaller picture than `Reduced` loads for it.
    """

    def __init__(self, matrices: npt.NDArray[np.float64], side: int, longest: int) -> None:
        self.matrices, self.side, self.longest = matrices, side, longest
        self.most_bytes = 3 * len(matrices) * side * side
        self.form = ("crops", matrices.tobytes(), side, longest)

    def least(self, picture: Picture) -> Size:
        """See `View.least`."""
        width, height = Reduced(self.longest).least(picture)
        linear = self.matrices[:, :, :2]
        finest = float(np.sqrt(np.abs(np.linalg.det(linear)).min()))  # pixels of the picture to a crop's
        factor = 1 / max(finest, 1.0)
        wide, high = (int(np.ceil(factor * each - _ROUNDING)) for each in picture.size)
        return max(width, wide), max(height, high)

    def memory(self, picture: Picture, size: Size) -> int:
        """See `View.memory`."""
        size = upright(size, picture.orientation)
        boxes = self._boxes(self._in_loaded(upright(picture.size, picture.orientation), size), size)
        largest = int(((boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])).max())
        return largest * (_BYTES_OF_PART + converted_bytes(picture.mode)) + 2 * self.most_bytes

    def make(self, picture: Picture, image: Image.Image) -> bytes:
        """See `View.make`."""
        return self.cut(picture, image).tobytes()

    def empty(self) -> Pixels:
        """uint8 [crops, S, S, 3]."""
        return np.empty((len(self.matrices), self.side, self.side, 3), np.uint8)

    def cut(self, picture: Picture, image: Image.Image) -> Pixels:
        """As `make`, for who is in the same process: uint8 [crops, S, S, 3]."""
        image.load()
        convert = conversion(image)
        size = upright(image.size, picture.orientation)

        def part(box: Box) -> Pixels:
            # Turned as the photo is to be, or the pixels would be others.
            stored = image.crop(_as_stored(box, size, picture.orientation))
            return _pixels(convert(turned(stored, picture.orientation)))

        whole = upright(picture.full_size(image), picture.orientation)
        return self.cut_from(lambda boxes: map(part, boxes), size, whole)

    def cut_from(self, parts: Callable[[list[Box]], Iterable[Pixels]], size: Size, whole: Size) -> Pixels:
        """As `cut`, of an upright image of which no more is asked for than the crops need.

        Args:
            parts: gives what lies in boxes of it, uint8 [height, width, 3] each, in their order.
            size: of the image.
            whole: of all of the picture that it was loaded from.
        """
        from fer_fast.ops.native import core  # for nobody who decodes squares alone

        crop_faces = core().crop_faces
        matrices = self._in_loaded(whole, size)
        boxes = self._boxes(matrices, size)
        matrices[:, :, 2] -= boxes[:, :2]
        out = self.empty()
        for place, pixels in enumerate(parts([tuple(box) for box in boxes.tolist()])):
            crop_faces(pixels, matrices[place : place + 1], self.side, out[place : place + 1])
        return out

    def pieces(self, size: int) -> list[Crops]:
        """The same crops in order, not more than so many at a time."""
        starts = range(0, len(self.matrices), size)
        return [Crops(self.matrices[start : start + size], self.side, self.longest) for start in starts]

    def _in_loaded(self, size: Size, loaded: Size) -> npt.NDArray[np.float64]:
        """The matrices to the coordinates of an image of this size of a picture of that one, both upright."""
        return self.matrices * (np.array(loaded, np.float64) / size)[:, None]

    def _boxes(self, matrices: npt.NDArray[np.float64], size: Size) -> npt.NDArray[np.int64]:
        """[crops, 4]: left, top, right, bottom of what each crop needs of such an image; a pixel of it at least."""
        side = float(self.side)
        corners = matrices @ np.array([[0, side, 0, side], [0, 0, side, side], [1, 1, 1, 1]])
        reach = 2 + 2 * np.abs(matrices[:, :, :2]).sum(axis=2)  # of the filter, beyond the outermost pixels
        limits = np.array(size, np.float64)
        first = np.clip(np.floor(corners.min(axis=2) - reach), 0, limits - 1)
        last = np.clip(np.ceil(corners.max(axis=2) + reach), first + 1, limits)
        return np.concatenate([first, last], axis=1).astype(np.int64)


def _pixels(image: Image.Image) -> Pixels:
    """uint8 [height, width, 3] of an image in grey or RGB."""
    return np.asarray(image if image.mode == "RGB" else image.convert("RGB"))  # or Pillow would copy it


def _as_stored(box: Box, size: Size, orientation: int) -> Box:
    """A box of an upright image of this size, as the image is stored."""
    if orientation not in _STORED:
        return box
    corners = (box[:2], box[2:])
    ends = []
    for axis, is_mirrored in _STORED[orientation]:
        ends.append(sorted(size[axis] - corner[axis] if is_mirrored else corner[axis] for corner in corners))
    (left, right), (top, bottom) = ends
    return left, top, right, bottom


@lru_cache(maxsize=8)
def view_of(form: tuple[Any, ...]) -> View:
    """A view by its form."""
    kind, *values = form
    if kind == "crops":
        matrices, side, longest = values
        return Crops(np.frombuffer(matrices, np.float64).reshape(-1, 2, 3), side, longest)
    return Square(*values) if kind == "square" else Reduced(*values)
