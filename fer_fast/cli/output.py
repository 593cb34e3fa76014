"""The files that a command writes beside what it prints: refused before the work if they cannot be, whole after it."""

from __future__ import annotations

from collections.abc import Mapping

from fer_fast.machine.disk import check_place, write_whole
from fer_fast.types import OutputError


def check_outputs(names: Mapping[str, str | None]) -> None:
    """Refuses files that could not be written, or would be one.

    Args:
        names: option to the file that it names, or None where it was not given.

    Raises:
        OutputRefusedError: a name is a folder or a device, or lies in no folder that can be written.
        ValueError: two options name one file.
    """
    taken: dict[str, tuple[str, str]] = {}
    for option, name in names.items():
        if name is None:
            continue
        place = str(check_place(name))
        if place in taken:
            other, first = taken[place]
            raise ValueError(f"{other} and {option} must be two files, not {first!r} both")
        taken[place] = (option, name)


def write_output(name: str, text: str) -> None:
    """Writes a file, whole or not at all.

    Raises:
        OutputError: the disk is full or fails.
    """
    try:
        write_whole(check_place(name), text.encode())
    except OSError as error:
        raise OutputError(f"the output {name!r} cannot be written: {error.strerror or error}") from error
