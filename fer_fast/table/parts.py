"""Finished parts: files of whole items and their rows, written aside, synced and renamed, and never changed again."""

from __future__ import annotations

import errno
import hashlib
import io
import logging
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
import numpy.typing as npt

from fer_fast.machine.disk import sync_folder, write_whole
from fer_fast.table.records import Records
from fer_fast.table.schema import Schema
from fer_fast.types import ItemRows, Row, Status

#: What a part holds of an item: its key, the stamp of its file (size -1 where there is none), how many rows it has,
#: whether a resumed run tries it again, and whether it is a section of a film, whose end is another item.
ITEM = np.dtype(
    [("key", "<u8"), ("size", "<i8"), ("modified", "<i8"), ("rows", "<u4"), ("again", "?"), ("section", "?")]
)
#: What it holds of a row beside its record: the record's bytes, the status' place in `STATUSES`, the label's among the
#: classes (-1 where there is none).
ROW = np.dtype([("length", "<u4"), ("status", "u1"), ("label", "<i4")])
STATUSES: tuple[Status, ...] = tuple(Status)
_CODES = {status: code for code, status in enumerate(STATUSES)}

#: A part is written after this many seconds of work, and of a long run after a sixtieth of it, up to the second number:
#: so much is done again after a kill. Before that when its records have so many bytes.
SECONDS = (1.0, 10.0)
LARGEST = 4 << 20
#: Rows that are taken from a finished table at once.
ROWS_AT_ONCE = 1 << 16

_PREFIX, _STATE_PREFIX = "part-", "state-"
_DIGEST = 16  # bytes
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Index:
    """What is known of some items without their records.

    Attributes:
        items: `ITEM` [items].
        rows: `ROW` [rows]; the rows of an item follow each other, in the items' order.
    """

    items: npt.NDArray[np.void]
    rows: npt.NDArray[np.void]


class Source(Protocol):
    """Where the records of some items lie: a part, or a table that was finished."""

    def index(self) -> Index:
        """Of all of its items; read anew at each call."""

    def records(self) -> Stretch:
        """Where they lie."""


class Stretch:
    """Records of items that lie behind each other in a file.

    Args:
        path: the file.
        begin: where in it the first record begins, in bytes.
        index: of its items.
    """

    def __init__(self, path: Path, begin: int, index: Index) -> None:
        self._path, self._index = path, index
        self._row_starts = starts_of(index.items["rows"])
        self._starts = begin + starts_of(index.rows["length"])

    def slices(self, first: int, last: int) -> Iterator[tuple[Index, bytes]]:
        """The items from `first` to before `last` with their records, in pieces of whole items."""
        with self._path.open("rb") as file:
            file.seek(int(self._starts[self._row_starts[first]]))
            while first < last:
                # As many whole items as have so many rows, but one at least.
                most = int(self._row_starts[first]) + ROWS_AT_ONCE
                until = int(np.searchsorted(self._row_starts, most, "right")) - 1
                until = min(max(until, first + 1), last)
                begin, end = int(self._row_starts[first]), int(self._row_starts[until])
                length = int(self._starts[end] - self._starts[begin])
                records = file.read(length)
                if len(records) < length:
                    raise OSError(errno.EIO, f"{self._path.name} became shorter")
                # Copies: a view would keep the whole index.
                yield Index(self._index.items[first:until].copy(), self._index.rows[begin:end].copy()), records
                first = until


