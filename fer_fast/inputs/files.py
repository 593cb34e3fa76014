"""Folders, files, globs and lists come in; the paths of image files go out, lazily and each of them once."""

# Paths stay str: a Path would change "./face.jpg", and costs a microsecond for each of millions.
# ruff: noqa: PTH100, PTH110, PTH112, PTH113, PTH114, PTH116, PTH118, PTH119, PTH120, PTH123
from __future__ import annotations

import fnmatch
import glob
import hashlib
import logging
import os
import sys
from collections.abc import Iterable, Iterator
from typing import BinaryIO

from fer_fast.inputs.seen import PathSet

#: What a file in a folder must be called to be an input, in any case; a file that is named outright always is one.
IMAGE_SUFFIXES = (
    *(".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".webp", ".bmp", ".dib", ".tif", ".tiff", ".gif"),
    *(".heic", ".heif", ".hif", ".avif"),
)

_BLOCK = 1 << 16
_log = logging.getLogger(__name__)

Directory = tuple[int, int]  # device and inode: what a folder is, however it is reached


class ImageFiles:
    """The image files that inputs name, to be iterated once.

    A folder is searched to the bottom: of each folder first the files, then the folders in it, both sorted by name.
    Links to folders are followed after everything else, except one that leads back to a folder that holds it. Only
    one folder's names are held in memory at a time. A file that several inputs name comes once, where it is named
    first.

    Args:
        inputs: a folder; a file, whatever its suffix; a glob with *, ?, [] and ** for any depth; @LIST, a file of
            paths; or -, such a list on standard input. A list has one path a line, or is separated by NULs.
        quiet: do not log the folders that cannot be read.

    Attributes:
        unlistable: folders that could not be read, so that their files are missing.

    Raises:
        ValueError: an input that does not exist or matches nothing, or no input.
    """

    def __init__(self, inputs: Iterable[str | os.PathLike[str]], quiet: bool = False) -> None:
        self.inputs = [os.fspath(entry) for entry in inputs]
        self.unlistable: list[str] = []
        self._quiet = quiet
        self._walked: set[Directory] = set()
        self._named = PathSet()
        self._parent: tuple[str, Directory | None] = ("", None)
        if not self.inputs:
            raise ValueError("no input: name a folder, a file, a glob or @LIST")
        for entry in self.inputs:
            _check(entry)

    def __iter__(self) -> Iterator[str]:
        links: list[str] = []
        for entry in self.inputs:
            if entry == "-":
                yield from self._each(_listed(sys.stdin.buffer))
            elif entry.startswith("@"):
                with open(entry[1:], "rb") as lines:
                    yield from self._each(_listed(lines))
            elif not os.path.lexists(entry):
                for match in _matches(entry):
                    yield from self._walk(match, links) if os.path.isdir(match) else self._each([match])
            elif os.path.isdir(entry):
                yield from self._walk(entry, links)
            else:
                yield from self._each([entry])
        while links:
            yield from self._walk(links.pop(0), links)

    @property
    def countable(self) -> bool:
        """Whether the inputs can be read twice: a pipe cannot."""
        return all(entry != "-" and (not entry.startswith("@") or os.path.isfile(entry[1:])) for entry in self.inputs)

    def _each(self, paths: Iterable[str]) -> Iterator[str]:
        """Files that were named outright."""
        for path in paths:
            directory = self._directory_of(path)
            walked = directory in self._walked and _has_image_suffix(path)
            if not walked and self._named.add(_key(directory, path)):
                yield path

    def _walk(self, top: str, links: list[str]) -> Iterator[str]:
        pending = [top]
        while pending:
            folder = pending.pop()
            try:
                status = os.stat(folder)
                if (status.st_dev, status.st_ino) in self._walked:
                    continue
                self._walked.add((status.st_dev, status.st_ino))
                files, folders = _list(folder, links)
            except OSError as error:
                self.unlistable.append(folder)
                if not self._quiet:
                    _log.warning("the folder %s is left out: %s", ascii(folder), error.strerror)
                continue
            pending += reversed(folders)
            files.reverse()
            while files:  # from the end, so that a name's memory is free once it is used
                path = os.path.join(folder, files.pop())
                if not self._named or _key((status.st_dev, status.st_ino), path) not in self._named:
                    yield path

    def _directory_of(self, path: str) -> Directory | None:
        parent = os.path.dirname(path)
        if parent != self._parent[0] or self._parent[1] is None:
            try:
                status = os.stat(parent or ".")
                self._parent = (parent, (status.st_dev, status.st_ino))
            except (OSError, ValueError):
                self._parent = (parent, None)
        return self._parent[1]


def _check(entry: str) -> None:
    if entry.startswith("@"):
        if not os.path.exists(entry[1:]) or os.path.isdir(entry[1:]):
            raise ValueError(f"the list {entry[1:]!r} is not a file")
        if not os.access(entry[1:], os.R_OK):
            raise ValueError(f"the list {entry[1:]!r} cannot be read")
    elif entry != "-" and not os.path.lexists(entry):
        if not glob.has_magic(entry):
            raise ValueError(f"{entry!r} does not exist")
        if next(_matches(entry), None) is None:
            raise ValueError(f"nothing matches {entry!r}")


def _list(folder: str, links: list[str]) -> tuple[list[str], list[str]]:
    """The sorted names of the images in a folder, and its folders; adds to `links` those that lead elsewhere."""
    files, folders, linked = [], [], []
    with os.scandir(folder) as entries:
        for entry in entries:
            try:
                is_folder = entry.is_dir()
            except OSError:  # a link that leads to itself
                is_folder = False
            if not is_folder:
                if _has_image_suffix(entry.name):
                    files.append(entry.name)
            elif not entry.is_symlink():
                folders.append(entry.path)
            elif not _holds(entry.path, folder):
                linked.append(entry.path)
    links += sorted(linked)
    return sorted(files), sorted(folders)


def _holds(link: str, folder: str) -> bool:
    """Whether a link leads to the folder that it is in, or to one above it."""
    target, inside = os.path.realpath(link), os.path.realpath(folder)
    return os.path.commonpath([target, inside]) == target


def _has_image_suffix(name: str) -> bool:
    return name.lower().endswith(IMAGE_SUFFIXES)


def _key(directory: Directory | None, path: str) -> int:
    """What tells one file from another, in 8 bytes: its folder and its name, not how the folder is reached."""
    where = repr(directory) if directory else os.path.abspath(path)
    name = os.path.basename(path).encode("utf-8", "surrogatepass")
    digest = hashlib.blake2b(where.encode("utf-8", "surrogatepass") + b"\0" + name, digest_size=8)
    return int.from_bytes(digest.digest(), "little")


def _matches(pattern: str) -> Iterator[str]:
    """What a glob matches, sorted folder by folder, with one folder's names in memory at a time."""
    head = "/" if pattern.startswith("/") else ""
    return _descend(head, [part for part in pattern.split("/") if part])


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


def _listed(stream: BinaryIO) -> Iterator[str]:
    """The paths of a list; the first block decides whether lines or NULs separate them."""
    block = stream.read(_BLOCK)
    if block.startswith(b"\xef\xbb\xbf"):
        block = block[3:]
    separator = b"\0" if b"\0" in block else b"\n"
    rest = b""
    while block:
        *whole, rest = (rest + block).split(separator)
        yield from _names_of(whole, separator)
        block = stream.read(_BLOCK)
    yield from _names_of([rest], separator)


def _names_of(entries: list[bytes], separator: bytes) -> Iterator[str]:
    for entry in entries:
        name = entry.removesuffix(b"\r") if separator == b"\n" else entry
        if name:
            yield os.fsdecode(name)
