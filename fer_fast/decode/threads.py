"""Work comes in, a pool's threads do it: as many as can be started."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import ParamSpec, TypeVar

from fer_fast.types import FerFastError, one_line

_Arguments = ParamSpec("_Arguments")
_Result = TypeVar("_Result")


class Threads(ThreadPoolExecutor):
    """A pool that makes do with the threads it has where no other can be started; without any, submit raises."""

    def begin(
        self, function: Callable[_Arguments, _Result], *arguments: _Arguments.args, **named: _Arguments.kwargs
    ) -> Future[_Result]:
        """As `submit`, for who has nothing to add to why it cannot be.

        Raises:
            FerFastError: there is no thread and none can be started, or the interpreter ends.
        """
        try:
            return self.submit(function, *arguments, **named)
        except RuntimeError as error:
            raise FerFastError(f"no work can be done on other threads: {one_line(error)}") from error

    def _adjust_thread_count(self) -> None:
        try:
            super()._adjust_thread_count()  # type: ignore[misc]
        except RuntimeError:
            if not self._threads:  # type: ignore[attr-defined]
                raise
