"""Batches come in, their answers go out in the same order; actors of Ray make them, and may be lost, node and all.

Ray's own restarts are not used: while a node is not yet known to be dead they take a call that cannot be made for
another try, and what an actor has taken waits for that actor, though there be no room for it any more.
"""

from __future__ import annotations

import heapq
import logging
from collections.abc import Callable, Iterator
from typing import Any

import ray
from ray.exceptions import RayError, RayTaskError

from fer_fast.ray.tries import TRIES
from fer_fast.types import FerFastError, one_line

_log = logging.getLogger(__name__)

#: Batches that a worker has: one is on its way while the other is done.
_EACH = 2
#: Batches for each worker that may be ahead of the next in order.
_AHEAD = 4
#: Batches that may be given up, and workers that end before they have begun; then it is neither of them.
_MOST_LOST = 16


class _Worker:
    """An actor.

    Attributes:
        actor: its handle.
        has_begun: before it has, it is given nothing: there may be no room for it.
        batches: numbers of those that it has, in order.
    """

    def __init__(self, actor: Any) -> None:
        self.actor = actor
        self.has_begun = False
        self.batches: list[int] = []


class Pool:
    """Actors that do batches. One that is lost is replaced, by one on another node where there is room.

    Args:
        begin: begins an actor, with the methods `begun` and `answer`.
        count: of actors.
        batches: what `answer` is called with.
        beat: called whenever an actor has done something.
    """

    def __init__(
        self, begin: Callable[[], Any], count: int, batches: Iterator[bytes], beat: Callable[[], None]
    ) -> None:
        self._begin, self._count, self._batches, self._beat = begin, count, batches, beat
        self._workers: list[_Worker] = []
        self._calls: dict[Any, tuple[_Worker, int | None]] = {}  # None asks whether it has begun
        self._open: dict[int, bytes] = {}  # batches that have no answer
        self._tries: dict[int, int] = {}
        self._again: list[int] = []  # a heap
        self._answers: dict[int, bytes | None] = {}
        self._taken = self._given = self._given_up = self._stillborn = 0
        self._is_closed = False

    def answer(self) -> bytes | None:
        """What became of the next batch; None if it took so many workers with it that it is given up.

        Raises:
            FerFastError: too many batches or workers are lost.
        """
        try:
            while self._given not in self._answers:
                self._check_open()
                self._begin_workers()
                self._hand_out()
                ray.wait([*self._calls])
                self._check_open()
                for call in ray.wait([*self._calls], num_returns=len(self._calls), timeout=0)[0]:
                    if call in self._calls:  # else its worker was lost, with all that it had
                        self._take(call)
        except RayError as error:
            raise _gave_up(error) from error
        self._given += 1
        return self._answers.pop(self._given - 1)

    def close(self) -> None:
        """Ends the workers; another thread that waits for an answer gets an error."""
        self._is_closed = True
        for worker in [*self._workers]:
            _end(worker)

    def _check_open(self) -> None:
        """Whatever is asked of Ray after it was left would begin another one."""
        if self._is_closed:
            raise FerFastError("the cluster was left")

    def _begin_workers(self) -> None:
        while len(self._workers) < self._count:
            worker = _Worker(self._begin())
            self._workers.append(worker)
            if self._is_closed:  # meanwhile, by a thread that did not see this one
                _end(worker)
            self._calls[worker.actor.begun.remote()] = worker, None

    def _hand_out(self) -> None:
        for room in range(_EACH):
            for worker in self._workers:
                if not worker.has_begun or len(worker.batches) > room:
                    continue
                number = self._next()
                if number is None:
                    return
                worker.batches.append(number)
                self._calls[worker.actor.answer.remote(self._open[number])] = worker, number

    def _next(self) -> int | None:
        if self._again:
            return heapq.heappop(self._again)
        batch = next(self._batches, None) if self._taken < self._given + self._count * _AHEAD else None
        if batch is None:
            return None
        self._open[self._taken] = batch
        self._taken += 1
        return self._taken - 1

    def _take(self, call: Any) -> None:
        worker, number = self._calls.pop(call)
        try:
            answer = ray.get(call)
        except RayTaskError:
            raise
        except RayError as error:
            self._lose(worker, error)
            return
        self._beat()
        if number is None:
            worker.has_begun, self._stillborn = True, 0
        else:
            worker.batches.remove(number)
            self._answered(number, answer)

    def _lose(self, worker: _Worker, error: RayError) -> None:
        self._check_open()
        _end(worker)  # it may be there, and its connection broken
        self._workers.remove(worker)
        self._calls = {call: it for call, it in self._calls.items() if it[0] is not worker}
        self._stillborn += not worker.has_begun
        for each in worker.batches[:1]:  # the others had not begun
            self._tries[each] = self._tries.get(each, 0) + 1
            if self._tries[each] > TRIES:
                worker.batches.remove(each)
                self._answered(each, None)
                self._given_up += 1
        for each in worker.batches:
            heapq.heappush(self._again, each)
        if max(self._given_up, self._stillborn) > _MOST_LOST:
            raise _gave_up(error) from error

    def _answered(self, number: int, answer: bytes | None) -> None:
        self._answers[number] = answer
        del self._open[number]
        self._tries.pop(number, None)


def _end(worker: _Worker) -> None:
    if not ray.is_initialized():  # else that would begin another Ray
        return
    try:
        ray.kill(worker.actor)
    except (RayError, ValueError) as error:  # of an actor that Ray does not know any more
        _log.warning("a worker of the cluster cannot be ended: %s", one_line(error))


def _gave_up(error: RayError) -> FerFastError:
    return FerFastError(f"the cluster gave up: {one_line(error)}")
