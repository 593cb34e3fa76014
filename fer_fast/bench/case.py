"""What a benchmark consists of: a case says what one row measures, and how its answer is checked before it is timed."""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import NamedTuple

#: Calls to seconds: how long all of them took, and each by itself.
Timer = Callable[[int], tuple[float, list[float]]]


class Key(NamedTuple):
    """What tells a row from every other, in this run and in an older one.

    Attributes:
        stage: one of `STAGES`.
        form: which way of computing the stage.
        engine: what computes it.
        device: cpu or cuda.
        precision: fp32, bf16, fp16 or int8; empty where nothing is computed.
        batch: images a call.
        images: the folder that is read; empty where pixels lie in memory.
    """

    stage: str
    form: str
    engine: str
    device: str
    precision: str
    batch: int
    images: str = ""


class Work(NamedTuple):
    """What one image costs at least, whatever the form.

    Attributes:
        bytes: that are read or written once: inputs, outputs, and the weights' share of one image.
        flop: floating-point operations of the reference, a multiply-add being two.
    """

    bytes: float = 0.0
    flop: float = 0.0


class Agreement(NamedTuple):
    """How far an answer is from the fp32 reference.

    Attributes:
        error: the largest difference.
        tolerance: what it may be.
        measure: what the difference is of and in.
    """

    error: float
    tolerance: float
    measure: str

    @property
    def holds(self) -> bool:
        """Whether the answer may be timed; an error that is not a number never may."""
        return self.error <= self.tolerance


@dataclass
class Prepared:
    """A case that is ready to be timed.

    Attributes:
        call: does it once.
        check: compares what `call` answers with the reference; None where there is nothing to compare.
        threads: calls at once that keep the machine busy.
        calls: that one round times; None takes as many as fit.
        timer: times a number of calls; None takes the clock on the wall.
        note: what the machine chose, for the row.
    """

    call: Callable[[], object]
    check: Callable[[], Agreement] | None = None
    threads: int = 1
    calls: int | None = None
    timer: Timer | None = None
    note: str = ""

    def time(self, calls: int) -> tuple[float, list[float]]:
        """Seconds for all calls, and for each."""
        return self.timer(calls) if self.timer else wall_clock(self.call, calls, self.threads)


@dataclass(frozen=True)
class Case:
    """One row to be.

    Attributes:
        key: see `Key`.
        prepare: compiles, allocates, warms up. A ValueError, ImportError or FerFastError says that this machine or
            model cannot do it; anything else that it is broken.
        count: images that one call does; 0 where a call is no matter of images.
        work: see `Work`.
        quick: whether the short run has it, too.
        rounds: timed at most so often, for what takes long; None for no limit.
    """

    key: Key
    prepare: Callable[[], Prepared]
    count: int
    work: Work = field(default_factory=Work)
    quick: bool = True
    rounds: int | None = None


def wall_clock(call: Callable[[], object], calls: int, threads: int) -> tuple[float, list[float]]:
    """Seconds for a number of calls by so many threads at once, and for each call."""

    def once(_: int) -> float:
        started = time.perf_counter()
        call()
        return time.perf_counter() - started

    if threads == 1:
        begun = time.perf_counter()
        durations = [once(number) for number in range(calls)]
        return time.perf_counter() - begun, durations
    with ThreadPoolExecutor(threads) as pool:
        begun = time.perf_counter()
        durations = list(pool.map(once, range(calls)))
        return time.perf_counter() - begun, durations
