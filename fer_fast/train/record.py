"""What a run leaves in its folder: state to go on from, the log, the curves; each whole or as it was before."""

from __future__ import annotations

import csv
import io
import os
import zipfile
import zlib
from collections.abc import Collection
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from fer_fast.machine.disk import write_whole
from fer_fast.types import FerFastError

#: What a state holds of a run's parts, each by its own `state_dict`.
LEARNT = ("live", "averaged", "optimizer", "scheduler")
LOG_FIELDS = (
    "step",
    "epoch",
    "image_size",
    "loss",
    "learning_rate",
    "images_per_second",
    "valid_nll",
    "valid_accuracy",
    "hard_accuracy",
)


def keep(path: Path, data: bytes) -> None:
    """Writes a file of a run, whole or not at all.

    Raises:
        FerFastError: if it cannot be written, on a full disk for example; an earlier file is left as it was.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_whole(path, data)
    except OSError as error:
        raise FerFastError(f"{str(path)!r} cannot be written; what was saved before is kept: {error}") from error


def save_state(path: Path, state: dict[str, Any]) -> None:
    """Writes what a run goes on from.

    Raises:
        FerFastError: as `keep`.
    """
    buffer = io.BytesIO()
    torch.save(state, buffer)
    keep(path, buffer.getvalue())


def load_state(path: Path, run: str, data: str, fields: Collection[str]) -> dict[str, Any] | None:
    """Reads it, on the CPU; None if there is none.

    Args:
        path: the file.
        run: what it must say that it is of, as `run`.
        data: the word for what the run learns from.
        fields: what it holds besides, `done`, how many steps, among them.

    Raises:
        ValueError: it is another run's.
        FerFastError: if it is damaged.
    """
    if not path.exists():
        return None
    try:
        _check_sums(path)
        state = read_tensors(path)
    except (ValueError, OSError) as error:
        raise _damaged(path, error) from error
    if not isinstance(state, dict) or "run" not in state:
        raise _damaged(path, "it is no run's")
    if state.pop("run") != run:
        raise ValueError(
            f"out must be a new folder: {str(path.parent)!r} holds a run of another recipe, of other {data}, "
            "or from another start"
        )
    if {*state} != {*fields} or type(state["done"]) is not int or state["done"] < 0:
        raise _damaged(path, "it is not whole")
    return state


def _check_sums(path: Path) -> None:
    """Compares what torch wrote with its CRC-32s, which torch does not: of a changed bit a run would go on, elsewhere.

    Raises:
        ValueError: it is another, or it was not torch that wrote it.
        OSError: it cannot be read.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            changed = archive.testzip()
    except (zipfile.BadZipFile, zlib.error, RuntimeError, EOFError) as error:
        raise ValueError(f"it is not what torch wrote: {error}") from error
    if changed is not None:
        raise ValueError(f"{changed} in it changed since it was written")


def _damaged(path: Path, why: object) -> FerFastError:
    return FerFastError(f"state {str(path)!r} is damaged; a run without it starts anew: {why}")


def read_tensors(path: Path) -> Any:
    """What torch wrote into a file, on the CPU; no code of it is run.

    Raises:
        ValueError: it was not torch that wrote it, or it is damaged.
        OSError: it cannot be read.
    """
    try:
        return torch.load(path, weights_only=True, map_location="cpu")
    except (OSError, MemoryError):
        raise
    except Exception as error:  # of any other bytes an unpickler may make anything
        raise ValueError(f"{type(error).__name__}: {error}") from error


def keep_tensor(path: Path, name: str, tensor: Tensor, about: dict[str, str]) -> None:
    """Writes what took long to compute, and of what it was.

    Raises:
        FerFastError: as `keep`.
    """
    keep(path, save({name: tensor.contiguous()}, about))


def kept_tensor(path: Path, name: str, about: dict[str, str]) -> Tensor | None:
    """Reads it; None if there is none, it is damaged, or is of something else."""
    try:
        with safe_open(path, framework="pt") as stored:
            return stored.get_tensor(name) if stored.metadata() == about else None
    except (OSError, SafetensorError):
        return None


def room(path: Path, shape: tuple[int, ...]) -> npt.NDArray[np.float16]:
    """A file of this shape with its space on the disk: writing into a sparse one on a full disk ends the process.

    Raises:
        OSError: if the disk has no room for it.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    file: npt.NDArray[np.float16] = np.lib.format.open_memmap(path, "w+", np.float16, shape)
    with path.open("r+b") as opened:
        os.posix_fallocate(opened.fileno(), 0, path.stat().st_size)
    return file


class Log:
    """The rows of a run as a CSV file.

    Args:
        path: the file.
        done: steps that are saved; rows of later steps are dropped, as these steps are done again.

    Raises:
        ValueError: what is there is no run's log.
        FerFastError: as `keep`.
    """

    def __init__(self, path: Path, done: int) -> None:
        self.path = path
        rows = _logged(path) if path.exists() else []
        self.rows: list[dict[str, Any]] = [row for row in rows if row["step"].isdecimal() and int(row["step"]) <= done]
        self._write()

    def add(self, row: dict[str, Any]) -> None:
        """Adds one row, in the file as well."""
        self.rows.append(row)
        self._write()

    def _write(self) -> None:
        buffer = io.StringIO(newline="")
        writer = csv.DictWriter(buffer, LOG_FIELDS)
        writer.writeheader()
        writer.writerows(self.rows)
        keep(self.path, buffer.getvalue().encode())


def _logged(path: Path) -> list[dict[str, Any]]:
    """The rows of a log, of a version with fewer columns, too; what a stopped machine left of a row is none."""
    try:
        with path.open(newline="") as file:
            reader = csv.DictReader(file)
            if not {*(reader.fieldnames or ["step"])} <= {*LOG_FIELDS}:
                raise ValueError(f"its columns are {', '.join(map(str, reader.fieldnames or []))}")
            return [row for row in reader if row.get("step") and None not in row]
    except (OSError, ValueError, csv.Error) as error:
        raise ValueError(f"out must be a new folder: {str(path)!r} is no log of a run: {error}") from error
