"""64-bit digests of paths come in; whether each has come before goes out, at about 8 bytes a path."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

_RECENT = 1 << 16


class PathSet:
    """A growing set of 64-bit digests: a Python set of them would take ten times the memory."""

    def __init__(self) -> None:
        self._sorted: npt.NDArray[np.uint64] = np.empty(0, np.uint64)
        self._recent: set[int] = set()

    def __contains__(self, digest: int) -> bool:
        return digest in self._recent or _find(self._sorted, digest) is not None

    def __len__(self) -> int:
        return len(self._recent) + len(self._sorted)

    def add(self, digest: int) -> bool:
        """Adds a digest; False if it was there."""
        if digest in self:
            return False
        self._recent.add(digest)
        if len(self._recent) >= _RECENT:
            recent = np.fromiter(self._recent, np.uint64, len(self._recent))
            self._sorted = np.concatenate([self._sorted, recent])
            self._sorted.sort()
            self._recent.clear()
        return True


class PathCounts:
    """A fixed multiset of 64-bit digests, from which they are taken one by one."""

    def __init__(self, digests: npt.NDArray[np.uint64]) -> None:
        self._sorted = np.sort(digests)
        self._taken = np.zeros(len(digests), bool)
        self.left = len(digests)

    def take(self, digest: int) -> bool:
        """Takes one of these digests away; False if none is left."""
        place = _find(self._sorted, digest)
        if place is None:
            return False
        while place < len(self._sorted) and self._sorted[place] == digest:
            if not self._taken[place]:
                self._taken[place] = True
                self.left -= 1
                return True
            place += 1
        return False


def _find(digests: npt.NDArray[np.uint64], digest: int) -> int | None:
    place = int(np.searchsorted(digests, np.uint64(digest)))
    return place if place < len(digests) and digests[place] == digest else None
