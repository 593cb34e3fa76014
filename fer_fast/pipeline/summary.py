"""What a run did: rows by status and by label, what was left out, and where the time went."""

from __future__ import annotations

import threading
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from fer_fast.types import Status


@dataclass(slots=True)
class Stages:
    """Seconds in which each stage worked; with several threads in a stage, the sum over them."""

    decode: float = 0.0
    find: float = 0.0
    model: float = 0.0
    write: float = 0.0
    lock: threading.Lock = field(default_factory=threading.Lock, repr=False)


@dataclass(slots=True)
class Summary:
    """What a run did.

    Attributes:
        out: the finished table; None if it went to a stream.
        statuses: rows of the table by status, those of an earlier run included.
        labels: rows of the table by label, likewise; abstained rows have none.
        new: rows that this run made.
        kept: rows of an earlier run that was resumed.
        photos: files whose rows are in the table; where faces are looked for they have any number of rows.
        new_photos: those that this run read.
        films, new_films: the same of films.
        frames: of films, that this run looked at.
        small: faces that this run found of fewer than 32 pixels, the longer side: their labels are less certain.
        changed: files that were classified again, since they are others than the ones of which there were rows.
        unlisted: kept rows whose file was not found again.
        unlistable: folders that could not be read, so that their files are missing.
        skipped: files in the folders that are not called as images are, by suffix; see `fer_fast.inputs.ImageFiles`.
        seconds: how long this run took, without loading the model.
        stages: where the time went.
        ran: what `Classifier.describe` says.
    """

    out: str | None = None
    statuses: Counter[str] = field(default_factory=Counter)
    labels: Counter[str] = field(default_factory=Counter)
    new: int = 0
    kept: int = 0
    photos: int = 0
    new_photos: int = 0
    films: int = 0
    new_films: int = 0
    frames: int = 0
    small: int = 0
    changed: int = 0
    unlisted: int = 0
    unlistable: list[str] = field(default_factory=list)
    skipped: Counter[str] = field(default_factory=Counter)
    seconds: float = 0.0
    stages: Stages = field(default_factory=Stages)
    ran: dict[str, Any] = field(default_factory=dict)

    @property
    def rows(self) -> int:
        """Rows in the table."""
        return self.statuses.total()

    @property
    def predicted(self) -> int:
        """Rows with a prediction, sure (ok) or not (abstained)."""
        return self.statuses[Status.OK] + self.statuses[Status.ABSTAINED]

    @property
    def faces(self) -> int:
        """Faces in the table: rows with a prediction."""
        return self.predicted

    @property
    def no_face(self) -> int:
        """Photos, and films or frames of them, in which no face was found."""
        return self.statuses[Status.NO_FACE]

    @property
    def failed(self) -> int:
        """Rows that say why a file could not be looked at."""
        return self.rows - self.predicted - self.no_face

    @property
    def photos_per_second(self) -> float:
        """New photos a second."""
        return self.new_photos / self.seconds if self.seconds > 0 else 0.0

    @property
    def frames_per_second(self) -> float:
        """Frames of films a second."""
        return self.frames / self.seconds if self.seconds > 0 else 0.0

    @property
    def images_per_second(self) -> float:
        """New rows a second."""
        return self.new / self.seconds if self.seconds > 0 else 0.0

    @property
    def faultless(self) -> bool:
        """Whether every file could be looked at, and every folder be read; a face that is not there is no fault."""
        return not self.failed and not self.unlistable
