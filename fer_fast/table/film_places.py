"""A film comes in; the places of its sections in a table go out, and from where a run that was broken off goes on.

To a table a film is several items: one for each section, and one for its end, which has the film's own key and says
that all of it is there. So a film of hours is kept section by section.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from itertools import count, takewhile
from typing import Any

import numpy as np

from fer_fast.table.kept import Kept, Runs, stamp_of
from fer_fast.types import Item, Stamp


def section_of(film: Item, number: int) -> Item:
    """A section of a film; they are numbered from 0."""
    return replace(film, key=_section_key(film.key, number))


def state_text(film: Item, stamp: Stamp | None, section: int, state: dict[str, Any] | None) -> str:
    """What goes on behind a section of a film, as `FilmPart.state` has it.

    Args:
        film: the film.
        stamp: of its file.
        section: the number of the last that is done.
        state: whatever the next one depends on, for JSON; None where only the film's beginning will do.
    """
    return json.dumps({"film": film.key, "stamp": stamp, "section": section, "state": state})


def drop_unfinished(kept: Kept) -> int:
    """Of films that nobody asked for keeps those alone of which all is there.

    The rows of a part, or of two versions, would look like those of a film: a run was broken off in it, and it is not
    among the inputs any more.

    Returns:
        How many rows are not kept.
    """
    items = kept.unlisted_items()
    sections = {int(each["key"]): each for each in items[items["section"]]}
    halves = dict(sections)
    for end in items[~items["section"]] if sections else ():
        keys = (_section_key(int(end["key"]), number) for number in count())
        its = [sections[key] for key in takewhile(sections.__contains__, keys)]
        if all(each[["size", "modified"]] == end[["size", "modified"]] for each in its):
            for each in its:
                del halves[int(each["key"])]
        else:
            halves[int(end["key"])] = end
    for key in halves:
        kept.drop_key(key)
    return sum(int(each["rows"]) for each in halves.values())


def unlisted_together(kept: Kept) -> Runs:
    """The numbers of items that nobody asked for, each film's sections before its end.

    Runs that were broken off in a film may have made rows of other files between its sections.

    Args:
        kept: of which `drop_unfinished` has left whole films.
    """
    items, numbers = kept.unlisted_items(), kept.unlisted_numbers()
    if not items["section"].any():
        return kept.unlisted()
    of_film = items["section"]
    sections = dict(zip(items["key"][of_film].tolist(), numbers[of_film].tolist(), strict=True))
    together = Runs()
    for place in np.flatnonzero(~of_film).tolist():
        keys = (_section_key(int(items["key"][place]), number) for number in count())
        for key in takewhile(sections.__contains__, keys):
            together.add(sections[key])
        together.add(int(numbers[place]))
    return together


def _section_key(film: int, number: int) -> int:
    place = film.to_bytes(8, "little") + number.to_bytes(8, "little")
    return int.from_bytes(hashlib.blake2b(place, digest_size=8).digest(), "little")


class FilmPlaces:
    """Where the sections of one film stand.

    Args:
        film: the item that the inputs name.
        kept: what an earlier run left.
        add: takes the number of the next item of the table, None of a new one.
        states: of the last sections that were written, the latest first.
        failed_alone: only what failed is done again.

    Attributes:
        is_done: nothing of it is to be done: what it has is in its place.
        next: the number of the first section to be done.
        state: what that goes on from; None where the film is to be read from its beginning.
    """

    def __init__(
        self,
        film: Item,
        kept: Kept | None = None,
        add: Callable[[int | None], None] = lambda number: None,
        states: Sequence[str] = (),
        failed_alone: bool = False,
    ) -> None:
        self.film, self._kept, self._add = film, kept or Kept([]), add
        self.is_done, self.next = False, 0
        self.state: dict[str, Any] | None = None
        known = self._known(0)
        if self._kept.holds(film):
            self._use(known)
            self._add(self._kept.use_film(film))
            self.is_done = True
        elif failed_alone and not self._kept.knows(film):
            self.is_done = True
        else:
            self._begin(known, states)

    def section(self, number: int) -> Item | None:
        """Gives the next section its place; None if its rows are there already."""
        item = section_of(self.film, number)
        if self._kept.holds(item):
            self._use([item])
            return None
        self._drop([item])
        self._add(None)
        return item

    def end(self, sections: int) -> Item:
        """Gives the film's end its place, behind so many sections; of others that were there no row stays."""
        self._drop([*self._known(sections), self.film])
        self._add(None)
        return self.film

    def _begin(self, known: list[Item], states: Sequence[str]) -> None:
        """Keeps what a run that was broken off had done of it; rows of another file are not kept, nor what failed."""
        for text in states:
            about = json.loads(text)
            done = known[: about["section"] + 1]
            is_this = about["film"] == self.film.key and about["stamp"] == list(stamp_of(self.film.path) or ())
            if is_this and about["state"] is None:
                break
            if is_this and len(done) == about["section"] + 1 and all(map(self._kept.holds, done)):
                self._use(done)
                self._drop([*known[len(done) :], self.film])
                self.next, self.state = len(done), about["state"]
                return
        any_known = [*known[:1], self.film]
        self._kept.changed += any(map(self._kept.has_changed, any_known))
        if self._kept.knows(self.film) or not all(map(self._kept.holds, known)):
            self._drop([*known, self.film])

    def _known(self, first: int) -> list[Item]:
        return list(takewhile(self._kept.knows, (section_of(self.film, number) for number in count(first))))

    def _use(self, items: Iterable[Item]) -> None:
        for item in items:
            self._add(self._kept.use(item))

    def _drop(self, items: Iterable[Item]) -> None:
        for item in items:
            self._kept.drop(item)
