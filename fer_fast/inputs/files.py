"""Folders, files, globs and lists become the files that they mean, found while the first of them are classified."""

# Paths stay str: a Path would change "./face.jpg", and costs a microsecond for each of millions.
# ruff: noqa: PTH112, PTH113, PTH116, PTH118, PTH122, PTH123
from __future__ import annotations

import logging
import os
import sys
import tarfile
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence

from fer_fast.inputs.entries import check
from fer_fast.inputs.films import FILM_SUFFIXES
from fer_fast.inputs.globs import cut, matches
from fer_fast.inputs.keys import Keys
from fer_fast.inputs.lists import listed
from fer_fast.inputs.naming import Naming
from fer_fast.inputs.own import Own
from fer_fast.inputs.seen import KeySet
from fer_fast.inputs.shards import Shard
from fer_fast.inputs.stored import kind_of
from fer_fast.inputs.stored import matches as matching
from fer_fast.inputs.tars import is_tar, members
from fer_fast.machine.stall import Pulse
from fer_fast.machine.urls import is_url
from fer_fast.remote.stores import listing
from fer_fast.types import DecodeError, Item, Stamp

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
#: And images in tars that have no bytes of their own: links, and files with holes.
LINKED = "linked"

Directory = tuple[int, int | str]  # what a folder is, however it is reached
Named = str | tuple[str, Stamp | None]  # a file in a folder; of one in a store its stamp, too


