"""Timing side by side: named calls come in, one rate a round of each goes out, taken in turn."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping
from typing import Any


def rates_in_turn(calls: Mapping[str, Callable[[], int]], rounds: int) -> dict[str, dict[str, Any]]:
    """Times calls in turn, A B C A B C, so that a slow minute of the machine hits all of them.

    Args:
        calls: name to a call that returns how many images it did; each is called once more first, to warm up.
        rounds: timed calls each.

    Returns:
        Name to images a second: median, min, max and every round.
    """
    for call in calls.values():
        call()
    rounds_of: dict[str, list[float]] = {name: [] for name in calls}
    for _ in range(rounds):
        for name, call in calls.items():
            started = time.perf_counter()
            done = call()
            rounds_of[name].append(done / (time.perf_counter() - started))
    return {name: spread(values) for name, values in rounds_of.items()}


def spread(values: list[float]) -> dict[str, Any]:
    """Median, min, max and the values themselves, rounded to a tenth."""
    return {
        "median": round(statistics.median(values), 1),
        "min": round(min(values), 1),
        "max": round(max(values), 1),
        "rounds": [round(value, 1) for value in values],
    }


def ratio(rates: Mapping[str, Mapping[str, Any]], name: str, other: str) -> float:
    """How many times faster `name` is than `other`: the median over the rounds of the ratio in the same round."""
    pairs = zip(rates[name]["rounds"], rates[other]["rounds"], strict=True)
    return float(round(statistics.median(mine / theirs for mine, theirs in pairs), 2))
