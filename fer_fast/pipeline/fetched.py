"""A batch of items whose files come one by one; it goes to a decoder in one piece or several, and is one answer."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import Future
from contextlib import ExitStack
from typing import TYPE_CHECKING, NamedTuple

from fer_fast.decode.interface import Decoded
from fer_fast.remote.in_memory import in_memory
from fer_fast.types import DecodeError, Item, Stamp

if TYPE_CHECKING:
    from fer_fast.decode.interface import Pixels


class Fetched(NamedTuple):
    """A file's bytes, and the stamp that they have."""

    content: bytes
    stamp: Stamp


class Piece(NamedTuple):
    """Files of a batch that go to the decoder together.

    Attributes:
        places: theirs in the batch.
        paths: by which they are read, as long as `opened` is.
        size: bytes that were fetched for them.
    """

    places: list[int]
    paths: list[str]
    size: int
    opened: ExitStack


class Batch:
    """Items, as far as their files are there. Not safe by itself from several threads.

    Args:
        items: in their order.
        side: of the decoder's pictures, in pixels.

    Attributes:
        next: the first place that was not given to the decoder.
        ready: all places before it have their files, or an error.
        future: what the decoder says of all of them.
    """

    def __init__(self, items: Sequence[Item], side: int) -> None:
        self.items = items
        self.next = self.ready = 0
        self.future: Future[Decoded] = Future()
        self._found: list[str | Fetched | DecodeError | None] = [None] * len(items)
        self._side = side
        self._stamps: list[Stamp | None] = [None] * len(items)
        self._failures: list[tuple[int, DecodeError]] = []
        self._pieces: list[tuple[list[int], Future[Decoded]]] = []

    def take(self, place: int, found: str | Fetched | DecodeError) -> None:
        """Takes one file: its path, its bytes, or why there are none."""
        self._found[place] = found
        while self.ready < len(self.items) and self._found[self.ready] is not None:
            self.ready += 1

    def piece(self) -> Piece:
        """What is ready and was not given yet; the caller closes it.

        Raises:
            OSError: no memory, or no descriptor.
        """
        piece = Piece([], [], 0, ExitStack())
        contents: list[tuple[str, bytes]] = []
        fetched = []
        for place in range(self.next, self.ready):
            found, self._found[place] = self._found[place], None
            if isinstance(found, DecodeError):
                self._failures.append((place, found))
                continue
            piece.places.append(place)
            if isinstance(found, Fetched):
                self._stamps[place] = found.stamp
                fetched.append(len(piece.paths))
                contents.append((self.items[place].path, found.content))
            piece.paths.append(self.items[place].path)
        self.next = self.ready
        with piece.opened:
            for number, path in zip(fetched, in_memory(contents, piece.opened), strict=True):
                piece.paths[number] = path
            opened = piece.opened.pop_all()
        return piece._replace(size=sum(len(content) for _, content in contents), opened=opened)

    def begin(self, piece: Piece, decoded: Future[Decoded]) -> None:
        """A piece is being decoded."""
        self._pieces.append((piece.places, decoded))

    def finish(self) -> None:
        """Answers, if all is decoded."""
        if self.future.done() or self.next < len(self.items) or not all(piece.done() for _, piece in self._pieces):
            return
        try:
            self.future.set_result(self._joined([(places, piece.result()) for places, piece in self._pieces]))
        except BaseException as error:
            self.fail(error)

    def fail(self, error: BaseException) -> None:
        """The decoder failed."""
        if not self.future.done():
            self.future.set_exception(error)

    def _joined(self, parts: list[tuple[list[int], Decoded]]) -> Decoded:
        for places, part in parts:
            self._failures += [(places[index], error) for index, error in part.failures]
            for place, stamp in zip(places, part.stamps, strict=True):
                self._stamps[place] = self._stamps[place] or stamp
        return Decoded(
            joined([part.pixels for _, part in parts]) if parts else self._nothing(),
            [places[index] for places, part in parts for index in part.indices],
            sorted(self._failures, key=lambda failure: failure[0]),
            sum(part.seconds for _, part in parts),
            self._stamps,
            [cells for _, part in parts for cells in part.cells],
            sum(part.finding for _, part in parts),
        )

    def _nothing(self) -> Pixels:
        import numpy as np

        return np.empty((0, self._side, self._side, 3), np.uint8)


def joined(parts: Sequence[Pixels]) -> Pixels:
    """Pictures of one part or more, uint8 [pictures, S, S, 3] each, as one, where the first of them lies."""
    if len(parts) == 1:
        return parts[0]
    import numpy as np

    arrays = [part for part in parts if isinstance(part, np.ndarray)]
    if len(arrays) == len(parts):
        return np.concatenate(arrays)
    import torch

    tensors = [part if isinstance(part, torch.Tensor) else torch.from_numpy(part) for part in parts]
    device = tensors[0].device
    whole = torch.cat([part.to(device) for part in tensors])
    torch.cuda.current_stream(device).synchronize()  # whatever stream the model runs on
    return whole
