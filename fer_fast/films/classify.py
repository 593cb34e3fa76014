"""A film comes in; of each of its frames the faces go out, found, classified, and followed from frame to frame."""

from __future__ import annotations

import os
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from fer_fast.classifier import Classifier
from fer_fast.decode.images import naming
from fer_fast.decode.limits import check_count, number
from fer_fast.engines.opened import check_open
from fer_fast.faces.looking import Looking, check_choice, check_finder
from fer_fast.films.faces import faces_in
from fer_fast.films.film import Film
from fer_fast.films.smoothing import Smoother
from fer_fast.films.stretch import check_find_every, stretch_of
from fer_fast.films.tracks import Tracker
from fer_fast.machine.extras import need
from fer_fast.types import Face, Prediction

if TYPE_CHECKING:
    from fer_fast.faces.finder import FaceFinder


@dataclass(frozen=True, slots=True)
class TrackedFace:
    """A face of a frame.

    Attributes:
        face: in pixels of the upright frame, with its prediction, which is of this frame alone.
        track: from 0, the same for the same face in other frames; None of one that the finder is not sure of and that
            continues none. See `Tracker`.
        smoothed: the average of the track's predictions until now, see `Smoother`; None without a track, or where
            `smooth` is 0.
    """

    face: Face
    track: int | None
    smoothed: Prediction | None = None


@dataclass(frozen=True, slots=True)
class FrameFaces:
    """A frame of a film, and who is in it.

    Attributes:
        frame: see `Frame.number`.
        time: see `Frame.time`, seconds.
        faces: by falling area; empty where none was found.
    """

    frame: int
    time: float
    faces: tuple[TrackedFace, ...]


def classify_video(
    path: str | os.PathLike[str],
    classifier: Classifier | None = None,
    *,
    finder: FaceFinder | None = None,
    faces: str = "all",
    every: str | None = None,
    start: float | None = None,
    end: float | None = None,
    smooth: float = 0.0,
    patience: float = 1.0,
    find_every: int = 1,
    threads: int | None = None,
) -> Generator[FrameFaces, None, None]:
    """Finds, classifies and follows the faces of a film, frame after frame; it holds no more of a long one.

    The film is decoded on the thread that iterates, some frames ahead of the answers. Faces are found and cut on as
    many threads as the classifier has workers, and the model's batches are filled across frames.

    Args:
        path: of the film.
        classifier: None opens a `Classifier` as it is by default, and closes it at the end.
        finder: what finds faces; None is the classifier's own.
        faces: which faces of a frame count: all, or the largest.
        every, start, end: which frames are looked at; see `Film`.
        smooth: seconds over which a track's predictions are averaged, see `Smoother`; 0 averages none.
        patience: seconds that a track goes on without its face; see `Tracker`.
        find_every: the finder looks at each so manieth of those frames, and at those between only where somebody has
            come or gone: otherwise faces have moved evenly. 1 to 10; 1 is at all.
        threads: that decode; see `Film`.

    Returns:
        An iterator of the frames that are looked at, in order, also of those without a face. Its `close`, and its end,
        leave no thread behind.

    Raises:
        ValueError, TypeError: an argument is something else.
        MissingExtraError: PyAV is not installed.
        DecodeError: while iterating: it is no film; or it is damaged, once all frames that it has left are given.
        FerFastError: at once and while iterating, as `Classifier.predict_batch`.
    """
    check_choice(faces)
    if finder is not None:
        check_finder(finder)
    smooth, patience = number("smooth", smooth), number("patience", patience)
    check_count("threads", threads)
    check_find_every(find_every)
    stretch = stretch_of(start, end, every)
    need("a film", "video")
    check_open(classifier)
    check_open(finder)
    film = partial(Film, path, start=start, end=end, every=every, threads=threads)
    finding = {"find_every": find_every, "stretch": stretch}
    return _frames(film, os.fsdecode(path), classifier, finder, faces, Tracks(smooth, patience), finding)


def _frames(
    open_film: Callable[[], Film],
    name: str,
    classifier: Classifier | None,
    finder: FaceFinder | None,
    faces: str,
    tracks: Tracks,
    finding: Mapping[str, Any],
) -> Generator[FrameFaces, None, None]:
    with naming(name, 0), ExitStack() as held:
        film = held.enter_context(open_film())
        runner = held.enter_context(Classifier()) if classifier is None else classifier
        finder = runner.own_finder() if finder is None else finder
        looking = Looking(finder, runner.image_size, runner.framing, faces)
        frames = held.enter_context(closing(film.frames()))
        infer = runner.predict_batch
        for seen in held.enter_context(closing(faces_in(frames, film.size, looking, runner, infer, **finding))):
            yield FrameFaces(seen.frame, seen.time, tracks.follow(seen.time, seen.faces))
            check_open(runner)  # in a forked child nobody works on what is ahead
        if film.fault is not None:
            raise film.fault


class Tracks:
    """Who is who in a film's frames.

    Args:
        smooth, patience: see `classify_video`.
    """

    def __init__(self, smooth: float, patience: float = 1.0) -> None:
        self._tracker = Tracker(patience=patience)
        self._smoother = Smoother(smooth) if smooth else None
        self._latest = 0.0

    def follow(self, time: float, faces: Sequence[Face]) -> tuple[TrackedFace, ...]:
        """The next frame's faces, which have predictions."""
        self._latest = time = max(time, self._latest)  # of a damaged film times may go back
        tracks = self._tracker.update(time, faces)
        smoothed: Sequence[Prediction | None] = [None] * len(faces)
        if self._smoother is not None:
            smoothed = self._smoother.update(time, tracks, [face.prediction for face in faces])
        return tuple(map(TrackedFace, faces, tracks, smoothed))

    def state(self) -> dict[str, Any]:
        """All that what follows depends on, for JSON."""
        smoother = self._smoother.state() if self._smoother is not None else None
        return {"tracker": self._tracker.state(), "smoother": smoother, "latest": self._latest}

    @classmethod
    def of(cls, state: Mapping[str, Any]) -> Tracks:
        """Goes on from what `state` gave, to the same tracks and averages.

        Raises:
            ValueError, KeyError: it is something else.
        """
        made = cls(0.0)
        made._tracker = Tracker.of(state["tracker"])
        made._smoother = None if state["smoother"] is None else Smoother.of(state["smoother"])
        made._latest = float(state["latest"])
        return made
