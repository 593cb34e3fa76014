"""Pieces of work come in one by one; what each gives goes out, in their order, while the next ones are worked on."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import Future
from functools import partial
from typing import TYPE_CHECKING, TypeVar

from fer_fast.decode.images import copy_of, is_held, naming
from fer_fast.decode.threads import Threads

if TYPE_CHECKING:
    from fer_fast.predictions import ImageLike

_Result = TypeVar("_Result")


def in_turn(pieces: Iterable[Callable[[], _Result]], workers: int) -> Generator[_Result, None, None]:
    """What pieces of work give. They are taken on the caller's thread; its `close`, and its end, leave no thread.

    Args:
        pieces: called on other threads, several at once.
        workers: how many.

    Raises:
        Exception: whatever `pieces` or one of them raises, once what those before give has gone out.
        FerFastError: as `Threads.begin`.
    """
    pool = Threads(workers, thread_name_prefix="fer-fast-faces")
    flight: deque[Future[_Result]] = deque()
    fault: Exception | None = None
    waiting = iter(pieces)
    try:
        while True:
            try:
                flight.append(pool.begin(next(waiting)))
            except StopIteration:
                break
            except Exception as error:
                fault = error
                break
            if len(flight) > workers:  # one more than are worked on: none waits for the caller
                yield flight.popleft().result()
        while flight:
            yield flight.popleft().result()
    finally:
        pool.shutdown(wait=False, cancel_futures=True)
        pool.shutdown()
    if fault is not None:
        raise fault


def image_pieces(
    images: Iterable[ImageLike], work: Callable[[ImageLike], _Result], max_pixels: int, exif: bool
) -> Iterator[Callable[[], _Result]]:
    """For `in_turn`: what `work` makes of each image.

    Args:
        images: see `Classifier.predict_iter`; those that may change once the next is taken are copied.
        work: called with an image.
        max_pixels, exif: see `pixels_of`.

    Raises:
        Exception: whatever `images` or `work` raises; what is raised of an image has its path, or its place as
            images[3].
    """
    may_change = not is_held(images)

    def named(image: ImageLike, place: int) -> _Result:
        with naming(image, place):
            return work(image)

    for place, image in enumerate(images):
        own = image
        if may_change and not isinstance(image, (str, os.PathLike)):
            with naming(image, place):
                own = copy_of(image, max_pixels, exif)
        yield partial(named, own, place)
