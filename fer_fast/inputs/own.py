"""The table that a run writes comes in; whether a path is of it, and none of the run's inputs, goes out."""

from __future__ import annotations

import os

from fer_fast.inputs.keys import resolved
from fer_fast.machine.urls import is_url


class Own:
    """A table, its manifest and the folder where it is made, on a disk or in a store, there or not.

    Args:
        table: its path or URL.
    """

    def __init__(self, table: str | os.PathLike[str]) -> None:
        name = _lying(os.fspath(table))
        self._files, self._folder = (name, f"{name}.manifest"), f"{name}.partial"

    def __contains__(self, path: str) -> bool:
        """Whether a file or a folder is one of them, or in the folder."""
        name = _lying(path)
        return name in self._files or name == self._folder or name.startswith(f"{self._folder}/")


def _lying(path: str) -> str:
    return path.rstrip("/") if is_url(path) else resolved(path)
