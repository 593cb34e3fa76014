"""The items of a run become rows, in order: images in batches ahead of the caller, films a section a step."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import groupby
from typing import TYPE_CHECKING, Protocol, cast

from fer_fast.inputs.films import is_film
from fer_fast.machine.stall import DEFAULT_STALL_TIMEOUT, Pulse
from fer_fast.pipeline.batches import BatchClassifier, ItemBatches
from fer_fast.pipeline.film_rows import FilmRows
from fer_fast.pipeline.summary import Stages
from fer_fast.table.film_places import FilmPlaces
from fer_fast.types import Item, ItemRows

if TYPE_CHECKING:
    from fer_fast.pipeline.faces import FaceClassifier
    from fer_fast.pipeline.films import FilmOptions


class Places(Protocol):
    """What this room asks of a table."""

    def place(self, item: Item) -> bool:
        """See `FileTable.place`."""

    def film(self, item: Item) -> FilmPlaces:
        """See `FileTable.film`."""


class Anywhere:
    """For rows that go into no table; `Places`."""

    def place(self, item: Item) -> bool:
        """Every item is to be classified."""
        return True

    def film(self, item: Item) -> FilmPlaces:
        """All of a film is."""
        return FilmPlaces(item)


class Results:
    """What becomes of items, some a step with all of their rows; an iterator of the thread that makes it.

    Args:
        items: taken lazily.
        classifier: what classifies; see `ItemBatches`. Where there are films it finds faces, too.
        places: gives each item its place in the table, and says which are to be done.
        films: how films are looked at; None where there are none: what is called so is an image then.
        stages, stall_timeout, pulse: see `ItemBatches`.

    Raises:
        FerFastError: the decoder, the finder or the model fails; while iterating.
        StalledError: see `stall_timeout`; while iterating.
    """

    def __init__(
        self,
        items: Iterable[Item],
        classifier: BatchClassifier,
        places: Places,
        films: FilmOptions | None,
        stages: Stages,
        stall_timeout: float = DEFAULT_STALL_TIMEOUT,
        pulse: Pulse | None = None,
    ) -> None:
        self._classifier, self._places, self._films, self._stages = classifier, places, films, stages
        self._stall_timeout, self._pulse = stall_timeout, pulse or Pulse()
        self._groups = groupby(self._wanted(items), self._is_film)
        self._now: ItemBatches | FilmRows | None = None

    def __iter__(self) -> Iterator[list[ItemRows]]:
        return self

    def __next__(self) -> list[ItemRows]:
        while True:
            if self._now is None:
                self._now = self._begun(*next(self._groups))
            found = next(self._now, None)
            if found is not None:
                return found
            self._now.close()
            self._now = None

    def finished(self) -> list[ItemRows]:
        """After an interrupt: the items next in order whose rows have come."""
        return self._now.finished() if self._now is not None else []

    def close(self, seconds: float | None = None) -> None:
        """Begins nothing more, and waits for what is under way: as long as it takes, or for so many seconds."""
        if self._now is not None:
            self._now.close(seconds)

    def _wanted(self, items: Iterable[Item]) -> Iterator[Item]:
        for item in items:
            self._pulse.beat()
            if self._is_film(item) or self._places.place(item):
                yield item

    def _is_film(self, item: Item) -> bool:
        return self._films is not None and is_film(item.path)

    def _begun(self, are_films: bool, items: Iterator[Item]) -> ItemBatches | FilmRows:
        how = (self._stages, self._stall_timeout, self._pulse)
        if not are_films:
            return ItemBatches(items, self._classifier, *how)
        assert self._films is not None
        return FilmRows(items, self._places.film, cast("FaceClassifier", self._classifier), self._films, *how)
