"""A path comes in; 64 bits of where the file really lies go out."""

from __future__ import annotations

import hashlib
import os

from fer_fast.machine.inside import inside_of
from fer_fast.machine.urls import is_url


class Keys:
    """Keys of paths; the folder of the last one is remembered, since its neighbours follow."""

    def __init__(self) -> None:
        self._folder: str | None = None
        self._start = hashlib.blake2b(digest_size=8)

    def __call__(self, path: str) -> int:
        """The key of a file; of a URL as it is written, since each letter of it may make it another's."""
        if is_url(path):
            return int.from_bytes(hashlib.blake2b(_bytes(path), digest_size=8).digest(), "little")
        folder, name = os.path.split(path)
        if folder != self._folder:
            self._folder = folder
            self._start = hashlib.blake2b(_bytes(resolved(folder)) + b"/", digest_size=8)
        digest = self._start.copy()
        digest.update(_bytes(name))
        return int.from_bytes(digest.digest(), "little")


def key_of(path: str) -> int:
    """The key of a file, see `Item`."""
    member = inside_of(path)
    return Keys()(path if member is None else member.shown)


def resolved(folder: str) -> str:
    """A folder with its links followed, as far as that can be."""
    try:
        return os.path.realpath(folder or ".")
    except (OSError, ValueError):  # a NUL, or no current folder any more
        return folder


def _bytes(path: str) -> bytes:
    return path.encode("utf-8", "surrogatepass")
