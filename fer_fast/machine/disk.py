"""A file's name and bytes come in; the file stands in its place whole, or what was there before still does."""

from __future__ import annotations

import os
from pathlib import Path

from fer_fast.types import OutputRefusedError


def check_place(name: str) -> Path:
    """Refuses a place where no file could be put.

    Returns:
        Where the file goes; a link's end, so that the link stays.

    Raises:
        OutputRefusedError: `name` is a folder or a device, or lies in no folder that can be written.
    """
    target = Path(os.path.realpath(name))
    if target.is_dir():
        raise OutputRefusedError(f"the output {name!r} is a folder")
    if target.exists() and not target.is_file():
        raise OutputRefusedError(f"the output {name!r} is not a regular file")
    if not target.parent.is_dir():
        raise OutputRefusedError(f"the folder of the output {name!r} does not exist")
    if not os.access(target.parent, os.W_OK | os.X_OK):
        raise OutputRefusedError(f"the folder of the output {name!r} cannot be written")
    return target


def write_whole(path: Path, data: bytes) -> None:
    """Writes a file beside its place and moves it there.

    The name beside it is always the same, so that what a killed process left there is written over.

    Raises:
        OSError: the disk is full or fails; a file that was there before is left as it was.
    """
    fresh = path.with_name(f".{path.name}.partial")
    try:
        with fresh.open("wb") as stream:
            stream.write(data)
            stream.flush()
            os.fsync(stream.fileno())
        fresh.replace(path)
    except BaseException:
        fresh.unlink(missing_ok=True)
        raise


def sync_folder(folder: Path) -> None:
    """Waits until a folder's new names are on the disk."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
