"""A film and who is in its frames come in; the film goes out again, with boxes, tracks, labels and probabilities.

Every frame is there, at its time, also those that nobody looked at: between two looks boxes move evenly from the one to
the other, and labels are those of the first.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from fer_fast.decode.files import open_regular_file
from fer_fast.decode.limits import check_count
from fer_fast.films.canvas import Canvas, between, label_of
from fer_fast.films.classify import FrameFaces, TrackedFace
from fer_fast.films.film import Film
from fer_fast.films.opening import open_container
from fer_fast.films.writing import COMMENT, CONTAINERS, FilmWriter
from fer_fast.machine.disk import WholeFile, check_place
from fer_fast.machine.extras import need
from fer_fast.machine.processors import usable_processors
from fer_fast.types import EMOTIONS, DecodeError, OutputError, OutputRefusedError, one_line

if TYPE_CHECKING:
    from fer_fast.films.frame import Frame

#: Beyond these encoding gains little, and decoding wants processors, too.
_MOST_THREADS = 4

_log = logging.getLogger(__name__)


def draw_film(
    path: str | os.PathLike[str],
    out: str | os.PathLike[str],
    frames: Iterable[FrameFaces],
    *,
    classes: Sequence[str] = EMOTIONS,
    label: Callable[[TrackedFace], str] = label_of,
    longest: int = 1920,
    threads: int | None = None,
    comment: str = "",
) -> None:
    """Writes a film again, with what was found in it.

    Args:
        path: of the film.
        out: the film that is made; its suffix, .mp4, .m4v, .mov or .mkv, says the container.
        frames: who is in it, as `classify_video` has it.
        classes, label, longest, threads, comment: see `drawn_film`.

    Raises:
        DecodeError: `path` is no film; or it is damaged, once all that it has left is drawn.
        OutputRefusedError, OutputError, MissingExtraError, ValueError, TypeError: see `drawn_film`.
    """
    damage: DecodeError | None = None
    how = {"classes": classes, "label": label, "longest": longest, "threads": threads, "comment": comment}
    with drawn_film(path, out, **how) as drawing:  # type: ignore[arg-type]
        try:
            for look in frames:
                drawing.add(look)
        except DecodeError as error:
            if error.again:
                raise
            damage = error
    if damage is not None:
        raise damage


@contextmanager
def drawn_film(
    path: str | os.PathLike[str],
    out: str | os.PathLike[str],
    *,
    classes: Sequence[str] = EMOTIONS,
    label: Callable[[TrackedFace], str] = label_of,
    longest: int = 1920,
    threads: int | None = None,
    comment: str = "",
) -> Iterator[FilmDrawing]:
    """Draws a film while it is looked at: `add` takes one look after another, in memory that does not grow.

    At the end of the block the rest of the film is written, and it stands under its name, whole; if the block raises
    anything, what was there before still does.

    Args:
        path: of the film; it is read once more, beside whoever looks at it.
        out: the film that is made; its suffix, .mp4, .m4v, .mov or .mkv, says the container.
        classes: of the predictions.
        label: what a face is called; empty where it is not sure enough.
        longest: its longer side at most, in pixels; even numbers are made of odd ones.
        threads: that decode, and as many that encode; otherwise as many as there are processors, at most 4.
        comment: what the head of the film says of it, see `comment_of`.

    Raises:
        OutputRefusedError: `out` is `path`, of another suffix, or cannot be written.
        OutputError: the disk is full or fails, or the encoder does.
        DecodeError: `path` is no film.
        MissingExtraError: PyAV is not installed.
        ValueError, TypeError: an argument is something else.
    """
    name, source = os.fsdecode(out), os.fsdecode(path)
    check_count("longest", longest)
    check_count("threads", threads)
    need("a film", "video")
    place = _checked(name, source)
    threads = threads or min(_MOST_THREADS, usable_processors())
    with ExitStack() as held:
        film = held.enter_context(Film(source, threads=threads))
        sound, _ = open_regular_file(source)
        held.enter_context(sound)
        with _written(name):
            file = WholeFile(place)
        held.callback(file.discard)
        canvas = Canvas(film.size, longest, classes)
        with _written(name):
            form = CONTAINERS[place.suffix.lower()]
            writer = FilmWriter(file.stream, form, canvas.size, film.rate, sound, threads, comment)
        held.callback(writer.close)
        drawing = FilmDrawing(film, writer, canvas, label, name)
        held.callback(drawing.stop)
        yield drawing
        drawing.finish()
        with _written(name):
            file.keep()
    for each in writer.left_out:
        _log.warning("%s is without %s", name, each)
    if writer.codec != "h264":
        _log.warning("%s is encoded as %s: PyAV has no encoder for H.264", name, writer.codec)


def comment_of(path: Path) -> str:
    """What the head of a film says of it; empty if it says nothing, is damaged, or is no film's.

    Raises:
        OSError: it cannot be read.
    """
    try:
        with path.open("rb", buffering=0) as file, open_container(file) as container:
            said = {name.lower(): text for name, text in container.metadata.items()}  # Matroska's are in capitals
            return said.get(COMMENT, "")
    except DecodeError:
        return ""


class FilmDrawing:
    """A film that is drawn; `drawn_film` makes it.

    Args:
        film: that is read from its beginning.
        writer: of the other one.
        canvas: on which its frames are drawn.
        label: see `drawn_film`.
        name: of the film that is written.
    """

    def __init__(
        self, film: Film, writer: FilmWriter, canvas: Canvas, label: Callable[[TrackedFace], str], name: str
    ) -> None:
        self._writer, self._canvas, self._label, self._name = writer, canvas, label, name
        self._frames = film.frames()
        self._frame = next(self._frames, None)
        self._last: FrameFaces | None = None
        self._pause = 0.0

    def add(self, look: FrameFaces) -> None:
        """Takes the next look; draws the frames before it.

        Raises:
            ValueError: it is not of a later frame than the last, or of a frame that the film has not.
            DecodeError: a frame cannot be made RGB.
            OutputError: the disk is full or fails, or the encoder does.
        """
        if self._last is not None and look.frame <= self._last.frame:
            raise ValueError(f"frames must rise, not come to {look.frame} after {self._last.frame}")
        while self._frame is not None and self._frame.number < look.frame:
            self._draw(self._frame, between(self._last, look, self._frame.time) if self._last else ())
        if self._frame is None or self._frame.number != look.frame:
            raise ValueError(f"frames must be of the film that is drawn: it has no frame {look.frame}")
        self._pause = look.time - self._last.time if self._last else 0.0
        self._last = look

    def finish(self) -> None:
        """Draws the rest; the last look lasts as long as the one before it did.

        Raises:
            DecodeError, OutputError: as `add`.
        """
        until = self._last.time + self._pause - 0.0005 if self._last else 0.0  # times are of whole milliseconds
        while self._frame is not None:
            held = self._last if self._last and (self._frame.time < until or self._is_looked_at()) else None
            self._draw(self._frame, held.faces if held else ())
        with _written(self._name):
            self._writer.finish()

    def stop(self) -> None:
        """Reads no further, and lets go of what was read: whoever keeps an error keeps no frame by it."""
        self._frames.close()
        self._frame = None

    def _is_looked_at(self) -> bool:
        return bool(self._frame and self._last and self._frame.number == self._last.frame)

    def _draw(self, frame: Frame, faces: Sequence[TrackedFace]) -> None:
        """Draws a frame, the next one of the film."""
        pixels = self._canvas.drawn(frame, faces, self._label)
        with _written(self._name):
            self._writer.write(pixels, frame.time)
        self._frame = next(self._frames, None)


def _checked(name: str, source: str) -> Path:
    suffix = Path(name).suffix.lower()
    if suffix not in CONTAINERS:
        raise OutputRefusedError(f"the output {name!r} must end in {', '.join(CONTAINERS)}")
    place = check_place(name)
    if place.exists() and Path(source).exists() and place.samefile(source):
        raise OutputRefusedError(f"the output {name!r} is the film itself: choose another")
    return place


@contextmanager
def _written(name: str) -> Iterator[None]:
    """What fails within is the output's fault."""
    import av

    try:
        yield
    except DecodeError:
        raise
    except (av.FFmpegError, OSError) as error:
        reason = error.strerror or one_line(error)
        raise OutputError(f"the output {name!r} cannot be written: {reason}") from error
