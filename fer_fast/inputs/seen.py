"""Which of millions of 64-bit keys have come already, at about 8 bytes a key."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

_RECENT = 1 << 16


class KeySet:
    """A growing set of 64-bit keys: a Python set of them would take ten times the memory."""

    def __init__(self) -> None:
        self._sorted: npt.NDArray[np.uint64] = np.empty(0, np.uint64)
        self._recent: set[int] = set()

    def __contains__(self, key: int) -> bool:
        return key in self._recent or (len(self._sorted) > 0 and self._is_sorted_in(key))

    def __len__(self) -> int:
        return len(self._recent) + len(self._sorted)

    def add(self, key: int) -> bool:
        """Adds a key; False if it was there."""
        if key in self:
            return False
        self._recent.add(key)
        if len(self._recent) >= _RECENT:
            recent = np.fromiter(self._recent, np.uint64, len(self._recent))
            self._sorted = np.concatenate([self._sorted, recent])
            self._sorted.sort()
            self._recent.clear()
        return True

    def _is_sorted_in(self, key: int) -> bool:
        place = int(np.searchsorted(self._sorted, np.uint64(key)))
        return place < len(self._sorted) and int(self._sorted[place]) == key
