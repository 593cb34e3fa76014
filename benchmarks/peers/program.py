"""What the Python peers share: paths come in on standard input, one JSON object with scores and seconds goes out.

Only the standard library: it runs in any peer's interpreter. `face_api.mjs` speaks the same way.
"""

from __future__ import annotations

import contextlib
import importlib.metadata
import json
import os
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

#: Before any import of a peer: this module is each program's first.
STARTED = time.perf_counter()
Face = tuple[float, float, float, float, str]


class CannotRunError(Exception):
    """Why a peer that is installed cannot run, in one line."""


@dataclass(frozen=True)
class PhotoProgram:
    """A peer that finds faces in photos, loaded and ready.

    Attributes:
        how, packages, warm_up: as `Program` has them.
        classify: paths to the faces of each photo: x, y, width and height in its pixels, and a label.
    """

    how: str
    packages: tuple[str, ...]
    classify: Callable[[list[str]], Iterable[Iterable[Face]]]
    warm_up: int = 5


@dataclass(frozen=True)
class Program:
    """A peer, loaded and ready.

    Attributes:
        how: batch size, preprocessing and engine, in one line.
        packages: names of the packages whose versions count, where they are installed.
        classes: the FERPlus emotions that it knows, in the order of its scores.
        classify: paths to one row of scores an image; it reads and decodes the files itself.
        warm_up: images before the clock starts: first calls trace graphs and fill pools.
    """

    how: str
    packages: tuple[str, ...]
    classes: Sequence[str]
    classify: Callable[[list[str]], Iterable[Iterable[float]]]
    warm_up: int = 128


def batches(paths: list[str], size: int) -> Iterator[list[str]]:
    """The paths, `size` at a time."""
    return (paths[start : start + size] for start in range(0, len(paths), size))


def need_weights(folder: Path, name: str) -> None:
    """Looks for weights that a peer would otherwise fetch from the network.

    Raises:
        CannotRunError: if they are not in `folder`.
    """
    if not (folder / name).is_file():
        where = str(folder).replace(str(Path.home()), "~", 1)
        raise CannotRunError(f"weights {name} are not there: {where} lacks them, and it would fetch them when run")


def main(load: Callable[[], Program | PhotoProgram]) -> None:
    """Loads a peer, classifies the paths on standard input and writes the answer to standard output."""
    answer = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # peers and their libraries print: only the answer goes to standard output
    paths = sys.stdin.read().splitlines()
    try:
        program = load()
    except ImportError as error:
        json.dump({"cannot_run": f"not installed for its interpreter: {error}"}, answer)
    except CannotRunError as error:
        json.dump({"cannot_run": str(error)}, answer)
    else:
        json.dump(timed(program, paths, time.perf_counter() - STARTED), answer)
    answer.close()


def timed(program: Program | PhotoProgram, paths: list[str], startup: float) -> dict[str, object]:
    """The answer: warms up, then times reading, decoding and classifying."""
    program.classify(paths[: program.warm_up])
    started = time.perf_counter()
    found = program.classify(paths)
    seconds = time.perf_counter() - started
    answer = {
        "how": program.how,
        "versions": versions(program.packages),
        "seconds": seconds,
        "startup_seconds": startup,
    }
    if isinstance(program, PhotoProgram):
        return answer | {"faces": [[[*map(float, face[:4]), face[4]] for face in faces] for faces in found]}
    return answer | {"classes": list(program.classes), "scores": [[float(score) for score in row] for row in found]}


def versions(packages: Sequence[str]) -> dict[str, str]:
    """Package to version; without those that are not installed, such as tensorflow under its other name."""
    found = {}
    for name in packages:
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            found[name] = importlib.metadata.version(name)
    return found
