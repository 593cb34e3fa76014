"""Paths of photos come in; the crops of all faces in them, and where these are, go out."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from fer_fast.decode.formats.opening import prepare_codecs
from fer_fast.decode.interface import Decoded, Decoder, plain
from fer_fast.decode.limits import Limits
from fer_fast.decode.pending import Pending
from fer_fast.decode.threads import Threads
from fer_fast.faces.looking import Finder, Looked, Looking
from fer_fast.faces.photos import PhotoReader
from fer_fast.machine.inside import fetched_from
from fer_fast.types import Column, DecodeError, Face, Status

if TYPE_CHECKING:
    from typing import Any

    import numpy.typing as npt

    #: Called in several threads with a path, the number of a film's frame, None of a photo, and the crops of its faces,
    #: in their order.
    CropSink = Callable[[str, int | None, npt.NDArray[np.uint8]], None]

NO_FACE = "no face was found"


class FaceDecoder(Decoder):
    """Decodes photos on threads, finds their faces and cuts them out; what no thread decodes, processes do.

    A photo is a number of pictures: its faces by falling area. One without a face is a failure, `Status.NO_FACE`.

    Args:
        finder: says where faces are; the caller closes it.
        image_size: S, the side of the crops in pixels.
        framing: how they are cut, see `ClassifierConfig`.
        faces: which count: all, or largest.
        workers: how many photos are decoded at once.
        limits: of each.
        most_waiting: pictures that were decoded and not released yet, beyond which no further photo is begun; None is
            without end. It has to be a model's batch at least, so that one can be filled.
        crops: see `CropSink`; what it raises ends the batch.
    """

    name = "pillow"
    several = True
    files_at_once = 1
    columns = (
        Column("face", "integer"),
        *(Column(name, "number") for name in ("x", "y", "width", "height", "score")),
    )

    def __init__(
        self,
        finder: Finder,
        image_size: int,
        framing: str,
        faces: str,
        workers: int,
        limits: Limits,
        most_waiting: int | None = None,
        crops: CropSink | None = None,
    ) -> None:
        self.image_size, self.workers, self.limits = image_size, workers, limits
        self.looking = Looking(finder, image_size, framing, faces)
        prepare_codecs()
        self._reader = PhotoReader(finder.find_size, workers, limits)
        self._pending = Pending()
        self._threads = Threads(workers, thread_name_prefix="fer-fast-faces")
        self._photos: deque[tuple[_Photos, int]] = deque()
        self._next = threading.Lock()
        self._most_waiting, self._crops = most_waiting, crops
        self._waiting = 0
        self._released = threading.Condition()

    def submit(self, paths: Sequence[str]) -> Future[Decoded]:
        """See `Decoder.submit`."""
        photos = _Photos(self._pending, plain(paths), self.image_size)
        try:
            for place in range(len(paths)):
                self._photos.append((photos, place))
                self._threads.submit(self._take)
        except RuntimeError as error:  # closed meanwhile, or no thread can be started
            self._pending.refuse(photos.future, error)
        return photos.future

    def release(self, pictures: int) -> None:
        """See `Decoder.release`."""
        with self._released:
            self._waiting -= pictures
            self._released.notify_all()

    def close(self) -> None:
        """See `Decoder.close`."""
        if self._pending.close():
            self._threads.shutdown(wait=False, cancel_futures=True)
            with self._released:
                self._released.notify_all()
            self._reader.close()

    def _take(self) -> None:
        """Decodes the next photo; in one of the threads."""
        # In their order, whoever waits: of two photos the later one must not take the room that the earlier one needs.
        with self._next:
            with self._released:
                self._released.wait_for(lambda: self._has_room() or self._pending.closed)
            photos, place = self._photos.popleft()
        if self._pending.closed:
            return
        try:
            photos.add(place, self._looked(photos.paths[place]))
        except BaseException as error:
            self._pending.fail(photos.future, error)
            raise
        finally:
            self.files_done += 1

    def _has_room(self) -> bool:
        return self._most_waiting is None or self._waiting <= self._most_waiting

    def _looked(self, path: str) -> _Answer:
        begun = time.perf_counter()
        found: Looked | DecodeError
        finding = 0.0
        try:
            found = self._reader.look(path, self.looking)
        except DecodeError as error:
            found = error
        else:
            finding = found.seconds
            if not found.faces:
                found = DecodeError(Status.NO_FACE, NO_FACE, found.stamp)
            else:
                if self._crops is not None:
                    self._crops(fetched_from(path), None, found.pixels)
                with self._released:
                    self._waiting += len(found.faces)
        return _Answer(found, time.perf_counter() - begun - finding, finding)


class _Answer(NamedTuple):
    """What became of a photo, and the seconds that it took: all else, and finding."""

    found: Looked | DecodeError
    seconds: float
    finding: float


class _Photos:
    """A batch that several threads fill; the last of them completes the future."""

    def __init__(self, pending: Pending, paths: Sequence[str], side: int) -> None:
        self.paths = paths
        self.future = pending.add()
        self._pending, self._side = pending, side
        self._answers: dict[int, _Answer] = {}
        self._lock = threading.Lock()
        if not paths:
            self._complete()

    def add(self, place: int, answer: _Answer) -> None:
        """Takes what became of a photo."""
        with self._lock:
            self._answers[place] = answer
            is_whole = len(self._answers) == len(self.paths)
        if is_whole:
            self._complete()

    def _complete(self) -> None:
        answers = [self._answers[place] for place in range(len(self.paths))]
        seconds, finding = sum(each.seconds for each in answers), sum(each.finding for each in answers)
        found = [each.found for each in answers]
        failures = [(place, each) for place, each in enumerate(found) if isinstance(each, DecodeError)]
        looked = [(place, each) for place, each in enumerate(found) if isinstance(each, Looked)]
        indices = [place for place, each in looked for _ in each.faces]
        cells = [cells_of(number, face) for _, each in looked for number, face in enumerate(each.faces)]
        parts = [each.pixels for _, each in looked] or [np.empty((0, self._side, self._side, 3), np.uint8)]
        pixels = parts[0] if len(parts) == 1 else np.concatenate(parts)
        stamps = [each.stamp for each in found]
        self._pending.answer(self.future, Decoded(pixels, indices, failures, seconds, stamps, cells, finding))


def cells_of(number: int, face: Face) -> tuple[Any, ...]:
    """A face's values for `FaceDecoder.columns`."""
    return number, face.x, face.y, face.width, face.height, face.score