class ImageFiles:
    """The image files that inputs name, to be iterated once.

    A folder is searched to the bottom: of each folder first the files, then the folders in it, both sorted by name; but
    not what is hidden in it, see `is_hidden`.
    Links to folders are followed after everything else, except one that leads back to a folder that holds it. Only
    one folder's names are held in memory at a time. A file that several inputs name comes once, where it is named
    first; that takes 8 bytes a file, but where folders alone are named, which takes none. A tar that is named, by a
    glob or in a list, too, is as a folder of the images in it; one that lies in a folder is none of its images.

    Args:
        inputs: a folder; a file, whatever its suffix; a glob with *, ?, [] and ** for any depth; @LIST, a file of
            paths; or -, such a list on standard input. A list has one path a line, or is separated by NULs. Files,
            folders and globs may be URLs of an object store, files those of the web.
        called: what `Item.name` begins with instead of each input; None leaves them as they are.
        quiet: do not log the folders that cannot be read.
        pulse: is told while a list is waited for.
        films: take what is called as films are, too.
        shard: take its share alone; it is asked about every file by `Naming.below`.

    Attributes:
        suffixes: what files in folders may end in.
        unlistable: folders that could not be read, and tars not to their end, so that their files are missing.
        skipped: files in folders that are not called as images are, by their suffix in lower case ("" has none,
            `OTHERS` are those after the first fifty suffixes); under `HIDDEN` what is hidden, and under `LINKED` links
            in tars.

    Raises:
        ValueError: an input that does not exist or matches nothing, or no input.
    """

    suffixes: tuple[str, ...] = IMAGE_SUFFIXES
    opens_tars = True

    def __init__(
        self,
        inputs: Iterable[str | os.PathLike[str]],
        called: Sequence[str] | None = None,
        quiet: bool = False,
        pulse: Pulse | None = None,
        films: bool = False,
        shard: Shard | None = None,
    ) -> None:
        self.inputs = [os.fspath(entry) for entry in inputs]
        self.called = self.inputs if called is None else list(called)
        self.unlistable: list[str] = []
        self.skipped: Counter[str] = Counter()
        if films:
            self.suffixes = (*IMAGE_SUFFIXES, *FILM_SUFFIXES)
        self._own: Own | None = None
        self._quiet = quiet
        self._shard = shard
        self._pulse = pulse or Pulse()
        self._walked: set[Directory] = set()
        self._named = KeySet()
        self._key = Keys()
        if not self.inputs:
            raise ValueError("no input: name a folder, a file, a glob or @LIST")
        for entry in self.inputs:
            check(entry)

    def __iter__(self) -> Iterator[str]:
        return (item.path for item in self.items())

    def items(self) -> Iterator[Item]:
        """The files with the names that a table gives them and the keys by which a run knows them again."""
        links: list[tuple[str, Naming]] = []
        last_named = max((n for n, entry in enumerate(self.inputs) if not os.path.isdir(entry)), default=-1)
        for number, (entry, called) in enumerate(zip(self.inputs, self.called, strict=True)):
            # What a folder holds need be known only where files are named after it.
            self._remembering = number < last_named
            if is_url(entry):
                yield from self._stored(entry, called, links)
            elif entry == "-":
                if sys.stdin is None:
                    raise ValueError("standard input is closed: there is no list to read")
                yield from self._each(listed(sys.stdin.buffer, "-", self._pulse), Naming())
            elif entry.startswith("@"):
                with open(entry[1:], "rb") as lines:
                    yield from self._each(listed(lines, entry, self._pulse), Naming())
            elif os.path.isdir(entry):
                yield from self._walk(entry, links, Naming(entry, called))
            elif os.path.lexists(entry):
                yield from self._each([entry], Naming(entry, called))
            else:
                self._remembering = True  # a glob may match a folder, and then what is in it
                naming = Naming(cut(entry)[0], cut(called)[0])
                for match in matches(entry, self._left_out):
                    walk = os.path.isdir(match)
                    yield from self._walk(match, links, naming) if walk else self._matched(match, naming)
        self._remembering = False
        while links:
            link, naming = links.pop(0)
            yield from self._walk(link, links, naming)

    def _stored(self, entry: str, called: str, links: list[tuple[str, Naming]]) -> Iterator[Item]:
        """What a URL means: of a file no more is known than its name."""
        found = kind_of(entry)
        if found is not None:
            naming = Naming(entry, called)
            yield from self._walk(entry, links, naming) if found.is_folder else self._each([entry], naming)
            return
        self._remembering = True
        naming = Naming(cut(entry)[0], cut(called)[0])
        for match, each in matching(entry, self._left_out):
            yield from self._walk(match, links, naming) if each.is_folder else self._matched(match, naming)

    @property
    def countable(self) -> bool:
        """Whether the inputs can be read twice: a pipe cannot."""
        return all(entry != "-" and (not entry.startswith("@") or os.path.isfile(entry[1:])) for entry in self.inputs)

    def leave_out(self, table: str | os.PathLike[str]) -> None:
        """Takes nothing of a table that the run writes, though a glob matches it or a folder holds it."""
        self._own = Own(table)

    def _matched(self, path: str, naming: Naming) -> Iterator[Item]:
        """A file that a glob matches."""
        return self._each(() if self._own and self._own.has_file(path) else [path], naming)

    def _each(self, paths: Iterable[str], naming: Naming) -> Iterator[Item]:
        """Files that were named outright."""
        for path in paths:
            key = self._key(path)
            if self._named.add(key) and self._is_ours(path, naming):
                if self.opens_tars and is_tar(path):
                    yield from self._members(path, naming, key)
                else:
                    yield Item(path, naming.called(path), key)

    def _members(self, tar: str, naming: Naming, key: int) -> Iterator[Item]:
        """The images in a tar; of what is none, a row tells as of any other file."""
        number = 0
        try:
            for number, (name, member) in enumerate(members(tar), 1):  # noqa: B007 (whether there is one)
                is_input = name.lower().endswith(IMAGE_SUFFIXES)
                if is_input and any(map(is_hidden, name.split("/"))):
                    self.skipped[HIDDEN] += 1
                elif not is_input:
                    self._skip(name)
                elif member is None:
                    self.skipped[LINKED] += 1
                elif self._named.add(key_of_member := self._key(member.shown)):
                    yield Item(member.path, naming.called(member.shown), key_of_member)
        except (OSError, tarfile.ReadError) as error:
            if number == 0:
                yield Item(tar, naming.called(tar), key)
                return
            self.unlistable.append(tar)
            if not self._quiet:
                _log.warning("the rest of the tar %s is left out: %s", ascii(tar), error)

    def _walk(self, top: str, links: list[tuple[str, Naming]], naming: Naming) -> Iterator[Item]:
        pending = [top]
        while pending:
            folder = pending.pop()
            if self._own and self._own.has_folder(folder):
                continue
            try:
                directory = _directory(folder)
                if directory in self._walked:
                    continue
                files, folders, linked = self._listed(folder) if is_url(folder) else self._list(folder)
                self._walked.add(directory)
            except (OSError, DecodeError) as error:
                self._left_out(folder, error)
                continue
            pending += reversed(folders)
            links += ((link, naming) for link in linked)
            files.reverse()
            while files:  # from the end, so that a name's memory is free once it is used
                name, stamp = each if isinstance(each := files.pop(), tuple) else (each, None)
                path = os.path.join(folder, name)
                key = self._key(path)
                is_new = self._named.add(key) if self._remembering else key not in self._named
                if is_new and self._is_ours(path, naming):
                    yield Item(path, naming.called(path), key, stamp)

    def _is_ours(self, path: str, naming: Naming) -> bool:
        return self._shard is None or self._shard.takes(naming.below(path))

    def _left_out(self, folder: str, error: OSError | DecodeError) -> None:
        if folder in self.unlistable[-100:]:  # ** comes by a folder for each part of the pattern that it may be
            return
        self.unlistable.append(folder)
        if not self._quiet:
            _log.warning("the folder %s is left out: %s", ascii(folder), getattr(error, "strerror", error))

    def _list(self, folder: str) -> tuple[list[str], list[str], list[str]]:
        """The sorted names of the images in a folder, the folders in it, and the links that lead to others."""
        files, folders, linked = [], [], []
        with os.scandir(folder) as entries:
            for entry in entries:
                try:
                    is_folder = entry.is_dir()
                except OSError:  # a link that leads to itself
                    is_folder = False
                if not self._counts(entry.name, is_folder, self.suffixes):
                    continue
                if not is_folder:
                    files.append(entry.name)
                elif not entry.is_symlink():
                    folders.append(entry.path)
                elif not _holds(entry.path, folder):
                    linked.append(entry.path)
        return sorted(files), sorted(folders), sorted(linked)

    def _listed(self, folder: str) -> tuple[list[Named], list[str], list[str]]:
        """The same of a folder in a store, where there are no links."""
        found = [each for each in listing(folder) if self._counts(each.name, each.is_folder, IMAGE_SUFFIXES)]
        files: list[Named] = [*sorted((each.name, each.stamp) for each in found if not each.is_folder)]
        return files, sorted(os.path.join(folder, each.name) for each in found if each.is_folder), []

    def _counts(self, name: str, is_folder: bool, suffixes: tuple[str, ...]) -> bool:
        """Whether what lies in a folder is an input or a folder to be searched; else it is counted as skipped."""
        is_input = not is_folder and name.lower().endswith(suffixes)
        if (is_folder or is_input) and is_hidden(name):
            self.skipped[HIDDEN] += 1
            return False
        if not is_folder and not is_input:
            self._skip(name)
        return is_folder or is_input

    def _skip(self, name: str) -> None:
        suffix = os.path.splitext(name)[1].lower()
        known = suffix in self.skipped or len(self.skipped) < _MOST_SUFFIXES
        self.skipped[suffix if known else OTHERS] += 1


def is_hidden(name: str) -> bool:
    """Whether what is called so in a folder is for programs alone: .ipynb_checkpoints, and macOS' ._face.jpg, __MACOSX.

    It is none of a folder's images, as * matches none in a shell; who names it outright means it.
    """
    return name.startswith(".") or name == "__MACOSX"


def _directory(folder: str) -> Directory:
    if is_url(folder):
        return -1, folder.rstrip("/")
    status = os.stat(folder)
    return status.st_dev, status.st_ino or os.path.realpath(folder)  # some file systems number nothing


def _holds(link: str, folder: str) -> bool:
    """Whether a link leads to the folder that it is in, or to one above it."""
    target, inside = os.path.realpath(link), os.path.realpath(folder)
    return os.path.commonpath([target, inside]) == target
