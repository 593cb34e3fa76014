"""Patterns as a shell's: *, ?, [] and ** for any depth; found folder by folder, with one folder's names in memory."""

# ruff: noqa: PTH112, PTH114
from __future__ import annotations

import fnmatch
import glob
import os
from collections.abc import Iterator


def matches(pattern: str) -> Iterator[str]:
    """What a glob matches, sorted folder by folder."""
    head = "/" if pattern.startswith("/") else ""
    return _descend(head, [part for part in pattern.split("/") if part])


def fixed_part(pattern: str) -> str:
    """The folders that a glob begins with, up to the first with a magic character: empty, or ends in a slash."""
    fixed = ""
    for part in pattern.split("/")[:-1]:
        if glob.has_magic(part):
            break
        fixed += part + "/"
    return fixed


def _descend(prefix: str, parts: list[str]) -> Iterator[str]:
    if not parts:
        yield prefix
        return
    part, rest = parts[0], parts[1:]
    if part == "**":
        if rest:
            yield from _descend(prefix, rest)
        for name in _names(prefix, only_folders=bool(rest)):
            if os.path.isdir(prefix + name) and not os.path.islink(prefix + name):
                yield from _descend(f"{prefix}{name}/", parts)
            elif not rest:
                yield prefix + name
        return
    names = _names(prefix, part) if glob.has_magic(part) else [part]
    for name in names:
        if rest and os.path.isdir(prefix + name):
            yield from _descend(f"{prefix}{name}/", rest)
        elif not rest and os.path.lexists(prefix + name):
            yield prefix + name


def _names(folder: str, pattern: str = "*", only_folders: bool = False) -> list[str]:
    try:
        with os.scandir(folder or ".") as entries:
            names = [entry.name for entry in entries if not only_folders or entry.is_dir()]
    except OSError:
        return []
    hidden = pattern.startswith(".")  # as in a shell, * does not match a leading dot
    return sorted(name for name in fnmatch.filter(names, pattern) if hidden or not name.startswith("."))
