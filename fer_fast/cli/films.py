"""Options about films come in, what a run needs to know of them goes out, or a sentence what is wrong."""

from __future__ import annotations

import argparse
import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fer_fast.cli.arguments import positive, seconds

if TYPE_CHECKING:
    from fer_fast.cli.progress import Progress
    from fer_fast.pipeline.films import FilmOptions
    from fer_fast.types import ItemRows

#: How options are called here, by what `classify_folder` calls them.
_OPTIONS = {
    "every": "--every",
    "start": "--from",
    "end": "--to",
    "smooth": "--smooth",
    "empty_frames": "--empty-frames",
    "find_every": "--find-every",
}
_CLOCK = re.compile(r"(?:(\d+):)?([0-5]?\d):([0-5]\d(?:\.\d+)?)", re.ASCII)


def add_film_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the options about films, a group of their own."""
    group = parser.add_argument_group("films")
    add = group.add_argument
    add("--every", metavar="STEP", help="look at one frame each 0.5s, at each 5f, or at keyframes (default: at all)")
    add_part_arguments(group)
    add(
        "--smooth",
        type=seconds,
        default=0.0,
        metavar="S",
        help="also average the probabilities of a track over so many seconds: columns smooth_<class>",
    )
    add(
        "--find-every",
        type=positive,
        default=1,
        metavar="N",
        help="find faces in each Nth frame, and in those between only where somebody came or went (default: 1, in all)",
    )
    add("--empty-frames", action="store_true", help="a row, no_face, for each frame without a face")


def add_part_arguments(parser: argparse._ActionsContainer) -> None:
    """Adds the options that say which part of a film counts."""
    add = parser.add_argument
    add("--from", dest="start", type=moment, metavar="TIME", help="begin there: seconds, or 1:02:03.5")
    add("--to", dest="end", type=moment, metavar="TIME", help="end before that")


def check_part(arguments: argparse.Namespace) -> None:
    """Refuses a part of a film that cannot be.

    Raises:
        ValueError: it ends before it begins.
    """
    start, end = arguments.start or 0.0, arguments.end
    if end is not None and round(1000 * end) <= round(1000 * start):
        raise ValueError(f"--to must be after --from, {start:g} s, not {end:g} s")


def film_options(arguments: argparse.Namespace) -> FilmOptions:
    """How films are to be looked at.

    Raises:
        ValueError: an option cannot be.
    """
    from fer_fast.pipeline.films import FilmOptions

    check_part(arguments)
    options = FilmOptions(**{name: getattr(arguments, name) for name in _OPTIONS})
    options.check()
    return options


def find_films(arguments: argparse.Namespace) -> bool:
    """Whether the run has films, by the names of its inputs; see `with_films`.

    Raises:
        ValueError: options contradict each other or the inputs.
        OutputRefusedError: see `check_out`.
        MissingExtraError: a film is named and cannot be read.
    """
    from fer_fast.pipeline.films import with_films
    from fer_fast.table.workplace import check_out

    keeps = arguments.resume or arguments.retry_failed
    out: Path | None = check_out(arguments.output, keeps) if arguments.output is not None else None
    options = film_options(arguments)
    there = with_films(arguments.inputs, arguments.faces, options, out=out if keeps else None, called=_OPTIONS)
    if there and arguments.draw is not None and out is None:
        raise ValueError("--draw draws films from the finished table: add -o OUT")
    return there


def refuse_film_options(arguments: argparse.Namespace) -> None:
    """Refuses options about films where there are to be none.

    Raises:
        ValueError: names one.
    """
    if given := film_options(arguments).given:
        raise ValueError(f"{_OPTIONS[given[0]]} is for films, which are not classified on a cluster: leave it out")


def given_film_options(arguments: argparse.Namespace) -> dict[str, Any]:
    """What `classify_folder` is to know of films."""
    return {name: getattr(arguments, name) for name in _OPTIONS}


def note_films(progress: Progress, found: Sequence[ItemRows]) -> None:
    """Says of the last film in what a run has made how far it has come."""
    parts = [(each.item.name, each.film) for each in found if each.film is not None]
    if parts:
        name, part = parts[-1]
        minutes, rest = divmod(int(part.time), 60)
        hours, minutes = divmod(minutes, 60)
        progress.note("" if part.is_end else f"{os.path.basename(name)} {hours}:{minutes:02}:{rest:02}")  # noqa: PTH119


def moment(text: str) -> float:
    """Reads a time in a film: seconds, or minutes and hours before them, with colons between."""
    from fer_fast.films.stretch import LATEST

    clock = _CLOCK.fullmatch(text)
    try:
        if clock is None:
            found = seconds(text)
        else:
            hours, minutes, rest = clock.groups()
            found = float(hours or 0) * 3600 + int(minutes) * 60 + float(rest)
        if found > LATEST:
            raise ValueError
        return found
    except (argparse.ArgumentTypeError, ValueError):
        raise argparse.ArgumentTypeError(f"must be seconds, such as 90.5, or a time as 1:02:03, not {text!r}") from None
