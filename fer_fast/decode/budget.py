"""Memory that several threads share: each takes what it needs, in the order in which they ask."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager


class Budget:
    """So many bytes, of which each thread takes a part for a while.

    Who asks for much is served in its turn: those who ask for little later wait behind it.

    Args:
        size: in bytes.
    """

    def __init__(self, size: int) -> None:
        self._left = size
        self._size = size
        self._waiting: deque[object] = deque()
        self._changed = threading.Condition()

    @contextmanager
    def take(self, size: int) -> Iterator[None]:
        """Waits until so many bytes are free, and holds them.

        Raises:
            ValueError: there never are.
        """
        if size > self._size:
            raise ValueError(f"{size} bytes are more than the {self._size} that there are")
        turn = object()
        with self._changed:
            self._waiting.append(turn)
            try:
                self._changed.wait_for(lambda: self._waiting[0] is turn and self._left >= size)
                self._left -= size
            finally:
                self._waiting.remove(turn)
                self._changed.notify_all()
        try:
            yield
        finally:
            with self._changed:
                self._left += size
                self._changed.notify_all()
