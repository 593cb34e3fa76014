"""What a run finds comes in, pictures of it go to a folder: photos with their faces marked, or faces as they were seen.

A run does not wait for its pictures, nor end because one cannot be made; but it does if there is no room for them.
"""

from __future__ import annotations

import errno
import io
import os
import threading
from collections import deque
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from operator import methodcaller
from pathlib import Path
from typing import TYPE_CHECKING, Any

from PIL import Image

from fer_fast.decode.limits import limits_of
from fer_fast.faces.photos import PhotoReader
from fer_fast.machine.disk import write_whole
from fer_fast.machine.processors import usable_processors
from fer_fast.machine.urls import is_url, name_in
from fer_fast.remote.in_memory import at_hand
from fer_fast.reports.drawing import draw_faces
from fer_fast.reports.marks import Mark
from fer_fast.types import ItemRows, OutputError, Row, Status, one_line

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

#: The longer side of a photo as it is drawn, in pixels.
LONGEST = 1600

_NO_ROOM = (errno.ENOSPC, errno.EDQUOT)
_LONGEST_STEM = 200  # bytes; a file's name may have 255
_AHEAD = 4  # photos for each thread
_LAST_SECONDS = 3.0


class SavedPictures:
    """Pictures in a folder, and what became of them.

    Args:
        folder: is made once there is a picture.

    Attributes:
        saved: how many pictures there are.
        failures: of those that could not be made, a sentence each; of very many the first.
        failed: how many those are.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.saved = self.failed = 0
        self.failures: list[str] = []
        self._lock = threading.Lock()

    def save(self, name: str, picture: Image.Image, form: str, **options: int) -> None:
        """Writes a picture, whole or not at all; from any thread.

        Raises:
            OutputError: there is no room.
        """
        stream = io.BytesIO()
        picture.save(stream, form, **options)
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            write_whole(self.folder / name, stream.getbuffer(), lasting=False)
        except OSError as error:
            if error.errno in _NO_ROOM:
                raise OutputError(f"no room for pictures in {str(self.folder)!r}: {error.strerror}") from error
            self.fail(name, error)
            return
        with self._lock:
            self.saved += 1

    def fail(self, name: str, error: Exception) -> None:
        """Keeps that a picture could not be made; from any thread."""
        with self._lock:
            self.failed += 1
            if len(self.failures) < 10:
                self.failures.append(f"{name!a}: {one_line(error)}")


class Drawings:
    """Draws the photos of a run on threads of its own.

    Args:
        folder: where they go, as JPEG.
        max_pixels, max_memory, max_seconds: see `open_decoder`.
    """

    def __init__(self, folder: Path, **limits: Any) -> None:
        self.pictures = SavedPictures(folder)
        threads = usable_processors()
        cost = limits_of(threads, **limits)
        self._photos, self._largest = PhotoReader(LONGEST, threads, cost), cost.small
        self._most = _AHEAD * threads
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="fer-fast-draw")
        self._pending: deque[Future[None]] = deque()

    def see(self, found: Sequence[ItemRows]) -> None:
        """Takes what became of some files, of which photos are drawn; waits where drawing falls behind.

        Raises:
            OutputError: there is no room for the pictures.
        """
        for result in found:
            is_seen = any(row.prediction is not None or row.status is Status.NO_FACE for row in result.rows)
            if is_seen and result.film is None:
                self._pending.append(self._pool.submit(self._draw, result))
            self._wait(self._most)

    def close(self) -> None:
        """Waits until all are drawn.

        Raises:
            OutputError: as `see`.
        """
        self._wait(0)
        self._pool.shutdown()
        self._photos.close()

    def stop(self) -> None:
        """After an error: rows that are kept get their pictures, if those are soon done."""
        wait(self._pending, _LAST_SECONDS)
        self._pool.shutdown(wait=False, cancel_futures=True)
        self._photos.close()

    def _wait(self, most: int) -> None:
        while len(self._pending) > most:
            self._pending.popleft().result()

    def _draw(self, result: ItemRows) -> None:
        item = result.item
        try:
            with at_hand(item.path, self._largest) as path:
                photo, size = self._photos.look(path, methodcaller("seen"))
            marks = [mark for row in result.rows if (mark := _mark(row, photo.shape[1] / size[0]))]
            picture = draw_faces(Image.fromarray(photo), marks)
        except Exception as error:  # gone or changed since, or no memory: the run goes on
            self.pictures.fail(item.name, error)
            return
        self.pictures.save(f"{picture_stem(item.path, item.key)}.jpg", picture, "JPEG", quality=90, subsampling=0)


def save_crops(pictures: SavedPictures, path: str, key: int, frame: int | None, crops: npt.NDArray[np.uint8]) -> None:
    """Saves the faces of a photo, or of a film's frame, as a model sees them, as PNG; from any thread.

    Args:
        path, key: of the file, see `Item`.
        frame: its number in the film; None of a photo.
        crops: uint8 [faces, S, S, 3].

    Raises:
        OutputError: there is no room.
    """
    stem = picture_stem(path, key) + ("" if frame is None else f"_{frame:06}")
    for number, crop in enumerate(crops):
        pictures.save(f"{stem}_{number}.png", Image.fromarray(crop), "PNG", compress_level=1)


def picture_stem(path: str, key: int) -> str:
    """A name for a picture of a file: no two files have the same, wherever they lie."""
    stem = os.fsencode(Path(name_in(path) if is_url(path) else path).stem)
    if len(stem) > _LONGEST_STEM:
        stem = stem[:_LONGEST_STEM].decode(errors="ignore").encode()
    return f"{os.fsdecode(stem)}_{key >> 32:08x}"


def _mark(row: Row, factor: float) -> Mark | None:
    if row.prediction is None:
        return None
    _, x, y, width, height, _ = row.cells
    return Mark(x * factor, y * factor, width * factor, height * factor, row.prediction, row.label)
