"""A film comes in; its sections go out, each with the rows of its frames, and what the next one goes on from."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Generator, Iterator
from contextlib import closing
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

from fer_fast.faces.decoder import NO_FACE, FaceDecoder, cells_of
from fer_fast.films.classify import Tracks
from fer_fast.films.faces import LookedFrame, faces_in
from fer_fast.films.film import Film
from fer_fast.films.stretch import stretch_of
from fer_fast.machine.stall import Pulse
from fer_fast.pipeline.batches import predicted
from fer_fast.table.film_places import FilmPlaces, state_text
from fer_fast.table.kept import stamp_of
from fer_fast.types import DecodeError, Row, Stamp, Status

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from fer_fast.films.frame import Frame
    from fer_fast.pipeline.faces import FaceClassifier
    from fer_fast.pipeline.films import FilmOptions
    from fer_fast.pipeline.summary import Stages

NO_FRAME = "no frame is in the part that is looked at"


class Section(NamedTuple):
    """A section of a film, or its end.

    Attributes:
        number: of it; of the end how many sections there are.
        rows: of its faces, frame after frame; of the end why there are not more, if there is a reason.
        stamp: of the file that was read.
        frames: that were looked at.
        time, state: see `FilmPart`.
        is_end: whether it is that.
        again: see `ItemRows.again`.
    """

    number: int
    rows: tuple[Row, ...]
    stamp: Stamp | None
    frames: int = 0
    time: float = 0.0
    state: str = ""
    is_end: bool = False
    again: bool = False


class FilmSections:
    """A film that is read from where an earlier run left it; of one thread at a time.

    Sections are numbered in their order; each has at least one frame that is looked at.

    Args:
        places: of the film, and what it goes on from.
        runner: finds and classifies faces.
        options: how films are looked at.
        stages: gets the time that the stages take.
        pulse: beats with all that is read and looked at.
    """

    def __init__(
        self, places: FilmPlaces, runner: FaceClassifier, options: FilmOptions, stages: Stages, pulse: Pulse
    ) -> None:
        self._item, self._number = places.film, places.next
        self._runner, self._options, self._stages, self._pulse = runner, options, stages, pulse
        self._stretch = stretch_of(options.start, options.end, options.every)
        state = places.state or {"tracks": None, "block": -1, "frames": 0, "rows": 0, "fault": None}
        self._tracks = Tracks(options.smooth) if state["tracks"] is None else Tracks.of(state["tracks"])
        self._block, self._frames, self._rows = state["block"], state["frames"], state["rows"]
        self._fault = None if state["fault"] is None else _fault_of(*state["fault"])
        self._stamp = stamp_of(self._item.path) if places.state else None  # where no frame is left it is not opened
        self._time = 0.0
        self._can_go_on = True  # not where times go back, or a frame ends it: what is read behind would be another

    def read(self, stop: threading.Event) -> Generator[Section, None, None]:
        """The sections that are not done, then the end; the film is closed at the end of it.

        Args:
            stop: ends it at the next frame.

        Raises:
            FerFastError: the model or the finder fails.
        """
        start = max(self._stretch.start, math.ceil((self._block + 1) * self._stretch.section))
        options = self._options
        if self._stretch.end is None or start < self._stretch.end:
            try:
                with Film(self._item.path, start=start / 1000, end=options.end, every=options.every) as film:
                    self._stamp = film.stamp
                    yield from self._read(film, stop)
            except DecodeError as error:  # it is none
                self._stamp = error.stamp
                self._fault = self._fault or error
        if not stop.is_set():
            yield self._end()

    def _read(self, film: Film, stop: threading.Event) -> Iterator[Section]:
        rows: list[Row] = []
        frames = 0
        try:
            with closing(self._looked_at(film)) as looked:
                for seen in looked:
                    if stop.is_set():
                        return
                    block = math.floor(round(1000 * seen.time) / self._stretch.section)
                    if frames and block > self._block:
                        yield self._section(rows, frames)
                        rows, frames = [], 0
                    self._can_go_on &= block >= self._block
                    self._block = max(block, self._block)
                    self._time = seen.time
                    rows += self._rows_of(seen)
                    frames += 1
                    self._fault = self._fault or film.fault
                    self._pulse.beat()
        except DecodeError as error:  # a frame of pixels that cannot be made RGB
            self._fault, self._can_go_on = self._fault or error, False
        self._fault = self._fault or film.fault
        if frames:
            yield self._section(rows, frames)

    def _looked_at(self, film: Film) -> Generator[LookedFrame, None, None]:
        def packets() -> int:
            return film.packets

        self._pulse.follow(packets)
        sink = self._runner.crops
        keep = None if sink is None else partial(sink, self._item.path)
        how = (self._runner, self._infer, keep, self._options.find_every, self._stretch)
        try:
            with (
                closing(self._timed(film)) as frames,
                closing(faces_in(frames, film.size, self._runner.looking, *how)) as found,
            ):
                for seen in found:
                    with self._stages.lock:
                        self._stages.find += seen.finding
                        self._stages.decode += seen.cutting
                    yield seen
        finally:
            self._pulse.forget(packets)

    def _timed(self, film: Film) -> Generator[Frame, None, None]:
        with closing(film.frames()) as frames:
            while True:
                begun = time.perf_counter()
                frame = next(frames, None)
                with self._stages.lock:
                    self._stages.decode += time.perf_counter() - begun
                if frame is None:
                    return
                yield frame

    def _infer(self, pixels: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
        begun = time.perf_counter()
        answers = predicted(pixels, self._runner)
        self._pulse.beat()
        with self._stages.lock:
            self._stages.model += time.perf_counter() - begun
        return answers

    def _rows_of(self, seen: LookedFrame) -> list[Row]:
        name = self._item.name
        rows = []
        for number, each in enumerate(self._tracks.follow(seen.time, seen.faces)):
            smoothed = each.smoothed.probabilities.tolist() if each.smoothed is not None else ()
            cells = (*cells_of(number, each.face), seen.frame, seen.time, each.track, *smoothed)
            rows.append(Row(name, Status.OK, "", each.face.prediction, cells))
        if not rows and self._options.empty_frames:
            cells = (*[None] * len(FaceDecoder.columns), seen.frame, seen.time)
            rows.append(Row(name, Status.NO_FACE, NO_FACE, None, cells))
        return rows

    def _section(self, rows: list[Row], frames: int) -> Section:
        self._rows += len(rows)
        self._frames += frames
        fault = self._fault
        state = {
            "tracks": self._tracks.state(),
            "block": self._block,
            "frames": self._frames,
            "rows": self._rows,
            "fault": None if fault is None else [fault.status.value, str(fault), fault.again],
        }
        text = state_text(self._item, self._stamp, self._number, state if self._can_go_on else None)
        self._number += 1
        return Section(self._number - 1, tuple(rows), self._stamp, frames, self._time, text)

    def _end(self) -> Section:
        fault, name = self._fault, self._item.name
        rows: tuple[Row, ...] = ()
        if fault is not None:
            rows = (Row(name, fault.status, str(fault)),)
        elif not self._rows:
            rows = (Row(name, Status.NO_FACE, NO_FACE if self._frames else NO_FRAME),)
        again = fault is not None and fault.again
        return Section(self._number, rows, self._stamp, 0, self._time, is_end=True, again=again)


def _fault_of(status: str, reason: str, again: bool) -> DecodeError:
    return DecodeError(Status(status), reason, again=again)
