"""A film on disk comes in; its frames go out, one after the other, upright and each with its time."""

from __future__ import annotations

import os
from collections.abc import Generator, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from types import TracebackType
from typing import TYPE_CHECKING

from fer_fast.decode.faults import os_fault
from fer_fast.decode.files import open_regular_file
from fer_fast.decode.limits import check_count
from fer_fast.films.clock import clock_of
from fer_fast.films.colour import HDR
from fer_fast.films.frame import Frame
from fer_fast.films.losses import Losses, cut_off
from fer_fast.films.opening import codec_of, film_stream, film_streams, open_container, prepare_decoder, size_of
from fer_fast.films.reading import NoKeyError, Reading, Shown
from fer_fast.films.stretch import stretch_of
from fer_fast.films.upright import upright_of
from fer_fast.films.wholeness import missing_bytes
from fer_fast.machine.extras import need
from fer_fast.machine.processors import usable_processors
from fer_fast.types import DecodeError, FerFastError, Status

if TYPE_CHECKING:
    import av

#: Beyond these decoding gains little, and finder and classifier want processors, too.
_MOST_THREADS = 4


@dataclass(frozen=True)
class FilmStream:
    """A stream of moving pictures.

    Attributes:
        index: within the file.
        codec: its name; None if there is no decoder for it.
        size: width and height as stored; None likewise.
        taken: whether it is the film.
    """

    index: int
    codec: str | None
    size: tuple[int, int] | None
    taken: bool


class Film:
    """The frames of a film, or of a part of it; of one thread.

    Of several streams of pictures the one is taken that players take. Pictures come upright and with square pixels.
    High dynamic range (`hdr`) is taken as if it were none: pictures are pale, but no tone is made up. Frames of two
    interlaced fields (`interlaced`) stay as they are.

    Args:
        path: of the file; nothing that it names is opened.
        start: seconds from the film's beginning; earlier frames are read, as their number counts, but decoded only as
            far as later ones need it.
        end: seconds; the first time that is not wanted.
        every: "0.5s": of each half second, counted from the film's beginning, the first frame within the part; "5f":
            frames 0, 5, 10...; "keyframes": those that were coded without any other; None: all.
        threads: that decode; without it as many as this process may use processors, at most 4.

    Attributes:
        stamp: of the file.
        size: width and height of each frame.
        duration: seconds, as the container says; None if it does not.
        rate: frames a second on average; None if that is not known.
        codec: the name of the decoder.
        interlaced: whether the first frame is of two fields.
        hdr: "pq", "hlg" or None.
        streams: all streams of moving pictures.
        lost: frames that the last `frames` did not give because of damage, as far as it has come and that is known.
        fault: where and why it lost the first; None if none is known to be lost.

    Raises:
        DecodeError: there is no film in it, or no frame of it can be decoded; see `types.Status`.
        MissingExtraError: PyAV is not installed.
        ValueError, TypeError: an argument that is none.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        start: float | None = None,
        end: float | None = None,
        every: str | None = None,
        threads: int | None = None,
    ) -> None:
        check_count("threads", threads)
        self._stretch = stretch_of(start, end, every)
        need("a film", "video")
        self._threads = threads or min(_MOST_THREADS, usable_processors())
        self._process = os.getpid()
        self.lost = 0
        self.fault: DecodeError | None = None
        self._losses = Losses(0)
        self._first_stamp: int | None = None
        with ExitStack() as opened:
            file, self.stamp = open_regular_file(os.fsdecode(path))
            self._file = opened.enter_context(file)
            try:
                self._lacking = missing_bytes(file)
                self._look()
            except OSError as error:
                raise os_fault(error, self.stamp) from None
            except DecodeError as error:
                again = error if error.again or not self._lacking else cut_off(self._lacking)
                again.stamp = self.stamp
                raise again from None
            opened.pop_all()

    def __enter__(self) -> Film:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Closes the file; frames that are there stay good."""
        self._file.close()

    def frames(self) -> Generator[Frame, None, None]:
        """The frames that are wanted, in the order that they are shown; from the beginning whenever it is called.

        Damaged frames, and those up to the next key frame that are predicted from them, are left out and told by `lost`
        and `fault`.

        Raises:
            FerFastError: the film is closed, or was opened by the process from which this one was forked.
        """
        self._check_open()
        choice, stretch = self._stretch.chosen(), self._stretch
        self.lost, self.fault = 0, None
        for picture, number, time, key in self._shown():
            if stretch.end is not None and time >= stretch.end:
                break
            if time >= stretch.start and choice.wants(number, time, key):
                self.lost, self.fault = self._losses.lost, self._losses.fault
                yield Frame(number, time / 1000, key, picture, self._upright)
                self._check_open()
        self.lost, self.fault = self._losses.lost, self._losses.fault

    @property
    def packets(self) -> int:
        """How many the last pass has read, of all streams: a sign of life, which any thread may look for."""
        return self._losses.packets

    def _shown(self) -> Iterator[Shown]:
        """One pass; it begins once more, from the beginning, where decoding cannot begin at the start."""
        for skips in (True, False):
            with open_container(self._file) as container:
                reading = self._reading(container, self._stretch.start, skips=skips, keys=self._stretch.keys)
                self._losses = reading.losses
                try:
                    yield from reading.shown()
                    return
                except NoKeyError:
                    pass

    def _check_open(self) -> None:
        if os.getpid() != self._process:  # the decoder's threads are not here, and the parent reads the same file
            raise FerFastError("the film was opened before fork: open a Film in each process")
        if self._file.closed:
            raise FerFastError("the film is closed")

    def _look(self) -> None:
        """What is said by the container and by the first good frame."""
        with open_container(self._file) as container:
            stream = film_stream(container)
            self._index = stream.index
            self.codec = stream.codec_context.name
            self.duration = None if container.duration is None else container.duration / 1e6
            self.rate = float(stream.average_rate) if stream.average_rate else None
            self.streams = tuple(
                FilmStream(each.index, codec_of(each), size_of(each), each.index == stream.index)
                for each in film_streams(container)
            )
            picture = self._first(container)
            self._first_stamp = picture.pts
            self._upright = upright_of(picture, stream.sample_aspect_ratio)
            self.size = self._upright.size
            self.interlaced = picture.interlaced_frame
            self.hdr = HDR.get(picture.color_trc)

    def _first(self, container: av.container.InputContainer) -> av.VideoFrame:
        reading = self._reading(container, 0, skips=False)
        self._losses = reading.losses
        for shown in reading.shown():
            return shown.picture
        raise reading.losses.fault or DecodeError(Status.EMPTY, "the film has no frames")

    def _reading(self, container: av.container.InputContainer, start: int, **how: bool) -> Reading:
        stream = next(each for each in container.streams.video if each.index == self._index)
        prepare_decoder(stream, self._threads, "AUTO")
        return Reading(container, stream, clock_of(container, stream, self._first_stamp), start, self._lacking, **how)
