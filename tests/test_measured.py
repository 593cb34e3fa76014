"""The choice by measuring, whole, on engines that compute with numpy: their slowness is work that is counted."""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from fer_fast.engines.answers import fault_of, fixed_images
from fer_fast.engines.interface import Engine, OutOfTimeError
from fer_fast.engines.measured import Candidate, fastest
from fer_fast.machine.cache import Place
from fer_fast.models.architecture import Sides
from fer_fast.types import FerFastError

IMAGES = fixed_images(4, 16)
WEIGHTS = np.random.default_rng(3).normal(size=(16 * 16 * 3, 5))
SLOW, FAST, FUSED = (Candidate(name, "bf16", 32) for name in ("torch", "tensorrt", "tensorrt-fused"))
ALL = (SLOW, FUSED, FAST)


def answers_to(images: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
    return (images.reshape(len(images), -1) / 255 @ WEIGHTS).astype(np.float32)


class Sums(Engine):
    """A linear model, computed as many times as its machine says, which counts them."""

    streams, device, sides = 1, "cpu", Sides(16, 16)

    def __init__(self, machine: Machine, candidate: Candidate, scale: float = 1.0) -> None:
        super().__init__()
        self._machine, self._candidate, self._scale = machine, candidate, np.float32(scale)
        assert not machine.alive, "a card's memory is for one engine at a time"
        machine.alive.append(candidate)

    def _infer(self, images: Any) -> npt.NDArray[np.float32]:
        for _ in range(self._machine.times[self._candidate]):
            answers = answers_to(images)
            self._machine.work += 1
        return answers * self._scale * np.float32(self._machine.scale.get(self._candidate, 1))

    def describe(self) -> dict[str, str]:
        return {"engine": self._candidate.engine, **self.chosen}

    def _release(self) -> None:
        self._machine.alive.remove(self._candidate)


class Machine:
    """Trials whose clock is the work that was done.

    Attributes:
        times: how often each candidate computes a batch.
        scale: a factor of a candidate's answers.
        errors: what opening a candidate raises.
        opening: the work of opening one.
        opened, alive: candidates, in order.
        measured: those that were opened for their largest batch alone.
        small: a factor of the answers of engines that are opened whole.
    """

    def __init__(self, times: dict[Candidate, int]) -> None:
        self.times = times
        self.scale: dict[Candidate, float] = {}
        self.errors: dict[Candidate, BaseException] = {}
        self.opening = self.work = 0
        self.opened: list[Candidate] = []
        self.measured: list[Candidate] = []
        self.small: dict[Candidate, float] = {}
        self.alive: list[Candidate] = []

    def open(self, candidate: Candidate) -> Engine:
        self.opened.append(candidate)
        if (error := self.errors.get(candidate)) is not None:
            raise error
        return Sums(self, candidate, self.small.get(candidate, 1.0))

    def open_largest(self, candidate: Candidate, may_go_on: Callable[[], bool] | None) -> Engine:
        self.measured.append(candidate)
        if (error := self.errors.get(candidate)) is not None:
            raise error
        for _ in range(self.opening):
            if may_go_on is not None and not may_go_on():
                raise OutOfTimeError("the build was ended")
            self.work += 1
        return Sums(self, candidate)

    def fault(self, engine: Engine, candidate: Candidate) -> str:
        return fault_of(engine.infer(IMAGES), answers_to(IMAGES), candidate.precision)

    def seconds(self, engine: Engine) -> float:
        before = self.work
        engine.infer(IMAGES)
        return self.work - before

    def clock(self) -> float:
        return float(self.work)


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[], Place]:
    """Where the choice lies."""
    monkeypatch.setenv("FER_FAST_CACHE", str(tmp_path))
    return lambda: Place("choice", {"card": "of numpy"})


@pytest.fixture
def machine() -> Machine:
    return Machine({SLOW: 30, FUSED: 10, FAST: 12})


def chosen_on(machine: Machine, place: Callable[[], Place], sizes: tuple[int, ...] = (), budget: float = 1e9) -> Engine:
    return fastest(ALL, sizes, machine, place(), machine.clock, budget)


def test_the_fastest_wins_and_says_over_which_and_by_how_much(machine: Machine, place: Any) -> None:
    engine = chosen_on(machine, place)
    won = "tensorrt-fused in bf16, batches of 32: 1.20 times as fast as tensorrt in bf16, batches of 32; 3 measured"
    assert engine.describe() == {"engine": "tensorrt-fused", "chosen": won}
    assert machine.measured == list(ALL) and machine.opened == machine.alive == [FUSED], "the others are closed"
    engine.close()
    assert machine.alive == []


