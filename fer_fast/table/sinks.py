"""Rows come in, a finished table goes out: csv, jsonl or parquet, or csv on a stream; never half a table."""

from __future__ import annotations

import fcntl
import importlib.util
import json
import logging
import os
from array import array
from collections import Counter
from collections.abc import Callable, Sequence
from hashlib import blake2b
from pathlib import Path
from typing import Any, BinaryIO

from fer_fast.machine.disk import check_place, sync_folder, write_whole
from fer_fast.table.records import CsvRecords, JsonRecords, Records, columns_of, printable
from fer_fast.types import OutputError, OutputRefusedError, Row

SUFFIXES = (".csv", ".jsonl", ".parquet")

_log = logging.getLogger(__name__)


def check_out(out: str | os.PathLike[str], resume: bool = False) -> bool:
    """Refuses, before a model is loaded, what could not be written; tells whether there is nothing left to do.

    Returns:
        True if `resume` is wanted and `out` is already finished.

    Raises:
        OutputRefusedError: the suffix is not one of `SUFFIXES`, the place is none (see `check_place`), pyarrow is
            missing for parquet, or an unfinished run is there and `resume` is not wanted.
    """
    name = os.fspath(out)
    suffix = Path(name).suffix.lower()
    if suffix not in SUFFIXES:
        raise OutputRefusedError(f"the output {name!r} must end in {', '.join(SUFFIXES[:-1])} or {SUFFIXES[-1]}")
    target = check_place(name)
    if suffix == ".parquet" and importlib.util.find_spec("pyarrow") is None:
        raise OutputRefusedError("parquet needs pyarrow, which is not installed: pip install 'fer-fast[parquet]'")
    partial = _partial(target)
    if partial.exists() and not resume:
        _refuse_unfinished(partial)
    return resume and target.exists() and not partial.exists()


def _partial(target: Path) -> Path:
    return target.with_name(target.name + ".partial")


def _refuse_unfinished(partial: Path) -> None:
    descriptor = os.open(partial, os.O_RDWR)
    try:
        _lock(descriptor, partial)
    finally:
        os.close(descriptor)
    raise OutputRefusedError(f"an unfinished run is in {str(partial)!r}: go on with --resume, or remove it")


def _lock(descriptor: int, partial: Path) -> None:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise OutputRefusedError(f"another run is writing {str(partial)!r}") from None
    except OSError as error:  # a file system without locks
        _log.warning("%s is not locked against a second run: %s", partial, error.strerror)


