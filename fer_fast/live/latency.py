"""Durations come in, of a run that may have no end; the ones that half, or nearly all, stay below go out."""

from __future__ import annotations

import math
from collections import Counter

#: How much longer the durations of one bin may be than those of the bin before.
_STEP = 1.01


class Latencies:
    """Counts durations by how long they are, to one per cent: as much memory after a year as after a minute."""

    def __init__(self) -> None:
        self._bins: Counter[int] = Counter()

    def add(self, seconds: float) -> None:
        """One more; below a microsecond it counts as one."""
        self._bins[math.floor(math.log(max(seconds, 1e-6), _STEP))] += 1

    def quantile(self, share: float) -> float | None:
        """Seconds that so many of all stay below, 0 to 1; None where there are none."""
        left = share * self._bins.total()
        for place, count in sorted(self._bins.items()):
            left -= count
            if left <= 0:
                return float(_STEP ** (place + 0.5))
        return None
