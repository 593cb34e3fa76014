"""Images come in, the faces in each go out with their predictions; the model's batches are filled across images."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from concurrent.futures import Future
from contextlib import closing
from dataclasses import replace
from typing import TYPE_CHECKING, Generic, NamedTuple, TypeVar

import numpy as np

from fer_fast.decode.threads import Threads
from fer_fast.faces.looking import Looking
from fer_fast.faces.photos import PhotoReader
from fer_fast.faces.turns import image_pieces, in_turn
from fer_fast.types import Face, Prediction

if TYPE_CHECKING:
    import numpy.typing as npt

    from fer_fast.predictions import ImageLike, Means

    Pixels = npt.NDArray[np.uint8]
    #: Of crops of one or several images, float32 [classes] each.
    Rows = list[npt.NDArray[np.float32]]

_Item = TypeVar("_Item")

#: Images that a batch may wait across until it is full, in batches: a few frames of a film have faces, the next
#: thousands may have none, and those wait behind them.
_SPAN = 4


def predict_faces(images: Iterable[ImageLike], means: Means, looking: Looking, exif: bool) -> list[list[Face]]:
    """Finds and classifies the faces of images.

    Args:
        images, exif: see `Classifier.predict_faces`.
        means: what classifies.
        looking: what finds, and cuts crops of the model's size.

    Raises:
        Exception: as `Classifier.predict_faces`.
    """
    limits, workers = means.decoder.limits, means.decoder.workers
    with closing(PhotoReader(looking.finder.find_size, workers, limits)) as reader:
        pieces = image_pieces(images, lambda image: reader.look(image, looking, exif), limits.max_pixels, exif)
        with closing(in_turn(pieces, workers)) as looked:
            crops = ((each.faces, each.pixels) for each in looked)
            with closing(in_batches(crops, means.infer, means.batch_size, means.streams)) as answers:
                return [with_predictions(faces, means.classes, rows) for faces, rows in answers]


def with_predictions(faces: Sequence[Face], classes: tuple[str, ...], rows: Rows) -> list[Face]:
    """Faces with the predictions that their crops' rows are."""
    pairs = zip(faces, rows, strict=True)
    return [replace(face, prediction=Prediction(classes, row)) for face, row in pairs]


def in_batches(
    images: Iterable[tuple[_Item, Pixels]],
    infer: Callable[[Pixels], npt.NDArray[np.float32]],
    batch_size: int,
    streams: int,
) -> Generator[tuple[_Item, Rows], None, None]:
    """What a model says of the crops of images, in order; the crops of many images are never held at once.

    The same images give the same batches, however fast they come. Its `close`, and its end, leave no thread.

    Args:
        images: of each anything, and its crops, uint8 [crops, S, S, 3]; taken on the caller's thread.
        infer: see `Means`; called on threads of its own.
        batch_size, streams: see `Means`.

    Returns:
        The same with the rows of the crops.

    Raises:
        Exception: what `images` or `infer` raises; what `images` does, once the answers before have gone out.
    """
    batches: _Batches[_Item] = _Batches(infer, batch_size, streams)
    fault: Exception | None = None
    taken = iter(images)
    try:
        while True:
            try:
                item, pixels = next(taken)
            except StopIteration:
                break
            except Exception as error:
                fault = error
                break
            batches.add(item, pixels)
            yield from batches.ready()
        batches.finish()
        yield from batches.ready()
    finally:
        batches.close()
    if fault is not None:
        raise fault


class _Waiting(NamedTuple, Generic[_Item]):
    """An image whose crops are in a batch, or several, or that has none."""

    item: _Item
    crops: int


class _Batches(Generic[_Item]):
    """Crops that the model sees together, and the images that they are of."""

    def __init__(self, infer: Callable[[Pixels], npt.NDArray[np.float32]], batch_size: int, streams: int) -> None:
        self._infer, self._size, self._streams = infer, batch_size, streams
        self._most = (streams + 2) * _SPAN * batch_size  # images that wait: many have no face, and are fast
        self._open: list[Pixels] = []
        self._span = 0  # images since the first of them
        self._model = Threads(streams, thread_name_prefix="fer-fast-model")
        self._flight: deque[Future[npt.NDArray[np.float32]]] = deque()
        self._rows: deque[npt.NDArray[np.float32]] = deque()
        self._waiting: deque[_Waiting[_Item]] = deque()

    def add(self, item: _Item, pixels: Pixels) -> None:
        """Takes an image and its crops, [crops, S, S, 3]."""
        self._waiting.append(_Waiting(item, len(pixels)))
        while len(pixels):
            room = self._size - sum(map(len, self._open))
            self._open.append(pixels[:room])
            if len(pixels) >= room:
                self._send()
            pixels = pixels[room:]
        self._span = self._span + 1 if self._open else 0
        if self._span >= _SPAN * self._size:
            self._send()

    def ready(self) -> Iterator[tuple[_Item, Rows]]:
        """The images whose rows are there, each once."""
        while self._flight and (self._flight[0].done() or len(self._waiting) > self._most):
            self._rows.extend(self._flight.popleft().result())
        while self._waiting and self._waiting[0].crops <= len(self._rows):
            item, crops = self._waiting.popleft()
            yield item, [self._rows.popleft() for _ in range(crops)]

    def finish(self) -> None:
        """Waits for the rows of all crops."""
        if self._open:
            self._send()
        while self._flight:
            self._rows.extend(self._flight.popleft().result())

    def close(self) -> None:
        """Waits for what is in the model; nothing else begins."""
        self._model.shutdown(wait=False, cancel_futures=True)
        self._model.shutdown()

    def _send(self) -> None:
        pieces, self._open, self._span = self._open, [], 0
        self._flight.append(self._model.begin(self._infer, np.concatenate(pieces)))
        if len(self._flight) > self._streams:  # one more than are in the model
            self._rows.extend(self._flight.popleft().result())
