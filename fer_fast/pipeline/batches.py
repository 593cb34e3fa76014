"""Items become rows, in order: files are decoded and classified ahead of the caller, in batches across items."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from fer_fast.machine.stall import DEFAULT_STALL_TIMEOUT, wait_for
from fer_fast.pipeline.summary import Stages
from fer_fast.types import FerFastError, Item, ItemRows, Prediction, Row, StalledError, Status

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from fer_fast.decode import Decoded, Decoder, Pixels


class BatchClassifier(Protocol):
    """What this room asks of a `fer_fast.Classifier`."""

    classes: tuple[str, ...]
    batch_size: int
    streams: int
    identity: str
    decoder: Decoder

    def predict_batch(self, pixels: Pixels) -> npt.NDArray[np.float32]:
        """uint8 [batch, S, S, 3] to float32 [batch, classes]; from several threads at once."""

    def describe(self) -> dict[str, Any]:
        """What runs."""

    def close(self) -> None:
        """Gives everything back."""


def classify_items(
    items: Iterable[Item],
    classifier: BatchClassifier,
    stages: Stages,
    stall_timeout: float = DEFAULT_STALL_TIMEOUT,
) -> Iterator[list[ItemRows]]:
    """Classifies items, some batches ahead of the caller.

    Args:
        items: taken lazily.
        classifier: its decoder and its model work at the same time. The decoder may give any number of pictures an
            item; the model's batches are filled across items.
        stages: gets the time that decoder and model take.
        stall_timeout: seconds that may pass without anything coming from either; 0 is for ever.

    Yields:
        The items in their order, some at a time, each with all of its rows.

    Raises:
        FerFastError: the decoder or the model fails.
        StalledError: see `stall_timeout`. Threads that do not answer are left behind.
    """
    remaining = iter(items)
    ahead = 2 * classifier.streams + 2  # one batch in each stream, one ready for it, two being decoded
    flight: deque[_Chunk] = deque()
    pool = ThreadPoolExecutor(classifier.streams, thread_name_prefix="fer-fast-model")
    batches = _Batches(classifier, pool, stages)
    answering = True
    try:
        while True:
            while len(flight) < ahead and (chunk := list(islice(remaining, classifier.batch_size))):
                flight.append(batches.submit(chunk))
            if not flight:
                return
            first = flight.popleft()
            batches.need(first)
            yield wait_for(first.done, stall_timeout, lambda: batches.steps, "the next batch")
    except StalledError:
        answering = False
        raise
    finally:
        pool.shutdown(wait=answering, cancel_futures=True)  # at most one batch a stream


class _Chunk:
    """Items that are decoded together; their rows come when all of their pictures are classified."""

    def __init__(self, items: Sequence[Item], decoded: Future[Decoded], several: bool) -> None:
        self.decoded = decoded
        self.done: Future[list[ItemRows]] = Future()
        self.needed = False
        self._items, self._several = items, several
        self._rows: list[Row | None] = []
        self._left = 0
        self._lock = threading.Lock()

    def begin(self, decoded: Decoded) -> None:
        """Takes what the decoder says, before any `answer`."""
        self._rows = [None] * len(decoded.indices)
        self._left = len(decoded.indices)
        if not self._left:
            self._finish(decoded)

    def answer(self, first: int, classes: tuple[str, ...], answers: npt.NDArray[np.float32]) -> None:
        """Takes the probabilities [pictures, classes] of the pictures from `first` on; from any thread."""
        decoded = self.decoded.result()
        rows = []
        for place, probabilities in enumerate(answers, first):
            item = self._items[decoded.indices[place]]
            cells = decoded.cells[place] if decoded.cells else ()
            rows.append(Row(item.name, Status.OK, "", Prediction(classes, probabilities), cells))
        with self._lock:
            self._rows[first : first + len(rows)] = rows
            self._left -= len(rows)
            last = not self._left
        if last:
            self._finish(decoded)

    def fail(self, error: BaseException) -> None:
        """Its rows will not come."""
        with self._lock:
            if not self.done.done():
                self.done.set_exception(error)

    def _finish(self, decoded: Decoded) -> None:
        found: list[list[Row]] = [[] for _ in self._items]
        for index, row in zip(decoded.indices, self._rows, strict=True):
            assert row is not None
            found[index].append(row)
        for index, error in decoded.failures:
            found[index].append(Row(self._items[index].name, error.status, str(error)))
        if not self._several and any(len(rows) != 1 for rows in found):
            self.fail(FerFastError("the decoder lost an image of a batch"))
            return
        each = zip(self._items, found, decoded.stamps, strict=True)
        self.done.set_result([ItemRows(item, tuple(rows), stamp) for item, rows, stamp in each])


class _Piece(NamedTuple):
    """Some pictures of a chunk, from `first` on."""

    chunk: _Chunk
    first: int
    pixels: Pixels


class _Batches:
    """Fills the model's batches with the pictures of chunks, in the chunks' order.

    Attributes:
        steps: chunks decoded and batches classified, whether or not they failed.
    """

    def __init__(self, classifier: BatchClassifier, pool: ThreadPoolExecutor, stages: Stages) -> None:
        self._classifier, self._pool, self._stages = classifier, pool, stages
        self.steps = 0
        self._decoding: deque[_Chunk] = deque()
        self._open: list[_Piece] = []
        self._lock = threading.Lock()

    def submit(self, items: Sequence[Item]) -> _Chunk:
        """Begins to decode items."""
        decoder = self._classifier.decoder
        chunk = _Chunk(items, decoder.submit([item.path for item in items]), decoder.several)
        with self._lock:
            self._decoding.append(chunk)
        chunk.decoded.add_done_callback(lambda _: self._advance())
        return chunk

    def need(self, chunk: _Chunk) -> None:
        """Lets no picture of a chunk wait for a batch to fill up that may never do so."""
        with self._lock:
            chunk.needed = True
            self._send_if_needed()

    def _advance(self) -> None:
        with self._lock:
            while self._decoding and self._decoding[0].decoded.done():
                self._take(self._decoding.popleft())
            self._send_if_needed()

    def _send_if_needed(self) -> None:
        if not self._decoding and any(piece.chunk.needed for piece in self._open):
            self._send()

    def _take(self, chunk: _Chunk) -> None:
        """A chunk that is decoded; under the lock."""
        self.steps += 1
        try:
            decoded = chunk.decoded.result()
        except BaseException as error:  # the caller gets it, when this chunk's turn comes
            chunk.fail(error)
            return
        with self._stages.lock:
            self._stages.decode += decoded.seconds
        if self._open and _lies(self._open[0].pixels) != _lies(decoded.pixels):
            self._send()
        chunk.begin(decoded)
        first, pictures = 0, len(decoded.indices)
        while first < pictures:
            room = self._classifier.batch_size - sum(len(piece.pixels) for piece in self._open)
            last = min(first + room, pictures)
            self._open.append(_Piece(chunk, first, decoded.pixels[first:last]))
            if last - first == room:
                self._send()
            first = last

    def _send(self) -> None:
        pieces, self._open = self._open, []
        try:
            self._pool.submit(self._classify, pieces)
        except RuntimeError:  # the run has stopped, and nobody waits
            for piece in pieces:
                piece.chunk.done.cancel()

    def _classify(self, pieces: Sequence[_Piece]) -> None:
        """One batch; in a thread of the model's."""
        begun = time.perf_counter()
        try:
            answers = _predict(_joined([piece.pixels for piece in pieces]), self._classifier)
            place = 0
            for piece in pieces:
                piece.chunk.answer(piece.first, self._classifier.classes, answers[place : place + len(piece.pixels)])
                place += len(piece.pixels)
        except BaseException as error:  # the caller gets it
            for piece in pieces:
                piece.chunk.fail(error)
        self.steps += 1
        with self._stages.lock:
            self._stages.model += time.perf_counter() - begun


def _lies(pixels: Pixels) -> str:
    return str(getattr(pixels, "device", "cpu"))


def _joined(parts: Sequence[Pixels]) -> Pixels:
    """One batch of pictures that lie at the same place."""
    if len(parts) == 1:
        return parts[0]
    import numpy as np

    if isinstance(parts[0], np.ndarray):
        return np.concatenate(parts)
    import torch

    joined = torch.cat([part for part in parts if isinstance(part, torch.Tensor)])
    torch.cuda.current_stream(joined.device).synchronize()  # whatever stream the model runs on
    return joined


def _predict(pixels: Pixels, classifier: BatchClassifier) -> npt.NDArray[np.float32]:
    import numpy as np

    try:
        probabilities = classifier.predict_batch(pixels)  # [batch, classes]
    except Exception as error:
        raise FerFastError(f"the model failed on a batch of {len(pixels)} images: {error}") from error
    wanted = (len(pixels), len(classifier.classes))
    if probabilities.shape != wanted:
        raise FerFastError(f"the model gave probabilities {list(probabilities.shape)} instead of {list(wanted)}")
    if not np.isfinite(probabilities).all():
        raise FerFastError("the model gave a probability that is not a number; another precision may help")
    return probabilities
