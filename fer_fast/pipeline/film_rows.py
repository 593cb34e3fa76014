"""Films come in, one after the other; the rows of each section go out when it is done, then what became of the film."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, wait
from typing import TYPE_CHECKING

from fer_fast.machine.begun import begun
from fer_fast.machine.stall import Pulse, wait_for
from fer_fast.table.film_places import FilmPlaces
from fer_fast.types import FilmPart, Item, ItemRows

if TYPE_CHECKING:
    from fer_fast.pipeline.faces import FaceClassifier
    from fer_fast.pipeline.film_sections import Section
    from fer_fast.pipeline.films import FilmOptions
    from fer_fast.pipeline.summary import Stages


class FilmRows:
    """What becomes of films, a section a step; an iterator of the thread that makes it.

    A film is read on a thread of its own, a section ahead: who waits here notices when nothing comes any more, and a
    Ctrl-C.

    Args:
        films: taken one by one.
        places: gives the parts of each their places.
        runner: finds and classifies faces.
        options: how films are looked at.
        stages: gets the time that the stages take.
        stall_timeout, pulse: see `ItemBatches`.

    Raises:
        FerFastError: the model or the finder fails; while iterating.
        StalledError: nothing has come for too long; while iterating.
    """

    def __init__(
        self,
        films: Iterable[Item],
        places: Callable[[Item], FilmPlaces],
        runner: FaceClassifier,
        options: FilmOptions,
        stages: Stages,
        stall_timeout: float,
        pulse: Pulse,
    ) -> None:
        self._films, self._places, self._runner, self._options = iter(films), places, runner, options
        self._stages, self._stall_timeout, self._pulse = stages, stall_timeout, pulse
        self._film: _Film | None = None

    def __iter__(self) -> Iterator[list[ItemRows]]:
        return self

    def __next__(self) -> list[ItemRows]:
        while True:
            if self._film is None:
                self._begin(next(self._films))
            elif (section := self._film.next(self._stall_timeout, self._pulse)) is not None:
                return self._placed(self._film, section)
            else:
                self._film = None

    def finished(self) -> list[ItemRows]:
        """After an interrupt: a section that is done and was not given yet."""
        section = self._film.finished() if self._film is not None else None
        return self._placed(self._film, section) if self._film is not None and section is not None else []

    def close(self, seconds: float | None = None) -> None:
        """Reads no further, and waits for what is under way: as long as it takes, or for so many seconds."""
        if self._film is not None:
            self._film.close(seconds)

    def _begin(self, item: Item) -> None:
        places = self._places(item)
        if not places.is_done:
            self._film = _Film(places, self._runner, self._options, self._stages, self._pulse)

    def _placed(self, film: _Film, section: Section) -> list[ItemRows]:
        """A section's rows, or none if they are in the table."""
        places = film.places
        item = places.end(section.number) if section.is_end else places.section(section.number)
        if item is None:
            return []
        part = FilmPart(section.frames, section.time, section.state, section.is_end)
        return [ItemRows(item, section.rows, section.stamp, section.again, part)]


class _Film:
    """A film that is read on a thread of its own."""

    def __init__(
        self, places: FilmPlaces, runner: FaceClassifier, options: FilmOptions, stages: Stages, pulse: Pulse
    ) -> None:
        from fer_fast.pipeline.film_sections import FilmSections  # what reads films: only for who has some

        self.places = places
        self._stop = threading.Event()
        self._sections = FilmSections(places, runner, options, stages, pulse).read(self._stop)
        self._ahead = self._begun()

    def next(self, seconds: float, pulse: Pulse) -> Section | None:
        """The next section; None behind the last."""
        section = wait_for(self._ahead, seconds, pulse, "the next frame")
        if section is not None:
            self._ahead = self._begun()
        return section

    def finished(self) -> Section | None:
        """What `next` would give at once."""
        ahead = self._ahead
        return ahead.result() if ahead.done() and ahead.exception() is None else None

    def close(self, seconds: float | None) -> None:
        """See `FilmRows.close`."""
        self._stop.set()
        if wait([self._ahead], seconds).done:
            self._sections.close()

    def _begun(self) -> Future[Section | None]:
        return begun(lambda: next(self._sections, None), "fer-fast-film")
