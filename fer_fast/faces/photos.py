"""An image on disk or in memory comes in; it goes out as a photo: seen reduced first, then its crops are cut."""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from collections.abc import Callable
from contextlib import ExitStack
from typing import TYPE_CHECKING, TypeVar

from fer_fast.decode.apart import Apart, decoded_here, in_file
from fer_fast.decode.budget import Budget
from fer_fast.decode.codecs import (
    Opened,
    check_cost,
    check_memory,
    memory_of,
    open_content,
    open_file,
    verdicts,
)
from fer_fast.decode.faults import os_fault
from fer_fast.decode.images import LoadedPicture, image_faults, source_of
from fer_fast.decode.limits import Large, LargeError, Limits
from fer_fast.decode.views import Crops, Reduced, Seen, View, seen_in
from fer_fast.types import DecodeError, Stamp, Status

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    from PIL import Image

    from fer_fast.predictions import ImageLike

    Pixels = npt.NDArray[np.uint8]

_Result = TypeVar("_Result")

#: Bytes of crops that a process hands over at once: for each such piece it decodes the photo again.
_PIECE_BYTES = 16 << 20


class Photo(ABC):
    """An image in which faces are looked for; of one thread.

    Attributes:
        stamp: of the file that is read; None where there is none.
    """

    stamp: Stamp | None = None

    @abstractmethod
    def seen(self) -> Seen:
        """What a finder sees of it.

        Raises:
            DecodeError: it gives no pixels.
        """

    @abstractmethod
    def crops(self, view: Crops) -> Pixels:
        """Cuts crops; once, after `seen`.

        Args:
            view: of the same `longest` as what was seen.

        Returns:
            uint8 [crops, S, S, 3].

        Raises:
            DecodeError: it gives no pixels, or is another file now.
        """


class PhotoReader:
    """Opens photos for several threads at once, each in memory that all of them share.

    Args:
        longest: of what a finder sees, see `Reduced`.
        workers: how many threads there are.
        limits: of each photo.
    """

    def __init__(self, longest: int, workers: int, limits: Limits) -> None:
        self._view, self._limits = Reduced(longest), limits
        self._budget = Budget(limits.max_memory)
        most = max(_PIECE_BYTES, self._view.most_bytes)
        self._apart = Apart(workers, most, limits, self._budget)

    def look(self, image: ImageLike, work: Callable[[Photo], _Result], exif: bool = True) -> _Result:
        """What `work` makes of a photo.

        Args:
            image, exif: as for `Classifier.predict_iter`.
            work: called again, from the beginning, where a process of its own has to decode what this thread cannot.

        Raises:
            TypeError, ValueError: as `pixels_of`.
            DecodeError: the image gives no pixels.
            FerFastError: closed.
            Exception: whatever `work` raises.
        """
        if isinstance(image, (str, os.PathLike)):
            return self._look_at_file(os.fsdecode(image), work)
        source = source_of(image, self._limits.max_pixels, exif)
        if isinstance(source, bytes):
            return self._look_at_content(source, work)
        with image_faults():
            photo = _PhotoInMemory(LoadedPicture(source, exif), self._view)
        return work(photo)

    def close(self) -> None:
        """Ends what is under way in processes."""
        self._apart.close()

    def _look_at_file(self, path: str, work: Callable[[Photo], _Result]) -> _Result:
        try:
            with self._budget.take(self._limits.small):
                file = open_file(path, self._view, self._limits)
                with file.content:
                    return work(_OpenPhoto(file, self._view, self._limits, self._limits.small))
        except LargeError:
            return work(_PhotoApart(path, self._view, self._limits, self._apart, self._budget))

    def _look_at_content(self, encoded: bytes, work: Callable[[Photo], _Result]) -> _Result:
        small = self._limits.small
        try:
            with self._budget.take(small):
                file = open_content(encoded, self._view, self._limits, small, in_thread=True)
                return work(_OpenPhoto(file, self._view, self._limits, small))
        except LargeError:
            pass
        with ExitStack() as held:
            try:
                path = held.enter_context(in_file(encoded))
            except OSError as error:
                raise os_fault(error) from error
            return work(_PhotoApart(path, self._view, self._limits, self._apart, self._budget))


class _PhotoInMemory(Photo):
    """A photo that is decoded already."""

    def __init__(self, picture: LoadedPicture, view: Reduced) -> None:
        self._picture, self._view = picture, view

    def seen(self) -> Seen:
        with image_faults():
            return self._view.seen(self._picture, self._picture.image)

    def crops(self, view: Crops) -> Pixels:
        with image_faults():
            return view.cut(self._picture, self._picture.image)


class _OpenPhoto(Photo):
    """A file that this thread decodes: as finely as it needs to be seen, and once more where crops need it finer."""

    def __init__(self, file: Opened, view: Reduced, limits: Limits, room: int) -> None:
        self.stamp = file.stamp
        self._file, self._view, self._limits, self._room = file, view, limits, room
        self._image: Image.Image | None = None

    def seen(self) -> Seen:
        return self._made(self._view, self._view.seen)

    def crops(self, view: Crops) -> Pixels:
        picture = self._file.picture
        if picture.cost(view.least(picture))[1] != picture.cost(self._view.least(picture))[1]:
            self._image = None
        with verdicts(self._file):
            check_cost(self._file, view, self._limits, self._room)
        return self._made(view, view.cut)

    def _made(self, view: View, make: Callable[..., _Result]) -> _Result:
        picture = self._file.picture
        with verdicts(self._file):
            try:
                if self._image is None:
                    self._image = picture.load(view.least(picture))
                return make(picture, self._image)
            except Exception:
                check_memory(memory_of(picture, view))
                raise


class _PhotoApart(Photo):
    """A file that is decoded for each of its views, in a process where it has to be."""

    def __init__(self, path: str, view: Reduced, limits: Limits, apart: Apart, budget: Budget) -> None:
        self._path, self._view, self._limits = path, view, limits
        self._apart, self._budget = apart, budget

    def seen(self) -> Seen:
        pixels, self.stamp = self._made(self._view)
        return seen_in(pixels)

    def crops(self, view: Crops) -> Pixels:
        out = view.empty()
        place = 0
        for piece in view.pieces(max(1, _PIECE_BYTES // (3 * view.side * view.side))):
            pixels, stamp = self._made(piece)
            if stamp != self.stamp:
                raise DecodeError(Status.FAILED, "the file was changed while it was read", stamp)
            out[place : place + len(pixels)] = pixels
            place += len(pixels)
        return out

    def _made(self, view: View) -> tuple[Pixels, Stamp | None]:
        out = view.empty()
        with self._budget.take(self._limits.small):
            answer = decoded_here(self._path, view, out, self._limits, self._limits.small, in_thread=True)
        if isinstance(answer, Large):
            ((_, answer),) = self._apart.decode([self._path], view, [out], {0: answer})
        if isinstance(answer, DecodeError):
            raise answer
        assert not isinstance(answer, Large)
        return out, answer
