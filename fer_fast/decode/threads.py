"""Work comes in, a pool's threads do it: as many as can be started."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor


class Threads(ThreadPoolExecutor):
    """A pool that makes do with the threads it has where no other can be started; without any, submit raises."""

    def _adjust_thread_count(self) -> None:
        try:
            super()._adjust_thread_count()  # type: ignore[misc]
        except RuntimeError:
            if not self._threads:  # type: ignore[attr-defined]
                raise