class FileSink:
    """Writes a table beside its place and moves it there when it is complete.

    Rows go to OUT.partial, each batch in one write; OUT.partial.meta tells which model they are of. After a crash at
    any moment a new `FileSink` with `resume=True` cuts the last row if it is half written, and `holds` tells which
    files have their row. A parquet table's journal is jsonl, converted at the end.

    Args:
        out: ends in .csv, .jsonl or .parquet.
        classes: the names of the probabilities.
        identity: what the rows depend on; a run of another identity is not resumed.
        resume: continue an unfinished run, if there is one.

    Attributes:
        kept: rows of an earlier run, by status; `kept_labels` by label.

    Raises:
        OutputRefusedError: see `check_out`; or another run writes here, or the unfinished run is of another model.
        OutputError: the disk is full or fails.
    """

    def __init__(
        self, out: str | os.PathLike[str], classes: Sequence[str], identity: str, resume: bool = False
    ) -> None:
        check_out(out, resume)
        self.out = Path(os.path.realpath(out))
        self.partial = _partial(self.out)
        self._meta = self.partial.with_name(self.partial.name + ".meta")
        self.columns = columns_of(classes)
        self._records: Records = (CsvRecords if self.out.suffix.lower() == ".csv" else JsonRecords)(self.columns)
        self._about = {"format": self._records.suffix[1:], "columns": self.columns, "identity": identity}
        self.kept: Counter[str] = Counter()
        self.kept_labels: Counter[str] = Counter()
        self._digests = array("Q")
        self.rows = 0
        self._descriptor = -1
        try:
            self._open()
        except OutputError:
            self.close()
            raise
        except OSError as error:
            self.close()
            raise self._failed(error) from error

    def _open(self) -> None:
        fresh = not self.partial.exists()
        if fresh:
            write_whole(self._meta, json.dumps(self._about).encode())
        flags = os.O_RDWR | os.O_APPEND | os.O_CLOEXEC
        try:
            self._descriptor = os.open(self.partial, flags | (os.O_CREAT | os.O_EXCL if fresh else 0), 0o666)
        except FileExistsError:
            raise OutputRefusedError(f"another run is writing {str(self.partial)!r}") from None
        _lock(self._descriptor, self.partial)
        if os.fstat(self._descriptor).st_ino != self.partial.stat().st_ino:  # moved away before our lock
            raise OutputRefusedError(f"another run has just finished {str(self.out)!r}")
        if fresh:
            self._end = 0
        else:
            self._check_meta()
            self._end = self._recover()
            os.ftruncate(self._descriptor, self._end)
        if self._end == 0 and self._records.header:
            self._append(self._records.header)

    def _check_meta(self) -> None:
        where = str(self.partial)
        try:
            about = json.loads(self._meta.read_bytes())
        except (OSError, ValueError):
            raise OutputRefusedError(f"{where!r} cannot be resumed without {self._meta.name!r}: remove it") from None
        for what, mine in self._about.items():
            if about.get(what) != mine:
                theirs = f"{about.get(what)!r}, not of {mine!r}"
                raise OutputRefusedError(f"{where!r} cannot be resumed: its {what} is that of another run ({theirs})")

    def _recover(self) -> int:
        """Reads the journal; returns where its last whole row ends."""
        end = 0
        with os.fdopen(os.dup(self._descriptor), "rb") as stream:
            stream.seek(0)
            for number, record in enumerate(self._records.split(stream)):
                if number == 0 and self._records.header:
                    if record != self._records.header:
                        break
                else:
                    row = self._records.decode(record)
                    if row is None:  # damaged by the machine's fall: what follows is classified again
                        break
                    self._digests.append(_digest(row.path))
                    self.kept[row.status.value] += 1
                    if row.label:
                        self.kept_labels[row.label] += 1
                end += len(record)
        self.rows = self.kept.total()
        return end

    def holds(self) -> Callable[[str], bool]:
        """A function that tells of each listed path whether its row was kept, and counts that row as used."""
        import numpy as np

        from fer_fast.inputs.seen import PathCounts

        counts = PathCounts(np.frombuffer(self._digests, np.uint64))
        return lambda path: counts.left > 0 and counts.take(_digest(printable(path)))

    def write(self, rows: Sequence[Row]) -> None:
        """Appends rows.

        Raises:
            OutputError: the disk is full or fails; what was kept can be resumed.
        """
        try:
            self._append(b"".join(map(self._records.encode, rows)))
        except OSError as error:
            raise self._failed(error) from error
        self.rows += len(rows)

    def _append(self, data: bytes) -> None:
        written = 0
        try:
            while written < len(data):
                written += os.write(self._descriptor, memoryview(data)[written:])
        except OSError:
            os.ftruncate(self._descriptor, self._end)  # needs no room
            raise
        self._end += len(data)

    def finish(self) -> None:
        """Puts the complete table in its place.

        Raises:
            OutputError: the disk is full or fails; all rows are kept and can be resumed.
        """
        try:
            os.fsync(self._descriptor)
            if self.out.suffix.lower() == ".parquet":
                _to_parquet(self.partial, self.out, self.columns)
                self.partial.unlink()
            else:
                self.partial.replace(self.out)
            sync_folder(self.out.parent)
            self._meta.unlink(missing_ok=True)
        except OSError as error:
            raise self._failed(error) from error
        self.close()

    def _failed(self, error: OSError) -> OutputError:
        kept = f"; {self.rows} rows are kept in {self.partial.name!r}: go on with --resume" if self.rows else ""
        return OutputError(f"{str(self.out)!r} cannot be written: {error.strerror or error}{kept}")

    def close(self) -> None:
        """Gives the file and its lock up; an unfinished table stays resumable."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1


class StreamSink:
    """Writes csv to a stream, such as standard output; it cannot be resumed."""

    def __init__(self, stream: BinaryIO, classes: Sequence[str]) -> None:
        self._stream = stream
        self._records = CsvRecords(columns_of(classes))
        self._write(self._records.header)

    def write(self, rows: Sequence[Row]) -> None:
        """Writes rows at once.

        Raises:
            BrokenPipeError: nobody reads any more.
            OutputError: the stream fails otherwise.
        """
        self._write(b"".join(map(self._records.encode, rows)))

    def _write(self, data: bytes) -> None:
        try:
            self._stream.write(data)
            self._stream.flush()
        except BrokenPipeError:
            raise
        except OSError as error:
            raise OutputError(f"the output cannot be written: {error.strerror or error}") from error

    def finish(self) -> None:
        """Nothing is left to do."""

    def close(self) -> None:
        """Nothing is held."""


def _digest(path: str) -> int:
    return int.from_bytes(blake2b(path.encode(), digest_size=8).digest(), "little")


def _to_parquet(journal: Path, out: Path, columns: Sequence[str]) -> None:
    """Converts a jsonl journal, some thousand rows at a time."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    text = ("path", "status", "error", "label")
    schema = pa.schema([(name, pa.string() if name in text else pa.float32()) for name in columns])
    fresh = out.with_name(out.name + ".partial.parquet")
    try:
        with fresh.open("wb") as file, journal.open("rb") as lines:
            with pq.ParquetWriter(file, schema) as writer:
                while block := lines.readlines(1 << 22):
                    rows: list[dict[str, Any]] = [json.loads(line) for line in block]
                    writer.write_table(pa.Table.from_pylist(rows, schema))
            file.flush()
            os.fsync(file.fileno())
        fresh.replace(out)
    finally:
        fresh.unlink(missing_ok=True)
