"""Candidates come in, each is opened, checked and timed, the fastest goes out; which one that was is kept.

It knows neither torch nor a card: how a candidate is opened, what its answers shall be and how time is taken comes
from outside (`fer_fast.engines.card`).
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Protocol

from fer_fast.engines.interface import Engine, OutOfTimeError
from fer_fast.types import FerFastError

log = logging.getLogger(__name__)

#: Seconds that all of it may take; a candidate that has begun may be a little late.
BUDGET = 60.0


@dataclass(frozen=True)
class Candidate:
    """One way to run the model."""

    engine: str
    precision: str
    batch_size: int

    def __str__(self) -> str:
        return f"{self.engine} in {self.precision}, batches of {self.batch_size}"


class Trials(Protocol):
    """What is done with a candidate; all of it may raise a FerFastError or a RuntimeError, which leaves it out."""

    def open(self, candidate: Candidate) -> Engine:
        """The engine as whoever asked for it gets it, after its first calls."""

    def open_largest(self, candidate: Candidate, may_go_on: Callable[[], bool] | None) -> Engine:
        """For its largest batch alone, which opens sooner; a build that may not go on ends with an OutOfTimeError."""

    def fault(self, engine: Engine, candidate: Candidate) -> str:
        """What is wrong with its answers; empty if they are those of fp32, to a tolerance."""

    def seconds(self, engine: Engine) -> float:
        """What a fixed number of images takes, the same for each candidate."""


class Kept(Protocol):
    """Where the choice is kept, a `fer_fast.machine.cache.Place` for one."""

    def fetch(self) -> memoryview | None:
        """What was stored; None if there is nothing."""

    def store(self, compiled: bytes) -> str:
        """Stores it, whole or not at all."""


@dataclass
class Contest:
    """What was tried, and how fast it was; one at a time is open.

    Attributes:
        trials: see `Trials`.
        time_is_up: whether no other candidate may begin.
        seconds: of each candidate that ran.
        failed: why the others did not.
        late: those for which no time was left.
    """

    trials: Trials
    time_is_up: Callable[[], bool]
    seconds: dict[Candidate, float] = field(default_factory=dict)
    failed: dict[Candidate, str] = field(default_factory=dict)
    late: list[Candidate] = field(default_factory=list)

    @property
    def first(self) -> Candidate:
        """The fastest so far."""
        return min(self.seconds, key=self.seconds.__getitem__)

    def hold(self, candidates: Sequence[Candidate]) -> None:
        """Tries them in order, while there is time; one at least has to run."""
        for candidate in candidates:
            if self.seconds and self.time_is_up():
                self._is_late(candidate, "the time for measuring is up")
                continue
            # What runs already is enough: then a build ends when time is up.
            may_go_on = (lambda: not self.time_is_up()) if self.seconds else None
            engine = self._right(candidate, partial(self.trials.open_largest, candidate, may_go_on))
            if engine is not None:
                with closing(engine):
                    self._time(candidate, engine)

    def winner(self) -> Engine:
        """The fastest, opened for batches of every size; what is wrong in those is left out, and the next one wins.

        Raises:
            FerFastError: none is right.
        """
        while self.seconds:
            first = self.first
            if (engine := self._right(first, partial(self.trials.open, first))) is not None:
                return engine
        raise FerFastError(f"no engine runs the model: {'; '.join(f'{k}: {v}' for k, v in self.failed.items())}")

    def _right(self, candidate: Candidate, opened: Callable[[], Engine]) -> Engine | None:
        """The engine, if it opens and its answers are right."""
        with ExitStack() as unwanted:
            try:
                engine = opened()
                unwanted.callback(engine.close)
                fault = self.trials.fault(engine, candidate)
            except OutOfTimeError as error:
                self._is_late(candidate, str(error))
                return None
            except (FerFastError, RuntimeError) as error:
                fault = str(error)
            if not fault:
                unwanted.pop_all()
                return engine
        self._leave_out(candidate, fault)
        return None

    def _time(self, candidate: Candidate, engine: Engine) -> None:
        try:
            seconds = self.trials.seconds(engine)
        except (FerFastError, RuntimeError) as error:
            self._leave_out(candidate, str(error))
            return
        log.info("%s: %.3f ms", candidate, 1000 * seconds)
        self.seconds[candidate] = seconds

    def _is_late(self, candidate: Candidate, why: str) -> None:
        log.warning("%s is left out: %s", candidate, why)
        self.seconds.pop(candidate, None)
        self.late.append(candidate)

    def _leave_out(self, candidate: Candidate, why: str) -> None:
        log.warning("%s is left out: %s", candidate, why)
        self.seconds.pop(candidate, None)
        self.failed[candidate] = why

    def said(self) -> str:
        """Which won, by how much, of how many."""
        first, *others = sorted(self.seconds, key=self.seconds.__getitem__)
        # Another precision or batch of the same form says little of the form.
        rival = next((each for each in others if each.engine != first.engine), others[0] if others else None)
        won = str(first)
        if rival is not None:
            won += f": {self.seconds[rival] / self.seconds[first]:.2f} times as fast as {rival}"
        parts = [won, f"{len(self.seconds)} measured"]
        parts += [f"{len(self.failed)} failed"] if self.failed else []
        parts += [f"{len(self.late)} left out for want of time"] if self.late else []
        return "; ".join(parts)


def fastest(
    candidates: Sequence[Candidate],
    batch_sizes: Sequence[int],
    trials: Trials,
    kept: Kept,
    clock: Callable[[], float],
    budget: float = BUDGET,
) -> Engine:
    """The engine that was chosen here before, or else the one that is measured to be the fastest.

    First the candidates are compared, then the winner in smaller batches; each for its largest batch alone, so that
    what smaller ones need is made for the winner only, after that.

    Args:
        candidates: in the order in which they are tried.
        batch_sizes: the smaller ones.
        trials: see `Trials`.
        kept: where the choice of before lies, and this one's will; of two processes that choose at once the later
            one's stays.
        clock: seconds from anywhen.
        budget: seconds.

    Raises:
        FerFastError: no candidate runs.
    """
    if (engine := _chosen_before(trials, kept)) is not None:
        return engine
    log.info("measuring what is fastest on this card, for about %.0f seconds at most; that is done once", budget)
    begun = clock()
    contest = Contest(trials, lambda: clock() - begun >= budget)
    contest.hold(candidates)
    if contest.seconds:
        contest.hold([replace(contest.first, batch_size=each) for each in batch_sizes])
    engine = contest.winner()
    said = contest.said()
    log.info("auto takes %s", said)
    _keep(kept, contest.first, said)
    engine.chosen = {"chosen": said}
    return engine


def _keep(kept: Kept, chosen: Candidate, said: str) -> None:
    kept.store(json.dumps({**vars(chosen), "said": said}).encode())


def _chosen_before(trials: Trials, kept: Kept) -> Engine | None:
    """The engine of a choice that is kept; None if there is none, or it no longer opens."""
    text = kept.fetch()
    if text is None:
        return None
    try:
        found = json.loads(bytes(text))
        chosen = Candidate(str(found["engine"]), str(found["precision"]), int(found["batch_size"]))
        said = str(found["said"])
    except (ValueError, TypeError, KeyError):
        log.warning("what auto chose before cannot be read: it is measured again")
        return None
    try:
        engine = trials.open(chosen)
    except (FerFastError, RuntimeError, ValueError) as error:
        log.warning("%s, which auto chose before, no longer opens and all is measured again: %s", chosen, error)
        return None
    engine.chosen = {"chosen": said}
    return engine
