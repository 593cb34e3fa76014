"""Images come in one by one, in memory or on disk; a prediction of each goes out, in order, while others are ahead."""

from __future__ import annotations

import os
import threading
from collections import deque
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Future
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from fer_fast.decode.images import called, copy_of, is_held, naming, pixels_of
from fer_fast.decode.threads import Threads
from fer_fast.types import Prediction

if TYPE_CHECKING:
    from typing import TypeAlias

    from fer_fast.decode import Decoded, Decoder, Pixels
    from fer_fast.decode.images import ImageInMemory

    ImageLike: TypeAlias = ImageInMemory | str | os.PathLike[str]
    Array: TypeAlias = npt.NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class Means:
    """What turns images into predictions.

    Attributes:
        classes: names of the probabilities' columns.
        image_size: S.
        batch_size: images that `infer` takes at most.
        streams: how many calls of `infer` at once keep the engine busy.
        decoder: turns paths into pixels.
        infer: uint8 [batch, S, S, 3] to probabilities, float32 [batch, classes]; from several threads at once.
        call: around each piece of work; raises where nothing may be done any more.
    """

    classes: tuple[str, ...]
    image_size: int
    batch_size: int
    streams: int
    decoder: Decoder
    infer: Callable[[Pixels], npt.NDArray[np.float32]]
    call: Callable[[], AbstractContextManager[None]]


class Predictions:
    """Predictions of images, ahead of whoever iterates; an iterator of the thread that makes it, to be used once.

    Images are taken on that thread; decoding, converting and the model have threads of their own. A batch is full,
    unless it is the last or `ahead` holds fewer: the same images give the same batches, however fast they come.
    What is answered is given before another image is taken.

    Args:
        images: what a list, a tuple or an array holds is used where it is until it is answered; of anything else each
            image is copied before the next is taken.
        means: see `Means`.
        ahead: images taken before the answer of an earlier one is waited for; None keeps the engine busy.
        exif: see `pixels_of`.

    Raises:
        Exception: while iterating, once all images before are answered: what `images` raises, or `pixels_of`, with the
            image's place or path.
        FerFastError: while iterating: the decoder or the engine fails.
    """

    def __init__(self, images: Iterable[ImageLike], means: Means, ahead: int | None = None, exif: bool = True) -> None:
        self._images = iter(images)
        self._means, self._exif = means, exif
        # A batch in each stream, one ready for it, two being decoded.
        self._room = (2 * means.streams + 2) * means.batch_size if ahead is None else ahead + 1
        self._is_held = is_held(images)
        if self._is_held:
            self._room = min(self._room, len(images))  # type: ignore[arg-type]
        self._open = _Batch(0)
        self._flight: deque[Future[_Answers]] = deque()
        self._unanswered = 0
        self._has_ended = False
        self._fault: Exception | None = None
        self._model = Threads(means.streams, thread_name_prefix="fer-fast-model")
        self._converting = Threads(means.decoder.workers, thread_name_prefix="fer-fast-convert")
        self._full_size = threading.Semaphore(means.decoder.workers + 1)  # images that are held so, whatever the batch
        self._process = os.getpid()

    def __iter__(self) -> Generator[Prediction, None, None]:
        try:
            while (answers := self._next()) is not None:
                for prediction in answers.predictions:
                    self._check()
                    self._unanswered -= 1
                    yield prediction
                if answers.fault is not None:
                    raise answers.fault
            if self._fault is not None:
                raise self._fault
        finally:
            self._close()

    def _next(self) -> _Answers | None:
        """The answers of the next batch; None after the last."""
        self._check()
        while not self._has_ended and self._unanswered < self._room and not self._is_answered():
            self._take()
        if self._flight:
            if self._has_ended and len(self._open):
                self._send()
            return self._flight.popleft().result()
        # With nothing else to do meanwhile a thread would only cost its start.
        return self._cut().answers(self._means) if len(self._open) else None

    def _is_answered(self) -> bool:
        return bool(self._flight) and self._flight[0].done()

    def _take(self) -> None:
        """Takes one image; whatever it raises, or where it comes from, ends them."""
        try:
            self._add(next(self._images))
        except StopIteration:
            self._has_ended = True
            return
        except Exception as error:
            self._has_ended, self._fault = True, error
            return
        self._unanswered += 1
        if len(self._open) == self._means.batch_size:
            self._send()

    def _add(self, image: ImageLike) -> None:
        batch = self._open
        slot, place = len(batch), batch.first + len(batch)
        if isinstance(image, (str, os.PathLike)):
            batch.paths[slot] = os.fsdecode(image)
        elif self._room == 1:
            batch.pixels[slot] = self._pixels(image, place)
        else:
            batch.pixels[slot] = self._converted(image, place)

    def _converted(self, image: ImageInMemory, place: int) -> Future[Array]:
        self._full_size.acquire()
        try:
            if not self._is_held:
                with naming(image, place):
                    image = copy_of(image, self._means.decoder.limits.max_pixels, self._exif)
            future = self._converting.begin(self._pixels, image, place)
        except BaseException:
            self._full_size.release()
            raise
        future.add_done_callback(lambda _: self._full_size.release())
        return future

    def _pixels(self, image: ImageInMemory, place: int) -> Array:
        """One image; in a thread that converts, or the caller's."""
        with naming(image, place):
            decoder = self._means.decoder
            return pixels_of(
                image, self._means.image_size, decoder.limits.max_pixels, self._exif, decoder.decode_content
            )

    def _send(self) -> None:
        self._flight.append(self._model.begin(self._cut().answers, self._means))

    def _cut(self) -> _Batch:
        """The open batch, whose files are being decoded now; another is open."""
        batch, self._open = self._open, _Batch(self._open.first + len(self._open))
        with self._means.call():
            if batch.paths:
                batch.decoded = self._means.decoder.submit(list(batch.paths.values()))
        return batch

    def _check(self) -> None:
        with self._means.call():
            pass

    def _close(self) -> None:
        """Begins nothing more, and waits for what runs: at most a batch a stream, an image a worker."""
        if os.getpid() != self._process:  # its threads are not here
            return
        pools = (self._model, self._converting)
        for pool in pools:
            pool.shutdown(wait=False, cancel_futures=True)
        for pool in pools:
            pool.shutdown()


