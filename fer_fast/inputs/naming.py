"""The path of a file that was found comes in; what a table calls it, and its name below what was named, go out."""

# ruff: noqa: PTH118 (any str)
from __future__ import annotations

import os

from fer_fast.machine.urls import is_url


class Naming:
    """Names of the files that one input means.

    Args:
        entry: what their paths begin with: a folder, of a glob what stands before its first magic character. Empty for
            a list, whose lines are names by themselves.
        called: what a table has instead of it.
    """

    def __init__(self, entry: str = "", called: str = "") -> None:
        self._entry, self._called = entry, called

    def called(self, path: str) -> str:
        """What a table calls a file."""
        if self._entry == self._called:
            return path
        rest = self._rest(path)
        return os.path.join(self._called, rest) if rest else self._called

    def below(self, path: str) -> str:
        """The file's name without the input's; all that a table calls it, without . and .., if it was named outright.

        So a folder's files have the same names wherever the folder is mounted, and none changes when a run goes on.
        """
        rest = self._rest(path) if self._entry or self._called else ""
        whole = self._called or path
        return rest or (whole if is_url(whole) else os.path.normpath(whole))

    def _rest(self, path: str) -> str:
        assert path.startswith(self._entry), (path, self._entry)
        return path[len(self._entry) :].lstrip("/")
