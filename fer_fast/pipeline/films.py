"""What a caller wishes of the films in a run comes in; whether there are any, and how they are looked at, goes out."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fer_fast.inputs.look import films_among
from fer_fast.machine.extras import missing_modules, need, pip_line
from fer_fast.machine.stall import Pulse
from fer_fast.table.workplace import earlier_run
from fer_fast.types import Column, counted

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class FilmOptions:
    """How films are looked at; see `classify_folder`."""

    every: str | None = None
    start: float | None = None
    end: float | None = None
    smooth: float = 0.0
    empty_frames: bool = False
    find_every: int = 1

    def check(self) -> None:
        """Refuses what none can be.

        Raises:
            ValueError, TypeError: names the option, the rule and what came.
        """
        from fer_fast.decode.limits import number
        from fer_fast.films.stretch import check_find_every, stretch_of

        stretch_of(self.start, self.end, self.every)
        check_find_every(self.find_every)
        number("smooth", self.smooth)
        if not isinstance(self.empty_frames, bool):
            raise TypeError(f"empty_frames must be True or False, not {self.empty_frames!r}")

    @property
    def given(self) -> list[str]:
        """Names of those that are not as they are by default."""
        usual = FilmOptions()
        return [name for name in usual.__dict__ if getattr(self, name) != getattr(usual, name)]

    @property
    def settings(self) -> dict[str, Any]:
        """What rows depend on, by the names that the command has for it."""
        start, end = (None if each is None else float(each) for each in (self.start, self.end))
        part = {"films": True, "every": self.every, "from": start, "to": end}
        rows = {"smooth": float(self.smooth), "empty_frames": self.empty_frames}
        return {**part, **rows, "find_every": int(self.find_every)}

    def columns(self, classes: tuple[str, ...]) -> tuple[Column, ...]:
        """Those that a table has besides."""
        smoothed = [Column(f"smooth_{name}", "number") for name in classes] if self.smooth else []
        return Column("frame", "integer"), Column("time", "number"), Column("track", "integer"), *smoothed


def with_films(
    inputs: Sequence[str],
    faces: str | None,
    options: FilmOptions,
    wished: bool | None = None,
    out: Path | None = None,
    pulse: Pulse | None = None,
    called: Mapping[str, str] | None = None,
) -> bool:
    """Whether a run has films, by the names of its inputs: it has the columns and the faces of them then.

    Args:
        inputs: as `ImageFiles` takes them.
        faces: see `classify_folder`.
        options: of films; where a list can be read only once they say that it has some.
        wished: what the caller says; None looks.
        out: the table that is to be gone on with: what it has decides, whatever the inputs are now.
        pulse: see `films_among`.
        called: what messages call the options; None as they are called here.

    Raises:
        ValueError: there are films and no faces are to be found, or there are options and no film.
        MissingExtraError: a film is named and PyAV is not installed. Those in folders are then left out, and told.
    """
    earlier = earlier_run(out) if out is not None else None
    if wished is None and earlier is not None:
        wished = bool(earlier.settings.get("films"))
    there = _is_there(inputs, faces, options, pulse) if wished is None else wished
    if options.given and not there:
        name = options.given[0]
        raise ValueError(f"{(called or {}).get(name, name)} is for films, and there is none among the inputs")
    if there:
        need("a film", "video")
        if faces == "none":
            raise ValueError("faces are found in films: faces must be all or largest, not 'none'")
    return there


def _is_there(inputs: Sequence[str], faces: str | None, options: FilmOptions, pulse: Pulse | None) -> bool:
    films = films_among(inputs, pulse)
    if films.named is not None:
        need(f"the film {films.named!r}", "video")
        if faces == "none":
            told = f"faces are found in films such as {films.named!r}"
            raise ValueError(f"{told}: faces must be all or largest, not 'none'")
        return True
    many = counted(films.found, "film in the folders is", "films in the folders are")
    if films.found and missing_modules("video"):
        _log.warning("%s left out, for want of %s", many, pip_line("video"))
        return False
    if films.found and faces == "none":
        _log.warning("%s left out: they need faces 'all' or 'largest'", many)
        return False
    return films.found > 0 or (bool(options.given) and not films.is_certain)
