"""A film's frames come in; the faces in each go out, classified, while the next ones are looked at."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Iterable
from contextlib import ExitStack, closing
from functools import partial
from typing import TYPE_CHECKING, NamedTuple, Protocol

import numpy as np
from PIL import Image

from fer_fast.decode.pixels import resized
from fer_fast.decode.views import Crops, Seen, seen_size
from fer_fast.face_predictions import in_batches, with_predictions
from fer_fast.faces.photos import Photo
from fer_fast.faces.turns import in_turn
from fer_fast.films.finding import Known, found_in
from fer_fast.films.stretch import WHOLE, Stretch
from fer_fast.types import Face

if TYPE_CHECKING:
    import numpy.typing as npt

    from fer_fast.decode import Decoder
    from fer_fast.decode.pixels import Size
    from fer_fast.faces.looking import Looking
    from fer_fast.films.frame import Frame

    Pixels = npt.NDArray[np.uint8]


class LookedFrame(NamedTuple):
    """A frame that was looked at, without its pixels.

    Attributes:
        frame, time: see `FrameFaces`.
        faces: by falling area.
        cutting, finding: seconds that cutting the faces out, all else included, and the finder took.
    """

    frame: int
    time: float
    faces: list[Face]
    cutting: float
    finding: float


class _Runner(Protocol):
    """What is asked of a `Classifier`."""

    classes: tuple[str, ...]
    batch_size: int
    streams: int

    @property
    def decoder(self) -> Decoder:
        """Says how many work at once."""


def faces_in(
    frames: Iterable[Frame],
    size: Size,
    looking: Looking,
    runner: _Runner,
    infer: Callable[[Pixels], npt.NDArray[np.float32]],
    keep: Callable[[int, Pixels], None] | None = None,
    find_every: int = 1,
    stretch: Stretch = WHOLE,
) -> Generator[LookedFrame, None, None]:
    """Finds and classifies the faces of a film's frames; its `close`, and its end, leave no thread.

    Args:
        frames: taken on the caller's thread, some ahead of the answers.
        size: of each, see `Film`.
        looking: how they are looked at, on threads.
        runner: of what classifies, its classes, its batches and how much it does at once.
        infer: the same's, or what calls it: see `Means`.
        keep: called on threads with a frame's number and the crops of its faces.
        find_every: the finder looks at each so manieth frame, see `found_in`; 1 is all.
        stretch: of which they are.

    Returns:
        Each frame in order, its faces with their predictions.

    Raises:
        Exception: whatever one of them raises, once the frames before have gone out.
    """
    workers, longest = runner.decoder.workers, looking.finder.find_size
    known: Iterable[Known] = (Known(frame.number, frame.time, FramePhoto(frame, size, longest)) for frame in frames)
    with ExitStack() as held:
        if find_every > 1:
            known = held.enter_context(closing(found_in(known, looking, workers, find_every, stretch)))
        pieces = (partial(_looked_at, each, looking, keep) for each in known)
        looked = held.enter_context(closing(in_turn(pieces, workers)))
        for seen, rows in held.enter_context(closing(in_batches(looked, infer, runner.batch_size, runner.streams))):
            yield seen._replace(faces=with_predictions(seen.faces, runner.classes, rows))


def _looked_at(
    known: Known, looking: Looking, keep: Callable[[int, Pixels], None] | None
) -> tuple[LookedFrame, Pixels]:
    """Finds the faces of a frame, if they are not known, and cuts their crops; on another thread."""
    begun = time.perf_counter()
    elsewhere = known.finding
    if known.faces is None:
        known = known.found(looking)
    faces = known.faces or []
    pixels = looking.cut(known.photo, faces, known.factor)
    if keep is not None and faces:
        keep(known.number, pixels)
    cutting = time.perf_counter() - begun - (known.finding - elsewhere)
    return LookedFrame(known.number, known.time, faces, cutting, known.finding), pixels


class FramePhoto(Photo):
    """A frame in which faces are looked for.

    Args:
        frame: of the film.
        size: its width and height, upright.
        longest: of what the finder sees.
    """

    def __init__(self, frame: Frame, size: tuple[int, int], longest: int) -> None:
        self._frame, self._size, self._longest = frame, size, longest

    def seen(self) -> Seen:
        """See `Photo.seen`."""
        pixels, wanted = self._frame.reduced(self._longest), seen_size(self._size, self._longest)
        if pixels.shape[1::-1] != wanted:  # a frame never enlarges itself
            pixels = np.asarray(resized(Image.fromarray(pixels), wanted))
        return Seen(pixels, self._size)

    def crops(self, view: Crops) -> Pixels:
        """See `Photo.crops`; from the frame's own pixels."""
        return view.cut_from(self._frame.regions, self._size, self._size)
