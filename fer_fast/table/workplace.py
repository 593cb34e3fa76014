"""Where a table is made: the folder OUT.partial, for one run at a time."""

from __future__ import annotations

import fcntl
import logging
import os
from contextlib import suppress
from pathlib import Path

from fer_fast.machine.disk import check_place, sync_folder, write_whole
from fer_fast.machine.extras import need
from fer_fast.table.finished import read_manifest
from fer_fast.table.formats import SUFFIXES
from fer_fast.table.manifest import Run, parse_manifest
from fer_fast.types import OutputRefusedError

_LOCK = "lock"
#: In the folder of an unfinished run, what run it is.
RUN = "manifest.json"
#: Of taking a folder that others take away at the same time.
_TRIES = 100
_log = logging.getLogger(__name__)


def check_out(out: str | os.PathLike[str], resume: bool = False) -> Path:
    """Refuses, before a model is loaded, what could not be written.

    Returns:
        Where the table goes, links resolved.

    Raises:
        OutputRefusedError: the suffix is not one of `SUFFIXES`, the place is none (see `check_place`), or an unfinished
            run is there and `resume` is not wanted.
        MissingExtraError: pyarrow, which parquet needs, is not installed.
    """
    name = os.fspath(out)
    suffix = Path(name).suffix.lower()
    if suffix not in SUFFIXES:
        raise OutputRefusedError(f"the output {name!r} must end in {', '.join(SUFFIXES[:-1])} or {SUFFIXES[-1]}")
    target = check_place(name)
    if suffix == ".parquet":
        need("parquet", "parquet")
    folder = partial_of(target)
    if folder.is_file():
        raise OutputRefusedError(f"{str(folder)!r} is no folder of an unfinished run: remove it")
    if is_held(target):
        raise OutputRefusedError(f"another run is writing {str(folder)!r}")
    if unfinished_run(target) is not None and not resume:
        raise OutputRefusedError(f"an unfinished run is in {str(folder)!r}: go on with --resume, or remove it")
    return target


def partial_of(out: Path) -> Path:
    """The folder in which a table is made."""
    return out.with_name(out.name + ".partial")


def unfinished_run(out: Path) -> tuple[Run, str] | None:
    """The run that was broken off at a table, and the digest of the finished table that it went on from, if it did.

    Raises:
        OutputRefusedError: its manifest is damaged.
    """
    path = partial_of(out) / RUN
    try:
        run, more = parse_manifest(path.read_bytes())
    except FileNotFoundError:
        return None  # the beginning of a run, or the end of one
    except (OSError, ValueError, TypeError) as error:
        raise OutputRefusedError(f"{str(path)!r} cannot be read ({error}): remove {path.parent.name!r}") from None
    return run, str(more.get("base", ""))


def earlier_run(out: Path) -> Run | None:
    """The run whose rows a resumed one would keep, unfinished or finished.

    Raises:
        OutputRefusedError: nothing tells whose rows they are.
    """
    unfinished = unfinished_run(out)
    if unfinished is not None:
        return unfinished[0]
    return read_manifest(out).run if out.exists() else None


class Workplace:
    """OUT.partial, held by one run.

    Args:
        out: the table.

    Attributes:
        folder: what is in it without a manifest is nobody's.

    Raises:
        OutputRefusedError: another run holds it.
        OSError: the disk is full or fails.
    """

    def __init__(self, out: Path) -> None:
        self.folder = partial_of(out)
        for _ in range(_TRIES):
            try:
                self.folder.mkdir(exist_ok=True)
            except FileExistsError:
                continue  # a run that ends takes the folder away
            try:
                descriptor = os.open(self.folder / _LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
            except FileNotFoundError:
                continue
            if not locked(descriptor, self.folder):
                os.close(descriptor)
                raise OutputRefusedError(f"another run is writing {str(self.folder)!r}")
            if is_at(descriptor, self.folder / _LOCK):
                self._descriptor = descriptor
                return
            os.close(descriptor)
        raise OutputRefusedError(f"other runs that write {str(out)!r} come and go")

    def begin(self, run: Run, base: str = "") -> None:
        """Makes it a run's, and removes what is nobody's.

        Args:
            run: what its parts will be of.
            base: the digest of the finished table that the run goes on from.
        """
        self.clear()
        write_whole(self.folder / RUN, run.as_json(base=base).encode())
        sync_folder(self.folder)
        sync_folder(self.folder.parent)

    def remove(self) -> None:
        """After the table stands in its place; what a kill leaves of the folder is nobody's."""
        (self.folder / RUN).unlink(missing_ok=True)
        self.clear()
        (self.folder / _LOCK).unlink()
        self.leave()
        with suppress(OSError):  # a next run has begun already, or there is something in it that is not ours
            self.folder.rmdir()

    def leave(self) -> None:
        """Gives the lock up; what is in the folder can be resumed."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    def clear(self) -> None:
        """Removes all that is in it but the lock."""
        for path in self.folder.iterdir():
            if path.name != _LOCK and not path.is_dir():
                path.unlink()


def is_held(out: Path) -> bool:
    """Whether a run is making a table now."""
    folder = partial_of(out)
    try:
        descriptor = os.open(folder / _LOCK, os.O_RDWR | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        return not locked(descriptor, folder)
    finally:
        os.close(descriptor)


def locked(descriptor: int, folder: Path) -> bool:
    """Takes the lock; whether nobody else has it. On a file system without locks nobody has."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError as error:
        _log.warning("%s is not locked against a second run: %s", folder, error.strerror)
    return True


def is_at(descriptor: int, path: Path) -> bool:
    """Whether an open file still has its name."""
    try:
        return os.path.samestat(os.fstat(descriptor), path.stat())
    except FileNotFoundError:
        return False
