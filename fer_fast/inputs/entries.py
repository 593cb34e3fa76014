"""One of the words that name inputs comes in; it is refused, or goes out as it is called from anywhere."""

# ruff: noqa: PTH110, PTH112, PTH118
from __future__ import annotations

import glob
import os

from fer_fast.inputs.globs import cut, matches
from fer_fast.inputs.keys import resolved
from fer_fast.inputs.stored import check_url
from fer_fast.machine.disk import why_absent
from fer_fast.machine.urls import is_url


def absolute(entry: str) -> str:
    """An input as it is called from anywhere, links resolved: of a glob its fixed part; a list stays one."""
    if entry == "-" or is_url(entry):
        return entry
    if entry.startswith("@"):
        return "@" + os.path.realpath(entry[1:])
    if os.path.lexists(entry):
        return os.path.realpath(entry)
    fixed, rest = cut(entry)
    return os.path.join(resolved(fixed), rest)


def check(entry: str) -> None:
    """Refuses an input that means nothing.

    Raises:
        ValueError: it does not exist, matches nothing or cannot be read.
        MissingExtraError: what reads it is not installed.
    """
    if is_url(entry):
        check_url(entry)
    elif entry.startswith("@"):
        if not os.path.exists(entry[1:]) or os.path.isdir(entry[1:]):
            raise ValueError(f"the list {entry[1:]!r} is not a file")
        if not os.access(entry[1:], os.R_OK):
            raise ValueError(f"the list {entry[1:]!r} cannot be read")
    elif entry != "-" and not os.path.lexists(entry):
        if not glob.has_magic(entry):
            raise ValueError(f"{entry!r} {why_absent(entry)}")
        hidden: list[str] = []
        if next(matches(entry, lambda folder, error: hidden.append(f"{folder!r}: {error.strerror}")), None) is None:
            raise ValueError(f"nothing matches {entry!r}" + (f"; not read was {hidden[0]}" if hidden else ""))
