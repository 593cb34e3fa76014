"""`fer-fast timeline`: a page of the faces in a film, over time."""

from __future__ import annotations

import argparse
from pathlib import Path

from fer_fast.cli.console import say
from fer_fast.cli.films import add_part_arguments, check_part
from fer_fast.cli.output import check_outputs, write_output
from fer_fast.cli.progress import Progress
from fer_fast.types import DecodeError

_EPILOG = """
TABLE is what fer-fast classify made of films (csv, jsonl or parquet), FILM one of them. The page shows of each track,
the face that keeps its number from frame to frame, the probabilities over time, and what the face looked like. It is
one file that loads nothing; of a long film a point is the mean of some seconds, so that the page stays small.
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds what `fer-fast timeline` takes."""
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.epilog = _EPILOG
    parser.add_argument("table", metavar="TABLE", help="of the faces in films: .csv, .jsonl or .parquet")
    parser.add_argument("film", metavar="FILM", help="one of its films; faces are cut out of it")
    parser.add_argument("-o", "--output", metavar="OUT", help="the page (default: FILM's name_timeline.html)")
    add_part_arguments(parser)
    parser.add_argument("--no-thumbnails", action="store_true", help="no pictures of faces; FILM is not opened")


def run(arguments: argparse.Namespace) -> int:
    """Writes the page; returns 0."""
    film = arguments.film
    name = f"{Path(film).stem}_timeline.html" if arguments.output is None else arguments.output
    if Path(name).suffix.lower() not in (".html", ".htm"):
        raise ValueError(f"the output {name!r} must end in .html")
    check_part(arguments)
    check_outputs({"-o": name})
    from fer_fast.timeline.page import timeline_page

    with Progress(arguments.quiet) as progress:

        def tell(time: float) -> None:
            progress.show(f"cutting faces out, at {time:.1f} s")

        try:
            part = {"start": arguments.start, "end": arguments.end}
            page = timeline_page(arguments.table, film, **part, thumbnails=not arguments.no_thumbnails, tell=tell)
        except DecodeError as error:
            raise DecodeError(error.status, f"{film!r} is {error.status.replace('_', ' ')}: {error}") from error
    write_output(name, page)
    if not arguments.quiet:
        say(f"{name}: {len(page) / 1e6:.1f} MB")
    return 0
