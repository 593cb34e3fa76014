"""What a decoder and a model say of some items comes in, piece by piece; their rows go out when they are complete."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from concurrent.futures import Future
from typing import TYPE_CHECKING, Any

from fer_fast.types import DecodeError, FerFastError, Item, ItemRows, Prediction, Row, Stamp, Status

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from fer_fast.decode import Decoded


class Chunk:
    """Items that are decoded together; their rows come when all of their pictures are classified.

    It keeps no pixels: rows may wait long for whoever takes them, and a photo may have hundreds of faces.

    Args:
        items: in their order.
        several: whether an item may have no picture, or more than one.

    Attributes:
        done: of each item its rows.
        needed: somebody waits for them.
    """

    def __init__(self, items: Sequence[Item], several: bool) -> None:
        self.done: Future[list[ItemRows]] = Future()
        self.needed = False
        self._items, self._several = items, several
        self._indices: list[int] = []
        self._cells: list[tuple[Any, ...]] = []
        self._failures: list[tuple[int, DecodeError]] = []
        self._stamps: list[Stamp | None] = []
        self._rows: list[Row | None] = []
        self._left = 0
        self._lock = threading.Lock()

    def begin(self, decoded: Decoded) -> None:
        """Takes what the decoder says, before any `answer`."""
        self._indices, self._cells = decoded.indices, decoded.cells
        self._failures, self._stamps = decoded.failures, decoded.stamps
        self._rows = [None] * len(decoded.indices)
        self._left = len(decoded.indices)
        if not self._left:
            self._finish()

    def answer(self, first: int, classes: tuple[str, ...], answers: npt.NDArray[np.float32]) -> None:
        """Takes the probabilities [pictures, classes] of the pictures from `first` on; from any thread."""
        rows = []
        for place, probabilities in enumerate(answers, first):
            item = self._items[self._indices[place]]
            cells = self._cells[place] if self._cells else ()
            rows.append(Row(item.name, Status.OK, "", Prediction(classes, probabilities), cells))
        with self._lock:
            self._rows[first : first + len(rows)] = rows
            self._left -= len(rows)
            last = not self._left
        if last:
            self._finish()

    @property
    def has_rows(self) -> bool:
        """Whether they have come; not if the decoder or the model failed."""
        return self.done.done() and not self.done.cancelled() and self.done.exception() is None

    def fail(self, error: BaseException) -> None:
        """Its rows will not come."""
        with self._lock:
            if not self.done.done():
                self.done.set_exception(error)

    def _finish(self) -> None:
        found: list[list[Row]] = [[] for _ in self._items]
        for index, row in zip(self._indices, self._rows, strict=True):
            assert row is not None
            found[index].append(row)
        for index, error in self._failures:
            found[index].append(Row(self._items[index].name, error.status, str(error)))
        if not self._several and any(len(rows) != 1 for rows in found):
            self.fail(FerFastError("the decoder lost an image of a batch"))
            return
        again = {index for index, error in self._failures if error.again}
        each = enumerate(zip(self._items, found, self._stamps, strict=True))
        self.done.set_result([ItemRows(item, tuple(rows), stamp, n in again) for n, (item, rows, stamp) in each])
