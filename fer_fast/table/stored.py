"""A table in an object store comes in, a working copy of it on this disk goes out; what a run finishes is sent.

In the store lies what would lie on a disk: OUT, OUT.manifest, and while a run goes on OUT.partial/. It is what counts:
a run goes on from it on any machine, and the working copy goes when all is sent. Each step leaves there what the same
step leaves on a disk, so that what a kill leaves is understood as it is there.
"""

from __future__ import annotations

import hashlib
import logging
import os
import shutil
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from fer_fast.machine.cache import cache_folder
from fer_fast.machine.stall import Pulse
from fer_fast.remote.faults import MissingError
from fer_fast.remote.sending import WHOLE, fetch, remove, remove_folder, send
from fer_fast.remote.stores import listing, look
from fer_fast.table.assembling import MANIFEST
from fer_fast.table.finished import digest_of, manifest_of
from fer_fast.table.parts import PartFile, part_files, part_paths, state_of
from fer_fast.table.workplace import RUN, is_at, locked, partial_of
from fer_fast.types import DecodeError, OutputError, OutputRefusedError

_LOCK, _PROBE = "lock", "probe"
_log = logging.getLogger(__name__)


class StoredTable(os.PathLike[str]):
    """A table in a store by its working copy, whose path it is for whoever opens files.

    Args:
        url: of the table.
        kind: of the working copy: what reads a table has another than what writes it.

    Attributes:
        url: of the table.
        path: of its working copy.
        is_sent: whether the store has the finished table.

    Raises:
        OutputRefusedError: no table can be there, or there is no folder for the working copy.
    """

    def __init__(self, url: str, kind: str = "written") -> None:
        scheme, _, rest = url.partition("://")
        if scheme not in WHOLE:
            raise OutputRefusedError(f"{url!r} is in no object store (s3://, gs://, az://), and no file on a disk")
        if "/" not in rest or url.endswith("/"):
            raise OutputRefusedError(f"{url!r} must name a table in a bucket, such as {scheme}://bucket/table.csv")
        name = f"{hashlib.blake2b(url.encode(), digest_size=8).hexdigest()}.{kind}"
        try:
            place = cache_folder() / "tables" / name
        except RuntimeError as error:
            raise OutputRefusedError(f"{url!r} needs a folder here: {error}; FER_FAST_CACHE may name one") from None
        self.url, self.folder, self.path = url, place, place / url.rpartition("/")[2]
        self.is_sent = False
        self._pulse = Pulse()
        self._names: set[str] = set()  # of parts in the store
        self._sent = 0  # parts of this run that are there
        self._run = ""  # digest of what says which run's they are
        self._table = self._manifest = ""  # digests of what is there
        self._is_lost = False

    def __fspath__(self) -> str:
        return str(self.path)

    @contextmanager
    def held(self) -> Iterator[None]:
        """While inside the working copy is this process's.

        Raises:
            OutputRefusedError: it is another's, or cannot be made.
        """
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            descriptor = os.open(self.folder / _LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
        except OSError as error:
            told = f"{str(self.folder)!r} cannot be made ({error.strerror}); FER_FAST_CACHE may name another"
            raise OutputRefusedError(f"{self.url!r} needs a folder here: {told}") from None
        try:
            if not (locked(descriptor, self.folder) and is_at(descriptor, self.folder / _LOCK)):
                raise OutputRefusedError(f"another run on this machine has {self.url!r}")
            try:
                yield
            finally:
                self._remove_if_empty()
        finally:
            os.close(descriptor)

    def _remove_if_empty(self) -> None:
        """Leaves no folder where no run is; the lock is held, and whoever waits for it finds that it has no name."""
        if [each.name for each in self.folder.iterdir()] == [_LOCK]:
            (self.folder / _LOCK).unlink()
            with suppress(OSError):  # another one's lock is in it already
                self.folder.rmdir()

    def check(self) -> None:
        """Refuses a place where nothing can be put, by putting something there and taking it away.

        Raises:
            OutputRefusedError: says why.
            MissingExtraError: the scheme's driver is not installed.
        """
        probe = self.folder / _PROBE
        probe.write_bytes(b"\n")
        try:
            send(probe, self._in_partial(_PROBE), self._pulse.beat)
            remove(self._in_partial(_PROBE))
        except DecodeError as error:
            why = "there is no such bucket" if isinstance(error, MissingError) else error
            raise OutputRefusedError(f"the output {self.url!r} cannot be written: {why}") from error
        finally:
            probe.unlink()

    def take(self, keep: bool) -> None:
        """Makes the working copy what is in the store.

        Args:
            keep: a run will go on with it; else there must be no unfinished one, and a finished table is not copied.

        Raises:
            OutputRefusedError: there is an unfinished run and `keep` is not wanted, or the store cannot be read.
        """
        try:
            there = self._listed()
            if RUN in there and not keep:
                place = f"{self.url}.partial"
                raise OutputRefusedError(f"an unfinished run is in {place!r}: go on with --resume, or remove it")
            self._take_run(there)
            if keep:
                self._take_table()
            else:
                self._tell_of_replacing()
        except DecodeError as error:
            raise OutputRefusedError(f"{self.url!r} cannot be read: {error}") from error

    def begin(self, pulse: Pulse) -> None:
        """The working copy is a run's: what is in the store becomes that run's, too.

        Raises:
            OutputError: it cannot be written.
        """
        self._pulse = pulse
        folder, manifest = partial_of(self.path), manifest_of(self.path)
        with self._failing():
            if manifest.exists() and digest_of(manifest) != self._manifest:  # killed before it stood there
                self._put(manifest, f"{self.url}.manifest")
                self._manifest = digest_of(manifest)
            if digest_of(folder / RUN) != self._run:
                self._remove_partial()
                self._names = set()
                self._put(folder / RUN, self._in_partial(RUN))
            for part in part_files(folder):
                self._send_part(part)

    def send(self, parts: Sequence[PartFile], last: bool = False) -> None:
        """Sends parts; those that are there are not sent again. After an error nothing is sent: the run ends.

        Args:
            parts: that this run has written, all of them.
            last: do not try again what fails.

        Raises:
            OutputError: they cannot be sent; in the working copy they are.
        """
        if self._is_lost:
            return
        stopping = threading.Event()
        if last:
            stopping.set()
        with self._failing():
            for part in parts[self._sent :]:
                self._send_part(part, stopping)
                self._sent += 1

    def finish(self) -> None:
        """Sends the finished table, its manifest last, and takes the parts away.

        Raises:
            OutputError: it cannot be sent; the working copy has it.
        """
        manifest = manifest_of(self.path)
        with self._failing():
            if digest_of(manifest) != self._manifest:
                self._put(manifest, self._in_partial(MANIFEST))  # by it a table is known whose own does not stand yet
                if digest_of(self.path) != self._table:
                    self._put(self.path, self.url)
                self._put(manifest, f"{self.url}.manifest")
            self._remove_partial()
        self.is_sent = True

    def end(self, parts: Sequence[PartFile], is_empty: bool) -> None:
        """A run ends before its table is finished.

        Args:
            parts: see `send`.
            is_empty: there are none, nor of an earlier run: what is there goes.
        """
        if not is_empty:
            self.send(parts, last=True)
        elif not self._is_lost:
            with self._failing():
                self._remove_partial()

    def leave(self) -> None:
        """Removes the working copy, unless it has an unfinished run."""
        if self.is_sent or not partial_of(self.path).exists():
            self.clear()

    def clear(self) -> None:
        """Removes the working copy."""
        for path in self.folder.iterdir():
            if path.is_dir():
                shutil.rmtree(path, ignore_errors=True)
            elif path.name != _LOCK:
                path.unlink()

    def _listed(self) -> set[str]:
        try:
            return {entry.name for entry in listing(f"{self.url}.partial") if not entry.is_folder}
        except MissingError:
            return set()

    def _take_run(self, there: set[str]) -> None:
        """Makes parts here those that are there, and leaves more where all of those are here: it could not be sent."""
        folder, fresh = partial_of(self.path), self.folder / RUN
        self._names = {name for name in there if name.startswith(("part-", "state-"))}
        if RUN in there:
            fetch(self._in_partial(RUN), fresh, self._pulse.beat)
            self._run = digest_of(fresh)
        is_ours = self._run and (folder / RUN).exists() and digest_of(folder / RUN) == self._run
        parts = {name for name in self._names if name.startswith("part-")}
        if not is_ours or not parts <= {_named(path) for path in part_paths(folder)}:
            shutil.rmtree(folder, ignore_errors=True)
            if self._run:
                folder.mkdir()
                self._copy_parts(folder)
                shutil.copy(fresh, folder / RUN)
        fresh.unlink(missing_ok=True)
        (folder / MANIFEST).unlink(missing_ok=True)
        if MANIFEST in there:
            folder.mkdir(exist_ok=True)
            fetch(self._in_partial(MANIFEST), folder / MANIFEST, self._pulse.beat)

    def _copy_parts(self, folder: Path) -> None:
        for name in sorted(self._names):
            path = folder / name.partition(".")[0]
            if path.exists():  # each of two runs at once has made one
                _log.warning("%s is of a second run: its files are classified again", self._in_partial(name))
                continue
            fetch(self._in_partial(name), path, self._pulse.beat)
            if _named(path) != name:
                _log.warning("%s is damaged: its files are classified again", self._in_partial(name))
                path.unlink()

    def _take_table(self) -> None:
        manifest = manifest_of(self.path)
        for url, path in ((f"{self.url}.manifest", manifest), (self.url, self.path)):
            try:
                fetch(url, path, self._pulse.beat)
            except MissingError:
                path.unlink(missing_ok=True)
        self._manifest, self._table = (digest_of(path) if path.exists() else "" for path in (manifest, self.path))

    def _tell_of_replacing(self) -> None:
        self.path.unlink(missing_ok=True)
        manifest_of(self.path).unlink(missing_ok=True)
        try:
            look(self.url)
        except MissingError:
            return
        _log.warning("%s is there: this run will replace it", self.url)

    def _send_part(self, part: PartFile, stopping: threading.Event | None = None) -> None:
        for path in (state_of(part.path), part.path):
            if path.exists() and (name := _named(path)) not in self._names:
                self._put(path, self._in_partial(name), stopping)
                self._names.add(name)

    def _put(self, path: Path, url: str, stopping: threading.Event | None = None) -> None:
        _log.info("sending %s", url)
        send(path, url, self._pulse.beat, stopping)

    def _remove_partial(self) -> None:
        remove(self._in_partial(RUN))  # what is left without it is nobody's
        remove_folder(f"{self.url}.partial")

    def _in_partial(self, name: str) -> str:
        return f"{self.url}.partial/{name}"

    @contextmanager
    def _failing(self) -> Iterator[None]:
        """What the store does not take ends the run."""
        try:
            yield
        except DecodeError as error:
            self._is_lost = True
            told = f"the output {self.url!r} cannot be written: {error}"
            raise OutputError(f"{told}; rows are kept, go on with --resume") from error


def _named(path: Path) -> str:
    """What a part is called in the store, by what is in it: what two runs make has two names."""
    return f"{path.name}.{digest_of(path)}"
