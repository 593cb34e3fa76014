"""What a pool of Ray's actors asks of Ray, and what it says when Ray fails; a stand-in is asked."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from ray.exceptions import RayActorError, RaySystemError

from fer_fast.ray import pool as pool_module
from fer_fast.ray.pool import Pool
from fer_fast.types import FerFastError


class StandIn:
    """A Ray whose actors answer at once, but those calls that are held back.

    Attributes:
        held: batches without an answer, as yet.
        lost: batches with whose first try their actor is lost.
        killed: actors that were killed.
    """

    def __init__(self) -> None:
        self.is_there = True
        self.held: set[bytes] = set()
        self.lost: set[bytes] = set()
        self.killed: list[Any] = []

    def begin(self) -> Any:
        return SimpleNamespace(begun=SimpleNamespace(remote=lambda: Call(b"")), answer=SimpleNamespace(remote=Call))

    def wait(
        self, calls: list[Call], num_returns: int = 1, timeout: float | None = None
    ) -> tuple[list[Call], list[Call]]:
        assert self.is_there, "that would begin another Ray"
        return [call for call in calls if call.batch not in self.held], []

    def get(self, call: Call) -> bytes:
        if call.batch in self.lost:
            self.lost.remove(call.batch)
            raise RayActorError
        return call.batch.upper()

    def kill(self, actor: Any) -> None:
        assert self.is_there, "that would begin another Ray"
        self.killed.append(actor)

    def is_initialized(self) -> bool:
        return self.is_there


class Call:
    def __init__(self, batch: bytes) -> None:
        self.batch = batch


@pytest.fixture
def ray(monkeypatch: pytest.MonkeyPatch) -> StandIn:
    stand_in = StandIn()
    monkeypatch.setattr(pool_module, "ray", stand_in)
    return stand_in


def test_answers_come_in_order_and_each_is_a_sign_of_life(ray: StandIn) -> None:
    beats: list[int] = []
    pool = Pool(ray.begin, 2, iter([b"a", b"b", b"c"]), lambda: beats.append(1))
    ray.held = {b"a"}
    with pytest.MonkeyPatch.context() as patch:
        wait, seen = ray.wait, []

        def waits(calls: list[Call], num_returns: int = 1, timeout: float | None = None) -> Any:
            seen.append(len(beats))
            if len(seen) == 8:
                ray.held.clear()
            return wait(calls, num_returns, timeout)

        patch.setattr(ray, "wait", waits)
        assert pool.answer() == b"A"
    assert max(seen) == 4, "two actors have begun, and b and c have come before a"
    assert (pool.answer(), pool.answer()) == (b"B", b"C") and len(beats) == 5


def test_a_lost_actor_is_replaced_and_its_batches_are_done_again(ray: StandIn) -> None:
    ray.lost = {b"a"}
    pool = Pool(ray.begin, 1, iter([b"a", b"b"]), lambda: None)
    assert (pool.answer(), pool.answer()) == (b"A", b"B") and len(ray.killed) == 1


def test_a_ray_that_fails_is_one_sentence(ray: StandIn, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*_: Any, **__: Any) -> Any:
        raise RaySystemError("the raylet is gone\nor its connection")

    monkeypatch.setattr(ray, "wait", fails)
    with pytest.raises(FerFastError, match=r"^the cluster gave up: .*the raylet is gone"):
        Pool(ray.begin, 1, iter([b"a"]), lambda: None).answer()


def test_a_pool_that_was_closed_asks_a_ray_that_was_left_for_nothing(ray: StandIn) -> None:
    ray.held = {b"b"}
    pool = Pool(ray.begin, 2, iter([b"a", b"b"]), lambda: None)
    assert pool.answer() == b"A"
    pool.close()
    assert len(ray.killed) == 2
    ray.is_there = False
    pool.close()
    with pytest.raises(FerFastError, match="the cluster was left"):
        pool.answer()