def test_the_order_does_not_decide(machine: Machine, place: Any) -> None:
    for order in (ALL, ALL[::-1], (FUSED, FAST, SLOW)):
        engine = fastest(order, (), machine, Nowhere(), machine.clock, 1e9)
        assert engine.describe()["engine"] == "tensorrt-fused"
        engine.close()
    assert machine.alive == []


class Nowhere:
    """Keeps nothing."""

    def fetch(self) -> None:
        return None

    def store(self, compiled: bytes) -> str:
        return "not used"


def test_the_winner_is_measured_in_smaller_batches(machine: Machine, place: Any) -> None:
    small, smaller = (dataclasses.replace(FUSED, batch_size=size) for size in (16, 8))
    machine.times |= {small: 7, smaller: 9}
    engine = chosen_on(machine, place, (16, 8))
    assert machine.measured == [*ALL, small, smaller] and machine.opened == machine.alive == [small]
    won = "tensorrt-fused in bf16, batches of 16: 1.71 times as fast as tensorrt in bf16, batches of 32; 5 measured"
    assert engine.chosen["chosen"] == won


def test_a_kept_choice_is_opened_and_nothing_is_measured(machine: Machine, place: Any) -> None:
    first = chosen_on(machine, place)
    first.close()
    machine.opened.clear()
    machine.measured.clear()
    machine.times[FUSED] = 1000  # whatever it would be measured to be today
    before = machine.work
    again = chosen_on(machine, place)
    assert (machine.opened, machine.measured, machine.work) == ([FUSED], [], before)
    assert again.describe() == first.describe()


@pytest.mark.parametrize(
    "error", [FerFastError("TensorRT failed"), RuntimeError("no memory"), ValueError("engine: unknown")]
)
def test_a_kept_choice_that_no_longer_opens_is_measured_again(
    machine: Machine, place: Any, error: Exception, caplog: pytest.LogCaptureFixture
) -> None:
    chosen_on(machine, place).close()
    first = True

    def opened(candidate: Candidate) -> Engine:
        nonlocal first
        if candidate == FUSED and first:
            first = False
            raise error
        return Machine.open(machine, candidate)

    machine.open = opened  # type: ignore[method-assign]
    machine.times[FAST] = 1
    assert chosen_on(machine, place).describe()["engine"] == "tensorrt"
    assert f"no longer opens and all is measured again: {error}" in caplog.text
    assert machine.alive == [FAST]


@pytest.mark.parametrize("damage", [b"", b"of another program", b'{"engine": "torch"}', b"[1]", None])
def test_a_choice_that_cannot_be_read_is_measured_again(
    machine: Machine, place: Any, damage: bytes | None, caplog: pytest.LogCaptureFixture
) -> None:
    chosen_on(machine, place).close()
    if damage is None:
        file = place().file
        file.write_bytes(file.read_bytes()[:-1] + b"?")
    else:
        place().store(damage)
    machine.measured.clear()
    engine = chosen_on(machine, place)
    assert engine.describe()["engine"] == "tensorrt-fused" and machine.measured == list(ALL)
    assert "again" in caplog.text
    engine.close()
    machine.measured.clear()
    chosen_on(machine, place)
    assert machine.measured == [], "what was damaged is written anew"


@pytest.mark.parametrize("error", [FerFastError("TensorRT 11 does not know this card"), RuntimeError("CUDA error")])
def test_what_does_not_open_is_told_and_left_out(
    machine: Machine, place: Any, error: Exception, caplog: pytest.LogCaptureFixture
) -> None:
    machine.errors[FUSED] = error
    engine = chosen_on(machine, place)
    assert engine.chosen["chosen"].endswith("; 2 measured; 1 failed") and machine.alive == [FAST]
    said = [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]
    assert said == [f"tensorrt-fused in bf16, batches of 32 is left out: {error}"]


@pytest.mark.parametrize("wrong", [1.2, 0.0, float("nan")])
def test_the_fastest_with_wrong_answers_does_not_win(
    machine: Machine, place: Any, wrong: float, caplog: pytest.LogCaptureFixture
) -> None:
    machine.scale[FUSED] = wrong
    assert chosen_on(machine, place).describe()["engine"] == "tensorrt"
    assert "tensorrt-fused in bf16, batches of 32 is left out: its answers are" in caplog.text
    assert machine.alive == [FAST]


def test_an_engine_that_fails_while_it_is_timed_is_left_out(machine: Machine, place: Any) -> None:
    def seconds(engine: Engine) -> float:
        if engine.describe()["engine"] == "tensorrt-fused":
            raise RuntimeError("an illegal memory access")
        return Machine.seconds(machine, engine)

    machine.seconds = seconds  # type: ignore[method-assign]
    assert chosen_on(machine, place).describe()["engine"] == "tensorrt"
    assert machine.alive == [FAST]


