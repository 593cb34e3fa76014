"""What this package asks of a cluster: items go out to other processes, and their rows come back in order."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple

from fer_fast.machine.stall import Pulse
from fer_fast.pipeline.opening import About
from fer_fast.table.file_table import FileTable
from fer_fast.types import Item, ItemRows


class Opening(NamedTuple):
    """What each worker opens; it is pickled.

    Attributes:
        options: of a `Classifier`.
        faces: see `classify_folder`.
        finder: arguments of a `FaceFinder`.
        stall_timeout: seconds without a batch after which a worker gives up; 0 is never.
    """

    options: dict[str, Any]
    faces: str
    finder: Mapping[str, Any] | None
    stall_timeout: float


class Rows(ABC):
    """What becomes of items, in their order, some a step; an iterator of one thread."""

    def __iter__(self) -> Iterator[list[ItemRows]]:
        return self

    @abstractmethod
    def __next__(self) -> list[ItemRows]:
        """The next items with all of their rows."""

    @abstractmethod
    def finished(self) -> list[ItemRows]:
        """After an interrupt: the items next in order whose rows have come."""

    @abstractmethod
    def close(self, seconds: float | None = None) -> None:
        """Begins nothing more, and waits for what is under way: as long as it takes, or for so many seconds."""


class Elsewhere(ABC):
    """Workers in other processes, perhaps on other machines, that are ready.

    Attributes:
        about: what each of them has opened.
    """

    about: About

    @abstractmethod
    def rows(self, items: Iterable[Item], table: FileTable, stall_timeout: float, pulse: Pulse) -> Rows:
        """Has the items done that a table wants.

        Args:
            items: in the order of the table; all of them are taken before the first is done.
            table: is told of each; in its folder the items wait.
            stall_timeout: seconds that may pass without rows; 0 is for ever.
            pulse: beats with all that is done.

        Raises:
            OutputError: the disk is full or fails.
            FerFastError: a worker's model fails, or too many workers are lost; while iterating.
            StalledError: see `stall_timeout`; while iterating.
        """

    @abstractmethod
    def describe(self) -> dict[str, Any]:
        """What runs."""

    @abstractmethod
    def close(self) -> None:
        """Gives everything back."""


class Cluster(ABC):
    """Where workers can be had, and how many."""

    @abstractmethod
    def open(self, opening: Opening) -> Elsewhere:
        """Finds out whether there is room for workers, and what one of them opens.

        Raises:
            ValueError: there is no such cluster, or no room.
            Exception: what opening the model raises, there as here.
        """
