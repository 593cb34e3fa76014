"""Files that stand in their place whole or not at all, and streams to which all is written."""

from __future__ import annotations

import io
import os
import select
import shutil
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO

from fer_fast.machine.urls import is_url
from fer_fast.types import OutputRefusedError


def check_place(name: str) -> Path:
    """Refuses a place where no file could be put.

    Returns:
        Where the file goes; a link's end, so that the link stays.

    Raises:
        OutputRefusedError: `name` is a folder or a device, or lies in no folder that can be written.
    """
    if is_url(name):
        raise OutputRefusedError(f"the output {name!r} is no file on a disk: write it to one, and copy it")
    target = _end_of(name)
    if target.is_dir():
        raise OutputRefusedError(f"the output {name!r} is a folder")
    if target.exists() and not target.is_file():
        raise OutputRefusedError(f"the output {name!r} is not a regular file")
    _check_parent(target, name)
    return target


def check_new_folder(name: str) -> Path:
    """Refuses a place where no folder could be put.

    Returns:
        Where the folder goes; a link's end, so that the link stays.

    Raises:
        OutputRefusedError: `name` is a file or a folder with something in it, or lies in no folder that can be written.
    """
    if is_url(name):
        raise OutputRefusedError(f"the output {name!r} is no folder on a disk: write it to one, and copy it")
    target = _end_of(name)
    if target.exists() and not target.is_dir():
        raise OutputRefusedError(f"the output {name!r} is no folder")
    if target.is_dir() and any(target.iterdir()):
        raise OutputRefusedError(f"the output {name!r} is a folder that is not empty")
    _check_parent(target, name)
    return target


def _end_of(name: str) -> Path:
    """Where a name leads to, links followed; refuses what the system takes for no name."""
    if not name:
        raise OutputRefusedError("the output must have a name, not ''")
    try:
        target = Path(os.path.realpath(name))
        with suppress(FileNotFoundError, NotADirectoryError, PermissionError):  # said of its folder, with the rule
            _beside(target).lstat()
    except (OSError, ValueError) as error:  # too long, or a NUL in it
        reason = getattr(error, "strerror", None) or error
        raise OutputRefusedError(f"the output {name!r} cannot be written: {reason}") from error
    return target


def _beside(path: Path) -> Path:
    """Where it is written before it is moved to its place: always the same name."""
    return path.parent / f".{path.name}.partial"  # of the root, too, which has no name


def _check_parent(target: Path, name: str) -> None:
    """Refuses a place in no folder, or in one that cannot be written."""
    if not target.parent.is_dir():
        raise OutputRefusedError(f"the folder of the output {name!r} does not exist")
    if not os.access(target.parent, os.W_OK | os.X_OK):
        raise OutputRefusedError(f"the folder of the output {name!r} cannot be written")


def check_folder(option: str, name: str) -> Path:
    """Refuses a folder in which no file could be put; one that is missing is to be made.

    Args:
        option: what names it.
        name: its path.

    Raises:
        OutputRefusedError: it is no name, a file, or cannot be made or written.
    """
    if not name or is_url(name):
        raise OutputRefusedError(f"{option} must be a folder on a disk, not {name!r}")
    folder = Path(name).absolute()
    there = next(each for each in (folder, *folder.parents) if each.exists())
    if not there.is_dir():
        raise OutputRefusedError(f"{option} must be a folder: {str(there)!r} is a file")
    if not os.access(there, os.W_OK | os.X_OK):
        raise OutputRefusedError(f"{option} must be a folder that can be written: {str(there)!r} cannot")
    return Path(name)


def check_readable_folder(argument: str, folder: Path) -> None:
    """Refuses a folder that is to be read and cannot be.

    Raises:
        ValueError: names the argument: it is not there, is no folder, or is not for who runs this.
    """
    if absent := _absent(folder):
        raise ValueError(f"{argument} must be a folder; {absent}")
    if not folder.is_dir():
        raise ValueError(f"{argument} must be a folder, which {str(folder)!r} is not")
    if not os.access(folder, os.R_OK | os.X_OK):
        raise ValueError(f"{argument} must be a folder that can be read, which {str(folder)!r} cannot")


def why_absent(path: str) -> str:
    """Why nothing can be had at a path, the end of a sentence about it; empty where something can."""
    try:
        os.stat(path)  # noqa: PTH116 (a Path cannot hold every str)
    except (FileNotFoundError, NotADirectoryError):
        return "does not exist"
    except (OSError, ValueError) as error:  # a folder above it is closed, its name too long, a link leads to itself
        return f"cannot be read: {getattr(error, 'strerror', None) or error}"
    return ""


