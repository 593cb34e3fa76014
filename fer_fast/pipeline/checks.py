"""What a caller wishes of a run comes in; it goes out as the run needs it, or is refused before there is a trace."""

from __future__ import annotations

import logging
import os
import threading
from pathlib import Path
from typing import Any

from fer_fast.decode.limits import number
from fer_fast.inputs import HIDDEN, LINKED, ImageFiles, absolute
from fer_fast.inputs.look import films_among
from fer_fast.table.workplace import earlier_run
from fer_fast.types import OutputRefusedError, counted

_log = logging.getLogger(__name__)


def called_earlier(inputs: list[str], out: Path | None) -> list[str] | None:
    """The inputs as an earlier run of them into the same table called them: its rows do, too."""
    earlier = earlier_run(out) if out is not None else None
    if earlier is None or earlier.inputs != [absolute(entry) for entry in inputs]:
        return None  # another run's inputs are refused when the table is opened
    return earlier.called


def check_cluster(out: Any, classifier: Any, finder: Any, films: bool | None, crops: Any) -> bool:
    """Refuses what cannot be done on a cluster; whether the run has films: it has none.

    Raises:
        ValueError: `out` is a stream, or there are to be films or crops.
        TypeError: a classifier or a finder is open, in this process.
    """
    if not isinstance(out, (str, os.PathLike)):
        raise ValueError("a cluster needs a table in a file: its finished parts are what a lost driver leaves")
    for name, given in (("classifier", classifier), ("finder", finder if hasattr(finder, "find_in") else None)):
        if given is not None:
            raise TypeError(
                f"{name} is open in this process, and workers of a cluster open their own: give its options"
            )
    if films:
        raise ValueError("films are not classified on a cluster: give each machine a shard of them")
    if crops is not None:
        raise ValueError("crops are not to be had of a cluster: leave them out, or give each machine a shard")
    return False


def refuse_films(inputs: list[str]) -> None:
    """Refuses films that are named; those in folders are left out, and told.

    Raises:
        ValueError: one is named; or as `films_among`.
    """
    films = films_among(inputs)
    if films.named is not None:
        told = f"the film {films.named!r} is not classified on a cluster"
        raise ValueError(f"{told}: leave it out, or give each machine a shard of the films")
    if films.found:
        _log.warning("%s left out", counted(films.found, "film in the folders is", "films in the folders are"))


def no_images(files: ImageFiles) -> str:
    """Why there is nothing to do, in a sentence."""
    names = ", ".join(map(repr, files.inputs[:3])) + (", ..." if len(files.inputs) > 3 else "")
    if files.unlistable:
        return f"no image can be found in {names}: {files.unlistable[0]!r} cannot be read"
    hidden, linked = files.skipped[HIDDEN], files.skipped[LINKED]
    others = files.skipped.total() - hidden - linked
    why = [f"{counted(others, 'file there is', 'files there are')} not called as images are"] if others else []
    why += [counted(hidden, "file or folder is hidden", "files and folders are hidden")] if hidden else []
    why += [counted(linked, "is a link or sparse in a tar", "are links or sparse in tars")] if linked else []
    return f"no image in {names}" + (f" ({', '.join(why)})" if why else "")


def refuse_input(inputs: list[str], out: Path, name: str | None) -> None:
    """An input must not be what the table replaces.

    Args:
        inputs: as they were named.
        out: the table's file on this disk.
        name: what the table was called, which for one in a store is its URL.

    Raises:
        OutputRefusedError: one is.
    """
    for entry in inputs:
        named = Path(entry.removeprefix("@"))
        is_file = out.exists() and named.is_file() and out.samefile(named)
        if is_file or entry.removeprefix("@") == name:
            raise OutputRefusedError(f"the output {name or str(out)!r} is the input {entry!r}: choose another")


def patience(seconds: float) -> float:
    """A stall_timeout of a number of 0 or more seconds, 0 for ever: the longest wait that threads know is that, too.

    Raises:
        TypeError, ValueError: as `number`.
    """
    seconds = number("stall_timeout", seconds)
    return seconds if seconds < threading.TIMEOUT_MAX else 0.0
