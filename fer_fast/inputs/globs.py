"""Patterns as a shell's: *, ?, [] and ** for any depth; found folder by folder, with one folder's names in memory."""

# ruff: noqa: PTH112, PTH114
from __future__ import annotations

import errno
import fnmatch
import glob
import os
from collections.abc import Callable, Iterator, Sequence

from fer_fast.machine.urls import is_url

Unlistable = Callable[[str, OSError], None]


def matches(pattern: str, unlistable: Unlistable) -> Iterator[str]:
    """What a glob matches, sorted folder by folder.

    Args:
        pattern: a glob.
        unlistable: is told of folders that cannot be read, and why.
    """
    head, parts = _split(pattern)
    # Not by recursion: folders may be nested deeper than Python's calls.
    pending = [_descend(head, parts, unlistable)]
    while pending:
        found = next(pending[-1], None)
        if found is None:
            pending.pop()
        elif isinstance(found, str):
            yield found
        else:
            pending.append(_descend(*found, unlistable))


def cut(pattern: str) -> tuple[str, str]:
    """What all paths that a glob matches begin with, folders up to the first with a magic character; and the rest."""
    head, parts = _split(pattern)
    fixed = next((number for number, part in enumerate(parts) if glob.has_magic(part)), len(parts) - 1)
    return head + "".join(part + "/" for part in parts[:fixed]), "/".join(parts[fixed:])


def reaches(pattern: str, folder: str) -> bool:
    """Whether a glob matches a folder, one that holds it, or a file in it that is called as it likes."""
    fixed, rest = cut(pattern)
    inside = os.path.relpath(os.path.realpath(folder), os.path.realpath(fixed or "."))
    names: list[str | None] = [] if inside == "." else [*inside.split("/")]
    return ".." not in names and _fit([*names, None], rest.split("/"))


def _fit(names: Sequence[str | None], parts: Sequence[str]) -> bool:
    """Whether the first of the names fit a glob's parts; None is a name that fits any."""
    if not parts:
        return True
    if parts[0] == "**":
        return any(_fit(names[start:], parts[1:]) for start in range(len(names) + 1))
    if not names:
        return False
    name, part = names[0], parts[0]
    fits = name is None or (fnmatch.fnmatch(name, part) and (part.startswith(".") or not name.startswith(".")))
    return fits and _fit(names[1:], parts[1:])


def _split(pattern: str) -> tuple[str, list[str]]:
    head = pattern.partition("://")[0] + "://" if is_url(pattern) else "/" if pattern.startswith("/") else ""
    return head, [part for part in pattern[len(head) :].split("/") if part]


def _descend(prefix: str, parts: list[str], unlistable: Unlistable) -> Iterator[str | tuple[str, list[str]]]:
    """Paths that match, and folders to go on in with what is left of the pattern."""
    if not parts:
        yield prefix
        return
    part, rest = parts[0], parts[1:]
    if part == "**":
        if rest:
            yield prefix, rest
        for name in _names(prefix, "*", unlistable, only_folders=bool(rest)):
            if os.path.isdir(prefix + name) and not os.path.islink(prefix + name):
                yield f"{prefix}{name}/", parts
            elif not rest:
                yield prefix + name
        return
    names = _names(prefix, part, unlistable) if glob.has_magic(part) else [part]
    for name in names:
        if rest and os.path.isdir(prefix + name):
            yield f"{prefix}{name}/", rest
        elif not rest and os.path.lexists(prefix + name):
            yield prefix + name


def _names(folder: str, pattern: str, unlistable: Unlistable, only_folders: bool = False) -> list[str]:
    try:
        with os.scandir(folder or ".") as entries:
            names = [entry.name for entry in entries if not only_folders or _is_folder(entry)]
    except OSError as error:
        if error.errno not in (errno.ENOENT, errno.ENOTDIR):  # gone meanwhile
            unlistable(folder or ".", error)
        return []
    return sorted(matched(names, pattern))


def matched(names: list[str], pattern: str) -> list[str]:
    """The names that match one part of a glob; as in a shell, * does not match a leading dot."""
    hidden = pattern.startswith(".")
    return [name for name in fnmatch.filter(names, pattern) if hidden or not name.startswith(".")]


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link that leads to itself
        return False
