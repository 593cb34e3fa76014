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
        # The folder of the last file, and where it lies, since its neighbours follow.
        self._last: str | None = None
        self._lies = ""

    def has_folder(self, folder: str) -> bool:
        """Whether a folder is the one where the table is made, or in it."""
        return self._is_inside(_lying(folder))

    def has_file(self, path: str) -> bool:
        """Whether a file is one of them, or in the folder; by its folder's links alone, as keys are."""
        folder, name = path.rsplit("/", 1) if is_url(path) else os.path.split(path)
        if folder != self._last:
            self._last, self._lies = folder, _lying(folder)
        return f"{self._lies.rstrip('/')}/{name}" in self._files or self._is_inside(self._lies)

    def _is_inside(self, folder: str) -> bool:
        return folder == self._folder or folder.startswith(f"{self._folder}/")


def _lying(path: str) -> str:
    return path.rstrip("/") if is_url(path) else resolved(path)
