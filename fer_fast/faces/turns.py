"""Images come in one by one; what is made of each goes out, in their order, while the next ones are worked on."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future
from typing import TYPE_CHECKING, TypeVar

from fer_fast.decode.images import copy_of, is_held, naming
from fer_fast.decode.threads import Threads
from fer_fast.types import FerFastError, one_line

if TYPE_CHECKING:
    from fer_fast.predictions import ImageLike

_Result = TypeVar("_Result")


def in_turn(
    images: Iterable[ImageLike],
    work: Callable[[ImageLike], _Result],
    workers: int,
    max_pixels: int,
    exif: bool,
) -> Iterator[_Result]:
    """What `work` makes of images, which are taken on the caller's thread.

    Args:
        images: see `Classifier.predict_iter`; those that may change once the next is taken are copied.
        work: called from other threads, several times at once.
        workers: how many times.
        max_pixels, exif: see `pixels_of`.

    Raises:
        Exception: whatever `images` or `work` raises, once what is made of the images before has gone out; what is
            raised of an image has its path, or its place as images[3].
    """
    pool = Threads(workers, thread_name_prefix="fer-fast-faces")
    flight: deque[Future[_Result]] = deque()
    begun = _begun(images, work, pool, max_pixels, exif)
    fault: Exception | None = None
    try:
        while True:
            try:
                flight.append(next(begun))
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


def _begun(
    images: Iterable[ImageLike],
    work: Callable[[ImageLike], _Result],
    pool: Threads,
    max_pixels: int,
    exif: bool,
) -> Iterator[Future[_Result]]:
    may_change = not is_held(images)

    def named(image: ImageLike, place: int) -> _Result:
        with naming(image, place):
            return work(image)

    for place, image in enumerate(images):
        own = image
        if may_change and not isinstance(image, (str, os.PathLike)):
            with naming(image, place):
                own = copy_of(image, max_pixels, exif)
        try:
            yield pool.submit(named, own, place)
        except RuntimeError as error:  # no thread can be started, or the interpreter ends
            raise FerFastError(f"no work can be done on other threads: {one_line(error)}") from error
