"""URLs come in; whether they are files, folders or globs, and what they mean, go out."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from glob import has_magic

from fer_fast.inputs.globs import cut, matched
from fer_fast.machine.urls import is_web
from fer_fast.remote import stores
from fer_fast.remote.faults import MissingError
from fer_fast.remote.stores import Entry
from fer_fast.types import DecodeError, Status

#: Is told of folders that cannot be read, and why.
Unlistable = Callable[[str, DecodeError], None]


def check_url(url: str) -> None:
    """Refuses an input before the run begins: of the web by its form alone, a row tells what became of it.

    Raises:
        ValueError: there is nothing, or it cannot be known.
        MissingExtraError: what reads such URLs is not installed.
    """
    stores.store_of(url)
    if is_web(url):
        if url.endswith("/"):
            raise ValueError(f"{url!r} is no file, and the web has no folders: name files, or a list of them as @LIST")
        return
    hidden: list[str] = []
    found = kind_of(url)
    if found is None and next(matches(url, lambda folder, error: hidden.append(f"{folder!r}: {error}")), None) is None:
        raise ValueError(f"nothing matches {url!r}" + (f"; not read was {hidden[0]}" if hidden else ""))


def kind_of(url: str) -> Entry | None:
    """What is at a URL; None where it is a glob.

    Raises:
        ValueError: nothing, and it is none; or it cannot be known.
    """
    if is_web(url):
        return Entry(url, False, None)
    try:
        return stores.look(url)
    except DecodeError as error:
        if error.status is Status.UNREADABLE and has_magic(url):
            return None
        what = "does not exist" if isinstance(error, MissingError) else f"cannot be read: {error}"
        raise ValueError(f"{url!r} {what}") from error


def matches(pattern: str, unlistable: Unlistable) -> Iterator[tuple[str, Entry]]:
    """What a glob matches, as `globs.matches` does: sorted folder by folder, and where each is."""
    head, rest = cut(pattern)
    yield from _descend(head, rest.split("/"), unlistable)


def _descend(prefix: str, parts: list[str], unlistable: Unlistable) -> Iterator[tuple[str, Entry]]:
    part, rest = parts[0], parts[1:]
    if part == "**" and rest:
        yield from _descend(prefix, rest, unlistable)
    for entry in _entries(prefix, "*" if part == "**" else part, unlistable):
        if part == "**" and entry.is_folder:
            yield from _descend(f"{prefix}{entry.name}/", parts, unlistable)
        elif not rest:
            yield prefix + entry.name, entry
        elif part != "**" and entry.is_folder:
            yield from _descend(f"{prefix}{entry.name}/", rest, unlistable)


def _entries(folder: str, pattern: str, unlistable: Unlistable) -> list[Entry]:
    try:
        found = stores.listing(folder)
    except DecodeError as error:
        if not isinstance(error, MissingError):  # gone meanwhile, or never there
            unlistable(folder, error)
        return []
    names = {*matched([entry.name for entry in found], pattern)}
    return sorted(entry for entry in found if entry.name in names)