def test_where_nothing_runs_each_reason_is_told_and_nothing_is_kept(machine: Machine, place: Any) -> None:
    machine.errors |= {each: FerFastError(f"no {each.engine}") for each in ALL}
    with pytest.raises(FerFastError, match=r"no engine runs the model: torch in bf16, batches of 32: no torch; tens"):
        chosen_on(machine, place)
    assert place().fetch() is None


def test_a_models_own_fault_is_nobodys_failure(machine: Machine, place: Any) -> None:
    machine.errors[FUSED] = ValueError("the weights do not fit")
    with pytest.raises(ValueError, match="the weights do not fit"):
        chosen_on(machine, place)
    assert machine.alive == [] and place().fetch() is None


def test_when_time_is_up_what_was_measured_decides(machine: Machine, place: Any) -> None:
    # torch is checked and timed in 60, the next in 20.
    engine = chosen_on(machine, place, (16, 8), budget=70)
    assert machine.measured == [SLOW, FUSED]
    said = engine.chosen["chosen"]
    assert said.startswith("tensorrt-fused in bf16, batches of 32: 3.00 times as fast as torch in bf16, batches of 32")
    assert said.endswith("; 2 measured; 3 left out for want of time")


def test_one_is_measured_even_where_there_is_no_time(machine: Machine, place: Any) -> None:
    machine.opening = 50
    machine.errors[SLOW] = FerFastError("no torch")
    engine = chosen_on(machine, place, budget=0)
    assert machine.measured == [SLOW, FUSED]
    assert engine.chosen["chosen"] == (
        "tensorrt-fused in bf16, batches of 32; 1 measured; 1 failed; 1 left out for want of time"
    )


def test_a_build_ends_when_time_is_up(machine: Machine, place: Any, caplog: pytest.LogCaptureFixture) -> None:
    machine.opening = 50
    engine = chosen_on(machine, place, budget=130)  # torch takes 110, 20 are left
    assert engine.describe()["engine"] == "torch" and machine.work == 130 + 30, "and the winner is checked again"
    assert engine.chosen["chosen"] == "torch in bf16, batches of 32; 1 measured; 2 left out for want of time"
    assert "tensorrt-fused in bf16, batches of 32 is left out: the build was ended" in caplog.text


@pytest.mark.parametrize(
    ("error", "small"), [(FerFastError("no memory for the graph of 8"), 1.0), (None, 1.2)], ids=["opens", "right"]
)
def test_the_next_wins_where_the_fastest_fails_in_smaller_batches(
    machine: Machine, place: Any, error: Exception | None, small: float, caplog: pytest.LogCaptureFixture
) -> None:
    machine.small[FUSED] = small

    def opened(candidate: Candidate) -> Engine:
        if candidate == FUSED and error is not None:
            raise error
        return Machine.open(machine, candidate)

    machine.open = opened  # type: ignore[method-assign]
    engine = chosen_on(machine, place)
    won = "tensorrt in bf16, batches of 32: 2.50 times as fast as torch in bf16, batches of 32; 2 measured; 1 failed"
    assert engine.describe() == {"engine": "tensorrt", "chosen": won} and machine.alive == [FAST]
    assert f"tensorrt-fused in bf16, batches of 32 is left out: {error or 'its answers are'}" in caplog.text
    engine.close()
    assert chosen_on(machine, place).describe()["chosen"] == won, "that one is kept"


@pytest.mark.parametrize(
    ("where", "call"), [("open_largest", 2), ("fault", 2), ("seconds", 2), ("open", 1), ("fault", len(ALL) + 1)]
)
def test_ctrl_c_keeps_nothing_and_closes_what_it_opened(machine: Machine, place: Any, where: str, call: int) -> None:
    step, calls = getattr(machine, where), []

    def interrupted(*arguments: Any) -> Any:
        calls.append(1)
        if len(calls) == call:
            raise KeyboardInterrupt
        return step(*arguments)

    setattr(machine, where, interrupted)
    with pytest.raises(KeyboardInterrupt):
        chosen_on(machine, place)
    assert machine.measured and machine.alive == []
    assert place().fetch() is None


def test_of_two_that_choose_at_once_the_later_ones_choice_stays(machine: Machine, place: Any) -> None:
    other = Machine({SLOW: 1, FUSED: 10, FAST: 12})
    step = machine.seconds

    def seconds(engine: Engine) -> float:
        chosen_on(other, lambda: Elsewhere(place())).close()
        return step(engine)

    machine.seconds = seconds  # type: ignore[method-assign]
    for _ in range(2):
        with closing(chosen_on(machine, place)) as engine:
            assert engine.describe()["engine"] == "tensorrt-fused"


class Elsewhere:
    """Another process' view: it began before anything was kept."""

    def __init__(self, place: Place) -> None:
        self.store = place.store

    def fetch(self) -> None:
        return None
