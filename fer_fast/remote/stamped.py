"""Items come in; those in stores go out with the stamps that they have now, many of which are asked for at once."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import replace

from fer_fast.machine.urls import is_url
from fer_fast.remote.stores import stamp_of
from fer_fast.types import Item

#: Questions that are under way; a list may have millions.
_AT_ONCE = 32


def stamped(items: Iterable[Item]) -> Iterator[Item]:
    """The same items; those that a listing told of, and files on a disk, as they are."""
    waiting: deque[tuple[Item, Future[Item] | None]] = deque()
    with ExitStack() as opened:
        threads: ThreadPoolExecutor | None = None
        for item in items:
            if is_url(item.path) and item.stamp is None:
                threads = threads or opened.enter_context(ThreadPoolExecutor(_AT_ONCE, "fer-fast-look"))
                waiting.append((item, threads.submit(_stamped, item)))
            elif waiting:
                waiting.append((item, None))
            else:
                yield item
            if len(waiting) > 2 * _AT_ONCE:
                yield _next(waiting)
        while waiting:
            yield _next(waiting)


def _stamped(item: Item) -> Item:
    return replace(item, stamp=stamp_of(item.path))


def _next(waiting: deque[tuple[Item, Future[Item] | None]]) -> Item:
    item, asked = waiting.popleft()
    return item if asked is None else asked.result()
