"""What a run leaves in its folder: state to go on from, the log, the curves; each whole or as it was before."""

from __future__ import annotations

import contextlib
import csv
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from fer_fast.types import FerFastError

LOG_FIELDS = (
    "step",
    "epoch",
    "image_size",
    "loss",
    "learning_rate",
    "images_per_second",
    "valid_nll",
    "valid_accuracy",
)


def write_whole(path: Path, write: Callable[[Path], object]) -> None:
    """Writes a file, whole or not at all.

    Args:
        path: the file.
        write: gets the path to write to first.

    Raises:
        FerFastError: if it cannot be written, on a full disk for example; an earlier file is left as it was.
    """
    partial = path.with_name(path.name + ".partial")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write(partial)
        partial.replace(path)
    except (OSError, RuntimeError) as error:  # torch.save says RuntimeError
        with contextlib.suppress(OSError):
            partial.unlink(missing_ok=True)
        raise FerFastError(f"{str(path)!r} cannot be written; what was saved before is kept: {error}") from error


def save_state(path: Path, state: dict[str, Any]) -> None:
    """Writes what a run goes on from.

    Raises:
        FerFastError: as `write_whole`.
    """
    write_whole(path, lambda partial: torch.save(state, partial))


def load_state(path: Path) -> dict[str, Any] | None:
    """Reads it, on the CPU; None if there is none.

    Raises:
        FerFastError: if it is damaged.
    """
    if not path.exists():
        return None
    try:
        return torch.load(path, weights_only=True, map_location="cpu")  # type: ignore[no-any-return]
    except (RuntimeError, EOFError, OSError, pickle.UnpicklingError) as error:
        raise FerFastError(f"state {str(path)!r} is damaged; a run without it starts anew: {error}") from error


class Log:
    """The rows of a run as a CSV file.

    Args:
        path: the file.
        done: steps that are saved; rows of later steps are dropped, as these steps are done again.
    """

    def __init__(self, path: Path, done: int) -> None:
        self.path = path
        self.rows: list[dict[str, Any]] = []
        if path.exists():
            with path.open(newline="") as file:
                rows = list(csv.DictReader(file))
            self.rows = [row for row in rows if (row["step"] or "").isdigit() and int(row["step"]) <= done]
        self._write()

    def add(self, row: dict[str, Any]) -> None:
        """Adds one row, in the file as well."""
        self.rows.append(row)
        self._write()

    def _write(self) -> None:
        def write(partial: Path) -> None:
            with partial.open("w", newline="") as file:
                writer = csv.DictWriter(file, LOG_FIELDS)
                writer.writeheader()
                writer.writerows(self.rows)

        write_whole(self.path, write)