def _absent(path: Path) -> str:
    """The same as half a sentence of its own."""
    why = why_absent(str(path))
    return f"there is no {str(path)!r}" if why == "does not exist" else why and f"{str(path)!r} {why}"


def check_file(argument: str, path: Path, kinds: str) -> None:
    """Refuses a file that is to be read and is not there.

    Raises:
        ValueError: names the argument and the kinds of file that it may be.
    """
    if absent := _absent(path):
        raise ValueError(f"{argument} must be a {kinds} file; {absent}")
    if not path.is_file():
        raise ValueError(f"{argument} must be a {kinds} file, which {str(path)!r} is not")


def write_whole(path: Path, data: bytes | memoryview, lasting: bool = True) -> None:
    """Writes a file beside its place and moves it there; see `WholeFile`.

    Args:
        path: its place.
        data: all of it.
        lasting: wait until it is on the disk, so that a machine that stops leaves it whole, too; that takes
            milliseconds.

    Raises:
        OSError: the disk is full or fails; a file that was there before is left as it was.
    """
    file = WholeFile(path)
    try:
        file.stream.write(data)
        file.keep(lasting)
    finally:
        file.discard()


def write_folder(path: Path, files: Mapping[str, bytes]) -> list[Path]:
    """Writes a folder beside its place and moves it there, all of it on the disk.

    The name beside it is always the same, so that what a killed process left there is taken away.

    Args:
        path: its place, where nothing is or an empty folder.
        files: by path in it.

    Returns:
        The files' paths.

    Raises:
        OSError: the disk is full or fails, or something is in the folder meanwhile; its place is left as it was.
    """
    fresh = _beside(path)
    shutil.rmtree(fresh, ignore_errors=True)
    try:
        for name, data in files.items():
            (fresh / name).parent.mkdir(parents=True, exist_ok=True)
            (fresh / name).write_bytes(data)
            sync_file(fresh / name)
        for folder in {(fresh / name).parent for name in files} | {fresh}:
            sync_folder(folder)
        fresh.replace(path)
        sync_folder(path.parent)
    finally:
        shutil.rmtree(fresh, ignore_errors=True)
    return [path / name for name in files]


class WholeFile:
    """A file that is written beside its place, and moved there once it is whole.

    The name beside it is always the same, so that what a killed process left there is written over.

    Args:
        path: its place.

    Attributes:
        stream: where it is written; it can be read and sought, too.

    Raises:
        OSError: it cannot be made.
    """

    def __init__(self, path: Path) -> None:
        self._path, self._fresh = path, _beside(path)
        self._is_there = True
        self.stream: BinaryIO = self._fresh.open("w+b")

    def keep(self, lasting: bool = True) -> None:
        """It is whole.

        Args:
            lasting: see `write_whole`.

        Raises:
            OSError: the disk is full or fails; a file that was there before is left as it was.
        """
        self.stream.flush()
        if lasting:
            os.fsync(self.stream.fileno())
        self.stream.close()
        self._fresh.replace(self._path)
        self._is_there = False

    def discard(self) -> None:
        """Takes away what was not kept."""
        if self._is_there:
            self._is_there = False
            with suppress(OSError):  # what is still to be flushed does not matter
                self.stream.close()
            self._fresh.unlink(missing_ok=True)


def sync_folder(folder: Path) -> None:
    """Waits until a folder's new names are on the disk."""
    sync_file(folder)


def sync_file(path: Path) -> None:
    """Waits until a file's bytes are on the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def write_all(stream: BinaryIO, data: bytes) -> None:
    """Writes all of it and flushes.

    A raw stream, as standard output is where Python is told not to buffer, may take less than it is given and says so
    only in what `write` returns; a pipe that does not block takes nothing while it is full.

    Raises:
        OSError: the stream fails.
    """
    left = memoryview(data)
    while left:
        try:
            taken = stream.write(left)
        except BlockingIOError as error:
            taken = error.characters_written
        if taken is None:
            # What is no raw stream and does not say how much it took has taken all.
            taken = 0 if isinstance(stream, io.RawIOBase) else len(left)
        if taken == 0:
            select.select([], [stream], [])
        left = left[taken:]
    while True:
        try:
            stream.flush()
            return
        except BlockingIOError:
            select.select([], [stream], [])
