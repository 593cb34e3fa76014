"""A worker: an actor of Ray that has one model; batches of items come in, their rows go out."""

from __future__ import annotations

import os
import pickle
from typing import TYPE_CHECKING, Any, NamedTuple

from fer_fast.machine.urls import is_url
from fer_fast.pipeline.elsewhere import Opening
from fer_fast.pipeline.opening import About, about_of, open_runner
from fer_fast.types import CheckpointError, FerFastError, Item, ItemRows, MissingExtraError, StalledError
from fer_fast.version import __version__

if TYPE_CHECKING:
    from fer_fast.pipeline.batches import BatchClassifier

#: What a caller tells apart; of others it gets a FerFastError.
_KINDS = (StalledError, CheckpointError, MissingExtraError, FerFastError, ValueError, TypeError)


class Trouble(NamedTuple):
    """An error as it travels: those of libraries do not all unpickle."""

    kind: type[Exception]
    text: str

    def raised(self) -> Exception:
        """What is to be raised in its place."""
        return self.kind(self.text)


class Begun(NamedTuple):
    """What a worker says of itself.

    Attributes:
        version: of the package, there.
        about: see `About`.
        ran: what `Classifier.describe` says.
    """

    version: str
    about: About
    ran: dict[str, Any]


def from_anywhere(path: str) -> str:
    """A path for processes that have another folder for their own; links stay as they are."""
    return path if is_url(path) else os.path.join(os.getcwd(), path)  # noqa: PTH109, PTH118 (of a tar's member, too)


def trouble_of(error: Exception) -> Trouble:
    """An error on its way."""
    kind = next((kind for kind in _KINDS if isinstance(error, kind)), None)
    return Trouble(kind, str(error)) if kind else Trouble(FerFastError, f"{type(error).__name__}: {error}")


def opened(opening: Opening, processors: int) -> BatchClassifier:
    """Opens the model in this process, which is then to take no more than so many processors, and their share of the
    memory.
    """
    from fer_fast.machine.memory import usable_memory
    from fer_fast.machine.processors import take_at_most, usable_processors

    # Ray sets it by its own count, libraries prefer it to ours, and decoders know nothing of it.
    os.environ.pop("OMP_NUM_THREADS", None)
    share = min(processors, usable_processors()) / usable_processors()
    take_at_most(processors)
    options = {"max_memory": int(usable_memory() * share / 4), **opening.options}
    return open_runner(None, options, opening.faces, opening.finder)


def tried(opening: Opening, processors: int) -> Begun | Trouble:
    """Opens and closes what a worker would, where a worker would be: in its own process, before any work."""
    try:
        runner = opened(opening, processors)
        try:
            return Begun(__version__, about_of(runner), runner.describe())
        finally:
            runner.close()
    except Exception as error:
        return trouble_of(error)


class Worker:
    """What Ray Data makes an actor of.

    Args:
        opening: what is opened.
        processors: that it may use.
        about: what the driver was told that workers are: this one must be the same.
    """

    def __init__(self, opening: Opening, processors: int, about: About) -> None:
        self._opening, self._processors, self._about = opening, processors, about
        self._runner: BatchClassifier | None = None

    def results(self, items: list[Item]) -> list[ItemRows]:
        """Of each item what became of it, in order.

        Raises:
            ValueError: the worker is not like those of other machines.
            FerFastError: the model fails.
            StalledError: nothing has come for too long.
        """
        from fer_fast.pipeline.results import Anywhere, Results
        from fer_fast.pipeline.summary import Stages

        if self._runner is None:
            runner = opened(self._opening, self._processors)
            self._check_same(about_of(runner))  # or the next batch is refused, too
            self._runner = runner
        results = Results(items, self._runner, Anywhere(), None, Stages(), self._opening.stall_timeout)
        try:
            return [result for found in results for result in found]
        finally:
            results.close()

    def _check_same(self, mine: About) -> None:
        for name, value in mine.settings.items():
            if value != self._about.settings[name]:
                wanted = f"workers differ: {name} {value!r} on one machine, {self._about.settings[name]!r} on another"
                raise ValueError(f"{wanted}: name precision, engine and decoder, and have one release on all")


class TableWorker(Worker):
    """For a table: a batch comes in, its rows go out, or the trouble that there was."""

    def begun(self) -> None:
        """Answers where it runs."""

    def answer(self, batch: bytes) -> bytes:
        """Pickled items become pickled results, or `Trouble`."""
        try:
            return pickle.dumps(self.results(pickle.loads(batch)))
        except Exception as error:
            return pickle.dumps(trouble_of(error))
