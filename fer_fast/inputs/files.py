"""Folders, files, globs and lists become the files that they mean, found while the first of them are classified."""

# Paths stay str: a Path would change "./face.jpg", and costs a microsecond for each of millions.
# ruff: noqa: PTH110, PTH112, PTH113, PTH116, PTH118, PTH122, PTH123
from __future__ import annotations

import glob
import hashlib
import logging
import os
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence

from fer_fast.inputs.globs import cut, matches
from fer_fast.inputs.lists import listed
from fer_fast.inputs.seen import KeySet
from fer_fast.machine.stall import Pulse
from fer_fast.types import Item

#: What a file in a folder must be called to be an input, in any case; a file that is named outright always is one.
IMAGE_SUFFIXES = (
    *(".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".webp", ".bmp", ".dib", ".tif", ".tiff", ".gif"),
    *(".heic", ".heif", ".hif", ".avif"),
)

_log = logging.getLogger(__name__)

#: What `ImageFiles.skipped` calls suffixes after the first so many: a folder may hold part.000001, part.000002 ...
OTHERS = "others"
_MOST_SUFFIXES = 50
#: What it calls what is hidden: folders, and files that are called as images are.
HIDDEN = "hidden"

Directory = tuple[int, int | str]  # what a folder is, however it is reached


class ImageFiles:
    """The image files that inputs name, to be iterated once.

    A folder is searched to the bottom: of each folder first the files, then the folders in it, both sorted by name; but
    not what is hidden in it, see `is_hidden`.
    Links to folders are followed after everything else, except one that leads back to a folder that holds it. Only
    one folder's names are held in memory at a time. A file that several inputs name comes once, where it is named
    first; that takes 8 bytes a file, but where folders alone are named, which takes none.

    Args:
        inputs: a folder; a file, whatever its suffix; a glob with *, ?, [] and ** for any depth; @LIST, a file of
            paths; or -, such a list on standard input. A list has one path a line, or is separated by NULs.
        called: what `Item.name` begins with instead of each input; None leaves them as they are.
        quiet: do not log the folders that cannot be read.
        pulse: is told while a list is waited for.

    Attributes:
        unlistable: folders that could not be read, so that their files are missing.
        skipped: files in folders that are not called as images are, by their suffix in lower case ("" has none,
            `OTHERS` are those after the first fifty suffixes); and under `HIDDEN` what is hidden.

    Raises:
        ValueError: an input that does not exist or matches nothing, or no input.
    """

    def __init__(
        self,
        inputs: Iterable[str | os.PathLike[str]],
        called: Sequence[str] | None = None,
        quiet: bool = False,
        pulse: Pulse | None = None,
    ) -> None:
        self.inputs = [os.fspath(entry) for entry in inputs]
        self.called = self.inputs if called is None else list(called)
        self.unlistable: list[str] = []
        self.skipped: Counter[str] = Counter()
        self._quiet = quiet
        self._pulse = pulse or Pulse()
        self._walked: set[Directory] = set()
        self._named = KeySet()
        self._key = _Keys()
        if not self.inputs:
            raise ValueError("no input: name a folder, a file, a glob or @LIST")
        for entry in self.inputs:
            _check(entry)

    def __iter__(self) -> Iterator[str]:
        return (item.path for item in self.items())

    def items(self) -> Iterator[Item]:
        """The files with the names that a table gives them and the keys by which a run knows them again."""
        links: list[tuple[str, Callable[[str], str]]] = []
        last_named = max((n for n, entry in enumerate(self.inputs) if not os.path.isdir(entry)), default=-1)
        for number, (entry, called) in enumerate(zip(self.inputs, self.called, strict=True)):
            # What a folder holds need be known only where files are named after it.
            self._remembering = number < last_named
            if entry == "-":
                if sys.stdin is None:
                    raise ValueError("standard input is closed: there is no list to read")
                yield from self._each(listed(sys.stdin.buffer, "-", self._pulse), _as_it_is)
            elif entry.startswith("@"):
                with open(entry[1:], "rb") as lines:
                    yield from self._each(listed(lines, entry, self._pulse), _as_it_is)
            elif os.path.isdir(entry):
                yield from self._walk(entry, links, _renaming(entry, called))
            elif os.path.lexists(entry):
                yield from self._each([entry], _renaming(entry, called))
            else:
                self._remembering = True  # a glob may match a folder, and then what is in it
                naming = _renaming(cut(entry)[0], cut(called)[0])
                for match in matches(entry, self._left_out):
                    walk = os.path.isdir(match)
                    yield from self._walk(match, links, naming) if walk else self._each([match], naming)
        self._remembering = False
        while links:
            link, naming = links.pop(0)
            yield from self._walk(link, links, naming)

    @property
    def countable(self) -> bool:
        """Whether the inputs can be read twice: a pipe cannot."""
        return all(entry != "-" and (not entry.startswith("@") or os.path.isfile(entry[1:])) for entry in self.inputs)

    def leave_out(self, folder: str | os.PathLike[str]) -> None:
        """Does not search a folder, if it is among the inputs."""
        self._walked.add(_directory(os.fspath(folder)))

    def _each(self, paths: Iterable[str], naming: Callable[[str], str]) -> Iterator[Item]:
        """Files that were named outright."""
        for path in paths:
            key = self._key(path)
            if self._named.add(key):
                yield Item(path, naming(path), key)

    def _walk(
        self, top: str, links: list[tuple[str, Callable[[str], str]]], naming: Callable[[str], str]
    ) -> Iterator[Item]:
        pending = [top]
        while pending:
            folder = pending.pop()
            try:
                directory = _directory(folder)
                if directory in self._walked:
                    continue
                files, folders, linked = self._list(folder)
                self._walked.add(directory)
            except OSError as error:
                self._left_out(folder, error)
                continue
            pending += reversed(folders)
            links += ((link, naming) for link in linked)
            files.reverse()
            while files:  # from the end, so that a name's memory is free once it is used
                path = os.path.join(folder, files.pop())
                key = self._key(path)
                if self._named.add(key) if self._remembering else key not in self._named:
                    yield Item(path, naming(path), key)

    def _left_out(self, folder: str, error: OSError) -> None:
        if folder in self.unlistable[-100:]:  # ** comes by a folder for each part of the pattern that it may be
            return
        self.unlistable.append(folder)
        if not self._quiet:
            _log.warning("the folder %s is left out: %s", ascii(folder), error.strerror)

    def _list(self, folder: str) -> tuple[list[str], list[str], list[str]]:
        """The sorted names of the images in a folder, the folders in it, and the links that lead to others."""
        files, folders, linked = [], [], []
        with os.scandir(folder) as entries:
            for entry in entries:
                try:
                    is_folder = entry.is_dir()
                except OSError:  # a link that leads to itself
                    is_folder = False
                is_image = not is_folder and entry.name.lower().endswith(IMAGE_SUFFIXES)
                if (is_folder or is_image) and is_hidden(entry.name):
                    self.skipped[HIDDEN] += 1
                elif not is_folder:
                    if is_image:
                        files.append(entry.name)
                    else:
                        self._skip(entry.name)
                elif not entry.is_symlink():
                    folders.append(entry.path)
                elif not _holds(entry.path, folder):
                    linked.append(entry.path)
        return sorted(files), sorted(folders), sorted(linked)

    def _skip(self, name: str) -> None:
        suffix = os.path.splitext(name)[1].lower()
        known = suffix in self.skipped or len(self.skipped) < _MOST_SUFFIXES
        self.skipped[suffix if known else OTHERS] += 1


class _Keys:
    """Keys of paths; the folder of the last one is remembered, since its neighbours follow."""

    def __init__(self) -> None:
        self._folder: str | None = None
        self._start = hashlib.blake2b(digest_size=8)

    def __call__(self, path: str) -> int:
        folder, name = os.path.split(path)
        if folder != self._folder:
            self._folder = folder
            self._start = hashlib.blake2b(_bytes(_resolved(folder)) + b"/", digest_size=8)
        digest = self._start.copy()
        digest.update(_bytes(name))
        return int.from_bytes(digest.digest(), "little")


def key_of(path: str) -> int:
    """The key of a file, see `Item`."""
    return _Keys()(path)


def is_hidden(name: str) -> bool:
    """Whether what is called so in a folder is for programs alone: .ipynb_checkpoints, and macOS' ._face.jpg, __MACOSX.

    It is none of a folder's images, as * matches none in a shell; who names it outright means it.
    """
    return name.startswith(".") or name == "__MACOSX"


def absolute(entry: str) -> str:
    """An input as it is called from anywhere, links resolved: of a glob its fixed part; a list stays one."""
    if entry == "-":
        return entry
    if entry.startswith("@"):
        return "@" + os.path.realpath(entry[1:])
    if os.path.lexists(entry):
        return os.path.realpath(entry)
    fixed, rest = cut(entry)
    return os.path.join(_resolved(fixed), rest)


def _directory(folder: str) -> Directory:
    status = os.stat(folder)
    return status.st_dev, status.st_ino or os.path.realpath(folder)  # some file systems number nothing


def _resolved(folder: str) -> str:
    try:
        return os.path.realpath(folder or ".")
    except (OSError, ValueError):  # a NUL, or no current folder any more
        return folder


def _bytes(path: str) -> bytes:
    return path.encode("utf-8", "surrogatepass")


def _as_it_is(path: str) -> str:
    return path


def _renaming(entry: str, called: str) -> Callable[[str], str]:
    """Paths that begin with `entry` to what they are called where they begin with `called`."""
    if entry == called:
        return _as_it_is

    def name(path: str) -> str:
        assert path.startswith(entry), (path, entry)
        rest = path[len(entry) :].lstrip("/")
        return os.path.join(called, rest) if rest else called

    return name


def _check(entry: str) -> None:
    if entry.startswith("@"):
        if not os.path.exists(entry[1:]) or os.path.isdir(entry[1:]):
            raise ValueError(f"the list {entry[1:]!r} is not a file")
        if not os.access(entry[1:], os.R_OK):
            raise ValueError(f"the list {entry[1:]!r} cannot be read")
    elif entry != "-" and not os.path.lexists(entry):
        if not glob.has_magic(entry):
            raise ValueError(f"{entry!r} does not exist")
        hidden: list[str] = []
        if next(matches(entry, lambda folder, error: hidden.append(f"{folder!r}: {error.strerror}")), None) is None:
            raise ValueError(f"nothing matches {entry!r}" + (f"; not read was {hidden[0]}" if hidden else ""))


def _holds(link: str, folder: str) -> bool:
    """Whether a link leads to the folder that it is in, or to one above it."""
    target, inside = os.path.realpath(link), os.path.realpath(folder)
    return os.path.commonpath([target, inside]) == target
