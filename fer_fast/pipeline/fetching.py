"""Items come in whose files lie in stores and on the web; a decoder gets these files, read ahead, as files in memory.

Files go to the decoder in their order, whichever comes first: what a face finder makes of a later photo must not take
the room that an earlier one needs.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Sequence
from concurrent.futures import Future
from contextlib import ExitStack
from queue import SimpleQueue
from typing import TYPE_CHECKING

from fer_fast.decode.limits import in_words
from fer_fast.inputs.films import is_film
from fer_fast.inputs.tars import is_tar
from fer_fast.machine.urls import is_url, name_in
from fer_fast.pipeline.fetched import Batch, Fetched, Piece
from fer_fast.types import DecodeError, FerFastError, Item, Status

if TYPE_CHECKING:
    from fer_fast.decode import Decoded, Decoder

#: Files that are read at once.
CONNECTIONS = 32
#: What waits for the decoder takes such a share of the memory that it may take; one file may take as much again.
_SHARE = 8


class Fetching:
    """Gives a decoder items, wherever their files are.

    Args:
        decoder: what decodes; it stays its owner's.

    Attributes:
        signs: grows with whatever is done, a sign of life.
    """

    def __init__(self, decoder: Decoder) -> None:
        self.signs = 0
        self._decoder = decoder
        self._most = max(1, decoder.limits.max_memory // _SHARE)
        self._batches: deque[Batch] = deque()  # not given to the decoder wholly
        self._held = self._given = 0  # bytes that were fetched, and of them those that the decoder has
        self._waiting = 0  # threads, for room
        self._changed = threading.Condition()
        self._tasks: SimpleQueue[tuple[Batch, int] | None] = SimpleQueue()
        self._threads = 0
        self._closed = threading.Event()

    def submit(self, items: Sequence[Item]) -> Future[Decoded]:
        """Begins to decode a batch, see `Decoder.submit`; of one thread."""
        paths = [item.path for item in items]
        places = [place for place, path in enumerate(paths) if is_url(path)]
        with self._changed:
            if not places and not self._batches:
                return self._decoder.submit(paths)
            batch = Batch(items, self._decoder.image_size)
            for place in {*range(len(items))}.difference(places):
                batch.take(place, paths[place])
            self._batches.append(batch)
        for place in places:
            self._tasks.put((batch, place))
        self._employ(len(places))
        self._advance()
        return batch.future

    def close(self) -> None:
        """Fetches nothing more; what is being read is left to its thread."""
        self._closed.set()
        with self._changed:
            self._changed.notify_all()
        for _ in range(self._threads):
            self._tasks.put(None)

    def _employ(self, tasks: int) -> None:
        """Has a thread for each task, up to a limit. They keep no process alive: a server may answer late, or never."""
        for _ in range(min(tasks, CONNECTIONS - self._threads)):
            try:
                threading.Thread(target=self._work, name="fer-fast-fetch", daemon=True).start()
            except RuntimeError as error:  # no other can be started: those that there are do its work
                if not self._threads:
                    raise FerFastError(f"nothing can be fetched: {error}") from error
                return
            self._threads += 1

    def _work(self) -> None:
        while (task := self._tasks.get()) is not None and not self._closed.is_set():
            batch, place = task
            found = self._fetched(batch, place)
            with self._changed:
                batch.take(place, found)
            self._advance()

    def _fetched(self, batch: Batch, place: int) -> Fetched | DecodeError:
        from fer_fast.remote.stores import content_of
        from fer_fast.remote.trying import tried

        item = batch.items[place]
        held = 0

        def room(size: int) -> None:
            nonlocal held
            self._resize(batch, place, held, size)
            held = size

        def once() -> Fetched:
            self.signs += 1
            return Fetched(*content_of(item.path, item.stamp, room))

        try:
            _check_kind(item.path)
            return tried(once, self._closed)
        except DecodeError as error:
            self._resize(batch, place, held, 0)
            return error
        finally:
            self.signs += 1

    def _resize(self, batch: Batch, place: int, held: int, size: int) -> None:
        """Waits until a file that holds some memory may hold more; the next of all may where nothing else can end."""
        if size > self._most:
            words = f"{in_words(size)}, and a file in a store may have {in_words(self._most)}"
            raise DecodeError(Status.TOO_LARGE, f"{words}: an eighth of the memory for decoding", again=True)

        def has_room() -> bool:
            fits = self._held - held + size <= self._most
            is_next = self._batches[0] is batch and batch.next == place and not self._given
            return fits or is_next or self._closed.is_set()

        with self._changed:
            if size > held and not has_room():
                self._waiting += 1
                self._give()
                self._changed.wait_for(has_room)
                self._waiting -= 1
            self._held += size - held
            self._changed.notify_all()

    def _advance(self) -> None:
        with self._changed:
            self._give()
            self._changed.notify_all()

    def _give(self) -> None:
        """Gives the decoder batches, and while somebody waits for room what is there of the next; under the lock."""
        while self._batches and not self._closed.is_set():
            batch = self._batches[0]
            is_whole = batch.ready == len(batch.items)
            if batch.next < batch.ready and (is_whole or self._waiting):
                self._give_piece(batch)
            if not is_whole:
                return
            self._batches.popleft()
            batch.finish()

    def _give_piece(self, batch: Batch) -> None:
        try:
            piece = batch.piece()
            if not piece.paths:
                return
            with ExitStack() as opened:
                opened.push(piece.opened)
                decoded = self._decoder.submit(piece.paths)
                opened.pop_all()
        except Exception as error:  # no descriptor, or the decoder is closed
            batch.fail(error if isinstance(error, FerFastError) else FerFastError(f"the decoder failed: {error}"))
            return
        self._given += piece.size
        batch.begin(piece, decoded)
        decoded.add_done_callback(lambda _: self._decoded(batch, piece))

    def _decoded(self, batch: Batch, piece: Piece) -> None:
        piece.opened.close()
        with self._changed:
            self._held -= piece.size
            self._given -= piece.size
            self._changed.notify_all()
            batch.finish()


def _check_kind(url: str) -> None:
    """Refuses what is not read from elsewhere, before all of it comes.

    Raises:
        DecodeError: it is called as films or tars are.
    """
    name = name_in(url)
    for kind, is_kind in (("film", is_film), ("tar", is_tar)):
        if is_kind(name):
            raise DecodeError(Status.UNSUPPORTED, f"a {kind} is read from a disk alone: copy it to one")