class PartFile:
    """A part on the disk; a `Source`. It holds the items and the rows as NumPy saves them, the records, and a digest.

    Args:
        path: as `part_files` gives it.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def index(self) -> Index:
        """See `Source.index`."""
        with self.path.open("rb") as file:
            return Index(np.load(file), np.load(file))

    def records(self) -> Stretch:
        """See `Source.records`."""
        with self.path.open("rb") as file:
            index = Index(np.load(file), np.load(file))
            return Stretch(self.path, file.tell(), index)

    @property
    def state(self) -> str:
        """The last `FilmPart.state` among its items; empty where there is none, or a later part has one."""
        try:
            return state_of(self.path).read_text(encoding="ascii")
        except FileNotFoundError:
            return ""

    def is_whole(self) -> bool:
        """Whether its bytes are those that were written; a machine that fell may leave others."""
        try:
            content = self.path.read_bytes()
        except OSError:
            return False
        return content[-_DIGEST:] == _digest(content[:-_DIGEST])


class PartWriter:
    """Gathers the rows of items and writes them as parts; of one thread.

    Args:
        folder: where parts lie.
        records: how a row becomes bytes.
        schema: of the table.

    Attributes:
        written: the parts, in their order.
    """

    def __init__(self, folder: Path, records: Records, schema: Schema) -> None:
        self._folder, self._records = folder, records
        self.written: list[PartFile] = []
        self._labels = {name: place for place, name in enumerate(schema.classes)}
        self._waiting: list[tuple[npt.NDArray[np.void], npt.NDArray[np.void], bytes, str]] = []
        self._bytes = 0
        self._begun = self._last = time.monotonic()

    def add(self, results: Sequence[ItemRows]) -> None:
        """Takes items; writes a part when enough have come.

        Raises:
            OSError: the disk is full or fails.
        """
        rows = [row for result in results for row in result.rows]
        encoded = [self._records.encode(row) for row in rows]
        items = np.array([_item(result) for result in results], ITEM)
        about = np.array([self._row(row, data) for row, data in zip(rows, encoded, strict=True)], ROW)
        # In one step: an interrupt finds all of it or nothing.
        state = next((each.film.state for each in reversed(results) if each.film is not None), "")
        self._waiting.append((items, about, b"".join(encoded), state))
        self._bytes += sum(map(len, encoded))
        now = time.monotonic()
        shortest, longest = SECONDS
        if self._bytes >= LARGEST or now - self._last >= min(max(shortest, (now - self._begun) / 60), longest):
            self.write()

    def write(self) -> None:
        """Writes what has come as a part.

        Raises:
            OSError: the disk is full or fails; what was to be written is still waiting.
        """
        if not self._waiting:
            return
        waiting = list(self._waiting)
        content = io.BytesIO()
        np.save(content, np.concatenate([items for items, _, _, _ in waiting]))
        np.save(content, np.concatenate([rows for _, rows, _, _ in waiting]))
        content.writelines(records for _, _, records, _ in waiting)
        content.write(_digest(content.getbuffer()))
        part = PartFile(self._folder / f"{_PREFIX}{self._next_number():08}")
        states = [state for _, _, _, state in waiting if state]
        if states:  # before its part: a part is never without it
            write_whole(state_of(part.path), states[-1].encode("ascii"))
        write_whole(part.path, content.getbuffer())
        sync_folder(self._folder)
        self.written.append(part)
        del self._waiting[: len(waiting)]
        if states:
            self._forget_states(state_of(part.path))
        self._bytes = sum(len(records) for _, _, records, _ in self._waiting)
        self._last = time.monotonic()

    def _forget_states(self, last: Path) -> None:
        for path in self._folder.glob(f"{_STATE_PREFIX}*"):
            if path.name < last.name:
                path.unlink()

    def _next_number(self) -> int:
        if self.written:
            return _number_of(self.written[-1].path) + 1
        return max(map(_number_of, part_paths(self._folder)), default=-1) + 1

    def _row(self, row: Row, data: bytes) -> tuple[int, int, int]:
        return len(data), _CODES[row.status], self._labels[row.label] if row.label else -1


def _item(result: ItemRows) -> tuple[int, int, int, int, bool, bool]:
    size, modified = result.stamp or (-1, -1)
    is_section = result.film is not None and not result.film.is_end
    return result.item.key, size, modified, len(result.rows), result.again, is_section


def part_files(folder: Path) -> list[PartFile]:
    """The parts in a folder, in the order in which they were written; damaged ones are told of and left out."""
    whole = []
    for path in part_paths(folder):
        part = PartFile(path)
        if part.is_whole():
            whole.append(part)
        else:
            _log.warning("%s is damaged: its files are classified again", path)
    return whole


def part_paths(folder: Path) -> list[Path]:
    """All of them, damaged ones, too."""
    return sorted(folder.glob(f"{_PREFIX}{'[0-9]' * 8}"))


def state_of(part: Path) -> Path:
    """Where the state of a part's films lies, if it has any."""
    return part.with_name(part.name.replace(_PREFIX, _STATE_PREFIX))


def _number_of(path: Path) -> int:
    return int(path.name.removeprefix(_PREFIX))


def _digest(content: bytes | memoryview) -> bytes:
    return hashlib.blake2b(content, digest_size=_DIGEST).digest()


def starts_of(lengths: npt.NDArray[np.generic]) -> npt.NDArray[np.int64]:
    """Where each of several things begins that lie behind each other, and where the last ends."""
    starts = np.zeros(len(lengths) + 1, np.int64)
    np.cumsum(lengths, out=starts[1:])
    return starts