@dataclass(slots=True)
class _Answers:
    """Predictions of a batch's images up to the first that gives no pixels, and why that one gives none."""

    predictions: list[Prediction]
    fault: Exception | None


@dataclass(slots=True)
class _Batch:
    """Images that the model sees together.

    Attributes:
        first: the place of the first of them among all.
        pixels: of each image in memory, by its place in the batch.
        paths: of each image on disk, likewise.
        decoded: what the decoder makes of `paths`, if there are any.
    """

    first: int
    pixels: dict[int, Array | Future[Array]] = field(default_factory=dict)
    paths: dict[int, str] = field(default_factory=dict)
    decoded: Future[Decoded] | None = None

    def __len__(self) -> int:
        return len(self.pixels) + len(self.paths)

    def answers(self, means: Means) -> _Answers:
        """Waits for its pixels and classifies them."""
        with means.call():
            found: list[Array] = []
            fault = None
            for each in self._outcomes():
                if isinstance(each, Exception):
                    fault = each
                    break
                found.append(each)
            rows = means.infer(np.stack(found)) if found else ()
        return _Answers([Prediction(means.classes, row) for row in rows], fault)

    def _outcomes(self) -> list[Array | Exception]:
        """Of each image its pixels, or what it lacks them for."""
        found: dict[int, Array | Exception] = {slot: _outcome(each) for slot, each in self.pixels.items()}
        if self.decoded is not None:
            slots, decoded = list(self.paths), self.decoded.result()
            found |= {slots[index]: pixels for index, pixels in zip(decoded.indices, decoded.on_host(), strict=True)}
            for index, error in decoded.failures:
                found[slots[index]] = called(error, self.paths[slots[index]])
        return [found[slot] for slot in range(len(self))]


def _outcome(pixels: Array | Future[Array]) -> Array | Exception:
    if not isinstance(pixels, Future):
        return pixels
    try:
        return pixels.result()
    except Exception as error:
        return error
