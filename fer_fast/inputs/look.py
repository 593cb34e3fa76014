"""What people name comes in; whether films are among it goes out, by names alone and before anything is opened."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from fer_fast.inputs.files import ImageFiles
from fer_fast.inputs.films import FILM_SUFFIXES, is_film
from fer_fast.inputs.naming import Naming
from fer_fast.machine.stall import Pulse
from fer_fast.machine.urls import is_url
from fer_fast.types import Item


@dataclass(frozen=True)
class Films:
    """The films among some inputs.

    Attributes:
        named: one that is named outright, by a glob or in a list; None where there is none.
        found: how many others the folders hold.
        is_certain: whether nothing else can name any: of a list that cannot be read twice only the beginning is known.
    """

    named: str | None = None
    found: int = 0
    is_certain: bool = True

    def __bool__(self) -> bool:
        return self.named is not None or self.found > 0


def films_among(inputs: Iterable[str | os.PathLike[str]], pulse: Pulse | None = None) -> Films:
    """Looks for films; of a list on standard input at the first path, of one in another pipe at nothing.

    Args:
        inputs: see `ImageFiles`.
        pulse: is told while a list is waited for.

    Raises:
        ValueError: see `ImageFiles`; or a list is none.
    """
    named = [os.fspath(entry) for entry in inputs if not is_url(os.fspath(entry))]  # no film is read from there
    twice = [entry for entry in named if not _passes(entry)]
    first = _first_listed(pulse or Pulse()) if "-" in named else None
    first = first if first is not None and is_film(first) else None
    if not twice:
        return Films(first, 0, is_certain=not named)
    files = _FilmFiles(twice, quiet=True, pulse=pulse)
    found = sum(1 for item in files.items() if is_film(item.path)) - files.outright
    return Films(files.named or first, found, len(twice) == len(named))


class _FilmFiles(ImageFiles):
    """Those called as films are, and all that are named outright."""

    suffixes = FILM_SUFFIXES
    opens_tars = False  # no film is read of one
    named: str | None = None
    outright = 0

    def _each(self, paths: Iterable[str], naming: Naming) -> Iterator[Item]:
        for item in super()._each(paths, naming):
            if is_film(item.path):
                self.named = self.named or item.path
                self.outright += 1
            yield item


def _passes(entry: str) -> bool:
    """Whether an input is a list that can be read once."""
    return entry == "-" or (entry.startswith("@") and not os.path.isfile(entry[1:]))  # noqa: PTH113 (any str)


def _first_listed(pulse: Pulse) -> str | None:
    """The first path of the list on standard input, which stays to be read; None if that cannot be told."""
    peek = getattr(getattr(sys.stdin, "buffer", None), "peek", None)
    if peek is None:
        return None
    with pulse.outside():
        block: bytes = peek(1)
    separator = b"\0" if b"\0" in block else b"\n"
    return os.fsdecode(block.removeprefix(b"\xef\xbb\xbf").split(separator)[0].removesuffix(b"\r"))
