"""A live source comes in; the faces of its newest frame go out, found, classified and followed, again and again."""

from __future__ import annotations

import os
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import datetime
from types import TracebackType
from typing import TYPE_CHECKING, Self

from fer_fast.classifier import Classifier
from fer_fast.decode.limits import number
from fer_fast.engines.opened import check_open
from fer_fast.face_predictions import with_predictions
from fer_fast.faces.looking import Looking, check_choice, check_finder
from fer_fast.films.classify import FrameFaces, Tracks
from fer_fast.films.faces import FramePhoto
from fer_fast.films.stretch import stretch_of
from fer_fast.live.naming import source_of
from fer_fast.live.newest import Newest
from fer_fast.machine.extras import need

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from fer_fast.decode.pixels import Size
    from fer_fast.faces.finder import FaceFinder
    from fer_fast.films.frame import Frame
    from fer_fast.films.stretch import Choice
    from fer_fast.live.source import Came, Source


@dataclass(frozen=True, slots=True)
class LiveFaces(FrameFaces):
    """A frame of a live source, and who is in it.

    Attributes:
        frame: how many frames the source gave before it, those included that nobody looked at.
        time: seconds since the source's first frame; of a film its own, and with a `rate` what that says.
        faces: by falling area; empty where none was found.
        at: when the frame came, UTC.
        clock: the same by `time.monotonic`: what is done with the faces now comes so much later.
        size: its width and height in pixels, upright.
        image: its pixels.
    """

    at: datetime
    clock: float = field(repr=False)
    size: Size
    image: Frame = field(repr=False)


def watch(
    source: int | str | os.PathLike[str],
    classifier: Classifier | None = None,
    *,
    finder: FaceFinder | None = None,
    faces: str = "all",
    every: str | None = None,
    smooth: float = 0.0,
    patience: float = 1.0,
    size: Size | None = None,
    pixels: str | None = None,
    rate: float | None = None,
    timeout: float = 10.0,
    reconnect: float = 600.0,
) -> Watch:
    """Finds, classifies and follows the faces of a camera, a stream or a pipe, the newest frame first.

    Frames that come while one is looked at are passed over but for the last of them, and counted: answers do not
    fall behind what is seen, and memory does not grow.

    Args:
        source: a camera's number, or its device; an address that begins with rtsp://, rtsps://, http:// or https://;
            "-", uncompressed frames on standard input; or the path of a film, which is played in its own time.
        classifier, finder, faces: see `classify_video`.
        every: of which frames the newest is looked at: "0.5s" of each half second the first, "5f" each fifth,
            "keyframes" those that are coded without others; None all.
        smooth, patience: see `classify_video`.
        size: width and height; of "-" those of all frames, of a camera what is asked of it.
        pixels: of "-" how they lie, one of `fer_fast.live.raw.PIXELS`; None is rgb24.
        rate: frames a second; of "-" those at which they were taken, where their time shall not be when they came; of
            a camera what is asked of it.
        timeout: seconds within which a camera has to give a frame, and a stream to answer; 0 waits for ever.
        reconnect: seconds for which a stream is tried again once it has broken off; 0 ends then.

    Returns:
        An iterator of `LiveFaces` that ends with its source; to be closed, as by `with`.

    Raises:
        ValueError, TypeError: an argument is something else, or names no camera or film that is there.
        MissingExtraError: PyAV is not installed.
        FerFastError: at once and while iterating, as `Classifier.predict_batch`; while iterating: the source cannot be
            opened or was lost; `DecodeError`: there are no pictures in it.
    """
    check_choice(faces)
    if finder is not None:
        check_finder(finder)
    smooth, patience = number("smooth", smooth), number("patience", patience)
    choice = stretch_of(None, None, every).chosen()
    need("a camera, a stream or a film", "video")
    opened = source_of(source, size=size, pixels=pixels, rate=rate, timeout=timeout, reconnect=reconnect)
    check_open(classifier)
    check_open(finder)
    return Watch(opened, choice, classifier, finder, faces, Tracks(smooth, patience))


class Watch:
    """What `watch` returns; of one thread, and a context manager.

    Attributes:
        classifier: what classifies.
        finder: what finds faces.
        came: frames that the source has given until now.
        looked: those that were looked at.
        dropped: those that were to be, and were passed over because newer ones had come.
    """

    def __init__(
        self,
        source: Source,
        choice: Choice,
        classifier: Classifier | None,
        finder: FaceFinder | None,
        faces: str,
        tracks: Tracks,
    ) -> None:
        self._tracks = tracks
        self.looked = 0
        with ExitStack() as held:
            self.classifier = held.enter_context(Classifier()) if classifier is None else classifier
            self.finder = self.classifier.own_finder() if finder is None else finder
            self._looking = Looking(self.finder, self.classifier.image_size, self.classifier.framing, faces)
            self._newest = Newest(source, choice)
            held.callback(self._newest.close)
            self._held = held.pop_all()
        self._is_closed = False

    @property
    def came(self) -> int:
        """See above."""
        return self._newest.came

    @property
    def dropped(self) -> int:
        """See above."""
        return self._newest.dropped

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> LiveFaces:
        """Waits for a frame that is newer than the last."""
        if self._is_closed:
            raise StopIteration
        try:
            came = self._newest.take()
            if came is None:
                raise StopIteration
            return self._looked_at(came)
        except Exception:
            self.close()
            raise

    def wait(self, seconds: float) -> bool:
        """Whether the next frame, or the end, is there; it is waited for so long."""
        return self._is_closed or self._newest.wait(seconds)

    def close(self) -> None:
        """Ends it. Only a thread that waits for a source which does not answer is left, until its `timeout`."""
        self._is_closed = True
        self._held.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _looked_at(self, came: Came) -> LiveFaces:
        frame = came.frame
        looked = self._looking(FramePhoto(frame, came.size, self.finder.find_size))
        found = with_predictions(looked.faces, self.classifier.classes, self._rows(looked.pixels))
        self.looked += 1
        tracked = self._tracks.follow(frame.time, found)
        return LiveFaces(frame.number, frame.time, tracked, came.at, came.clock, came.size, frame)

    def _rows(self, crops: npt.NDArray[np.uint8]) -> list[npt.NDArray[np.float32]]:
        """What the model says of the faces of one frame, which wait for no other's."""
        size = self.classifier.batch_size
        pieces = [crops[first : first + size] for first in range(0, len(crops), size)]
        return [row for piece in pieces for row in self.classifier.predict_batch(piece)]
