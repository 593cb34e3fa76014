"""Items become rows, in order: files are decoded and classified ahead of the caller, in batches across items."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Iterable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from itertools import chain, islice, repeat
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from fer_fast.machine.stall import DEFAULT_STALL_TIMEOUT, Pulse, wait_for
from fer_fast.pipeline.chunk import Chunk
from fer_fast.pipeline.fetched import joined
from fer_fast.pipeline.fetching import Fetching
from fer_fast.pipeline.summary import Stages
from fer_fast.types import FerFastError, Item, ItemRows, counted

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


class ItemBatches:
    """Items that are classified some batches ahead of whoever iterates; an iterator of the thread that makes it.

    Each step gives some items in their order, each with all of its rows.

    Args:
        items: taken lazily.
        classifier: its decoder and its model work at the same time. The decoder may give any number of pictures an
            item; the model's batches are filled across items.
        stages: gets the time that decoder and model take.
        stall_timeout: seconds that may pass without anything coming from either; 0 is for ever.
        pulse: beats with all that is done.

    Raises:
        FerFastError: the decoder or the model fails; while iterating.
        StalledError: see `stall_timeout`; while iterating.
    """

    def __init__(
        self,
        items: Iterable[Item],
        classifier: BatchClassifier,
        stages: Stages,
        stall_timeout: float = DEFAULT_STALL_TIMEOUT,
        pulse: Pulse | None = None,
    ) -> None:
        self._items = iter(items)
        self._size = classifier.decoder.files_at_once or classifier.batch_size
        # The first item goes alone: its rows are there long before those of a batch.
        self._sizes = chain([1], repeat(self._size))
        batches = 2 * classifier.streams + 2  # a batch in each stream, one ready for it, two being decoded
        self._ahead = batches * classifier.batch_size // self._size
        self._flight: deque[Chunk] = deque()
        self._pool = ThreadPoolExecutor(classifier.streams, thread_name_prefix="fer-fast-model")
        self._pulse = pulse or Pulse()
        # A batch of files that each take their time is no stall.
        self._fetching = Fetching(classifier.decoder)
        self._files_done = lambda: classifier.decoder.files_done + self._fetching.signs
        self._pulse.follow(self._files_done)
        self._batches = _Batches(classifier, self._fetching, self._pool, stages, self._pulse)
        self._stall_timeout = stall_timeout

    def __iter__(self) -> ItemBatches:
        return self

    def __next__(self) -> list[ItemRows]:
        flight = self._flight
        while len(flight) < self._ahead and not self._batches.is_complete:
            if chunk := list(islice(self._items, next(self._sizes))):
                flight.append(self._batches.submit(chunk))
            else:
                self._batches.complete()
        if not flight:
            raise StopIteration
        self._batches.need(flight[0])
        wait_for(flight[0].done, self._stall_timeout, self._pulse, "the next batch")
        return flight.popleft().done.result()

    def finished(self) -> list[ItemRows]:
        """After an interrupt: the items next in order whose rows have come."""
        found: list[ItemRows] = []
        while self._flight and self._flight[0].has_rows:
            found += self._flight.popleft().done.result()
        return found

    def close(self, seconds: float | None = None) -> None:
        """Begins nothing more, and waits for the batches that are in the model: at most one a stream.

        Args:
            seconds: how long, for a model that may not answer; None waits for ever.
        """
        self._pulse.forget(self._files_done)
        self._fetching.close()
        self._pool.shutdown(wait=False, cancel_futures=True)
        if self._batches.wait_until_idle(seconds):
            self._pool.shutdown()


class _Piece(NamedTuple):
    """Some pictures of a chunk, from `first` on."""

    chunk: Chunk
    first: int
    pixels: Pixels


class _Batches:
    """Fills the model's batches with the pictures of chunks, in the chunks' order.

    Attributes:
        is_complete: whether all items have been submitted.
    """

    def __init__(
        self,
        classifier: BatchClassifier,
        fetching: Fetching,
        pool: ThreadPoolExecutor,
        stages: Stages,
        pulse: Pulse,
    ) -> None:
        self._classifier, self._fetching, self._pool, self._stages, self._pulse = (
            classifier,
            fetching,
            pool,
            stages,
            pulse,
        )
        self._decoding: deque[tuple[Chunk, Future[Decoded]]] = deque()
        self._open: list[_Piece] = []
        self._has_sent = False
        self.is_complete = False
        self._lock = threading.Lock()
        self._running: set[Future[None]] = set()

    def submit(self, items: Sequence[Item]) -> Chunk:
        """Begins to decode items."""
        chunk, decoded = Chunk(items, self._classifier.decoder.several), self._fetching.submit(items)
        with self._lock:
            self._decoding.append((chunk, decoded))
        decoded.add_done_callback(lambda _: self._advance())
        return chunk

    def need(self, chunk: Chunk) -> None:
        """Lets no picture of a chunk wait for a batch to fill up that may never do so."""
        with self._lock:
            chunk.needed = True
            self._send_if_needed()

    def complete(self) -> None:
        """No more items come: the last pictures go as soon as they are decoded, not when somebody waits for them."""
        with self._lock:
            self.is_complete = True
            self._send_if_needed()

    def wait_until_idle(self, seconds: float | None) -> bool:
        """Waits until no batch is in the model, or for so long; whether none is."""
        with self._lock:
            running = list(self._running)
        return not wait(running, seconds).not_done

    def _advance(self) -> None:
        with self._lock:
            while self._decoding and self._decoding[0][1].done():
                self._take(*self._decoding.popleft())
            self._send_if_needed()

    def _send_if_needed(self) -> None:
        needed = self.is_complete or any(piece.chunk.needed for piece in self._open)
        if self._open and needed and not self._decoding:
            self._send()

    def _take(self, chunk: Chunk, answer: Future[Decoded]) -> None:
        """A chunk that is decoded; under the lock."""
        self._pulse.beat()
        try:
            decoded = answer.result()
            chunk.begin(decoded)
        except BaseException as error:  # the caller gets it, when this chunk's turn comes
            chunk.fail(error)
            return
        with self._stages.lock:
            self._stages.decode += decoded.seconds
            self._stages.find += decoded.finding
        if self._open and _lies(self._open[0].pixels) != _lies(decoded.pixels):
            self._send()
        first, pictures = 0, len(decoded.indices)
        while first < pictures:
            room = self._classifier.batch_size - sum(len(piece.pixels) for piece in self._open)
            last = min(first + room, pictures)
            self._open.append(_Piece(chunk, first, decoded.pixels[first:last]))
            if last - first == room:
                self._send()
            first = last
        if self._open and not self._has_sent:  # somebody waits for a first row
            self._send()

    def _send(self) -> None:
        self._has_sent = True
        pieces, self._open = self._open, []
        try:
            batch = self._pool.submit(self._classify, pieces)
        except RuntimeError:  # the run has stopped, and nobody waits
            for piece in pieces:
                piece.chunk.done.cancel()
            self._classifier.decoder.release(sum(len(piece.pixels) for piece in pieces))
            return
        self._running.add(batch)
        batch.add_done_callback(self._running.discard)

    def _classify(self, pieces: Sequence[_Piece]) -> None:
        """One batch; in a thread of the model's."""
        begun = time.perf_counter()
        try:
            answers = predicted(joined([piece.pixels for piece in pieces]), self._classifier)
            place = 0
            for piece in pieces:
                piece.chunk.answer(piece.first, self._classifier.classes, answers[place : place + len(piece.pixels)])
                place += len(piece.pixels)
        except BaseException as error:  # the caller gets it
            for piece in pieces:
                piece.chunk.fail(error)
        self._classifier.decoder.release(sum(len(piece.pixels) for piece in pieces))
        self._pulse.beat()
        with self._stages.lock:
            self._stages.model += time.perf_counter() - begun


def _lies(pixels: Pixels) -> str:
    return str(getattr(pixels, "device", "cpu"))


def predicted(pixels: Pixels, classifier: BatchClassifier) -> npt.NDArray[np.float32]:
    """What a model says of a batch.

    Raises:
        FerFastError: it fails, or what it says are no probabilities.
    """
    import numpy as np

    try:
        probabilities = classifier.predict_batch(pixels)  # [batch, classes]
    except Exception as error:
        batch = counted(len(pixels), "image", "images")
        raise FerFastError(f"the model failed on a batch of {batch}: {error}") from error
    wanted = (len(pixels), len(classifier.classes))
    if probabilities.shape != wanted:
        raise FerFastError(f"the model gave probabilities {list(probabilities.shape)} instead of {list(wanted)}")
    if not np.isfinite(probabilities).all():
        raise FerFastError("the model gave a probability that is not a number; another precision may help")
    return probabilities
