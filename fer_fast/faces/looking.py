"""A photo comes in, its faces and the crops of them that a classifier sees go out."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple, Protocol

import numpy as np

from fer_fast.decode.views import Crops
from fer_fast.faces.framing import crop_matrices
from fer_fast.types import Face

if TYPE_CHECKING:
    import numpy.typing as npt

    from fer_fast.decode.pixels import Size
    from fer_fast.faces.photos import Photo
    from fer_fast.types import Stamp

#: Which faces of a photo count.
CHOICES: tuple[str, ...] = ("all", "largest")


class Finder(Protocol):
    """What is asked of a `FaceFinder`."""

    find_size: int
    identity: str

    def find_in(self, pixels: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
        """See `FaceFinder.find_in`."""

    def faces(self, found: npt.NDArray[np.float32], seen: Size, size: Size) -> list[Face]:
        """See `FaceFinder.faces`."""


class Looked(NamedTuple):
    """What there is in a photo.

    Attributes:
        faces: by falling area, without predictions.
        pixels: their crops, uint8 [faces, S, S, 3].
        stamp: of the file that was read; None where there is none.
        seconds: that the finder took.
    """

    faces: list[Face]
    pixels: npt.NDArray[np.uint8]
    stamp: Stamp | None
    seconds: float


class Looking:
    """How photos are looked at; for several threads at once.

    Args:
        finder: says where faces are.
        side: S, the side of the crops in pixels.
        framing: how they are cut, see `ClassifierConfig`.
        faces: which count, one of `CHOICES`.

    Raises:
        ValueError: `faces` is none of them.
        TypeError: `finder` finds nothing.
    """

    def __init__(self, finder: Finder, side: int, framing: str, faces: str = "all") -> None:
        check_choice(faces)
        check_finder(finder)
        self.finder, self.faces = finder, faces
        self._side, self.framing = side, framing
        self._most = 1 if faces == "largest" else None

    def __call__(self, photo: Photo) -> Looked:
        """Looks at one.

        Raises:
            DecodeError: it gives no pixels.
            FerFastError: the finder fails.
        """
        faces, seconds, factor = self.find(photo)
        return Looked(faces, self.cut(photo, faces, factor), photo.stamp, seconds)

    def find(self, photo: Photo) -> tuple[list[Face], float, float]:
        """Finds faces in one.

        Returns:
            The faces, by falling area; the seconds that the finder took; how many times as large as what it saw the
            photo is.

        Raises:
            DecodeError, FerFastError: as the whole look.
        """
        seen, size = photo.seen()
        begun = time.perf_counter()
        found = self.finder.find_in(seen)
        seconds = time.perf_counter() - begun
        height, width, _ = seen.shape
        faces = self.finder.faces(found, (width, height), size)[: self._most]
        return faces, seconds, max(size) / max(width, height)

    def cut(self, photo: Photo, faces: Sequence[Face], factor: float) -> npt.NDArray[np.uint8]:
        """Cuts faces out of one: uint8 [faces, S, S, 3].

        Args:
            photo: that was seen.
            faces: in it.
            factor: see `find`.

        Raises:
            DecodeError: as the whole look.
        """
        if not faces:
            return np.empty((0, self._side, self._side, 3), np.uint8)
        matrices = crop_matrices(faces, self.framing, self._side, factor)
        return photo.crops(Crops(matrices, self._side, self.finder.find_size))


def check_choice(faces: str) -> None:
    """Refuses what does not say which faces count.

    Raises:
        ValueError: it is none of `CHOICES`.
    """
    if faces not in CHOICES:
        raise ValueError(f"faces must be {' or '.join(CHOICES)}, not {faces!r}")


def check_finder(finder: object) -> None:
    """Refuses what finds nothing.

    Raises:
        TypeError: it is no finder.
    """
    if not hasattr(finder, "find_in"):
        raise TypeError(f"finder must be a FaceFinder, not {finder!r}")
