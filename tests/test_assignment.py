"""The cheapest pairs, against all that there are."""

from __future__ import annotations

import numpy as np
import pytest

from fer_fast.films.assignment import cheapest_pairs


def test_a_case_worked_by_hand() -> None:
    """Each row would have column 0; what they lose by another one decides."""
    assert cheapest_pairs([{0: -5.0, 1: -4.0}, {0: -5.0, 2: -1.0}, {0: -3.0}]) == {0: 1, 1: 0}
    # The last row is worth it if both others move on, by 1 each.
    assert cheapest_pairs([{0: -5.0, 1: -4.0}, {1: -5.0, 2: -4.0}, {0: -3.0}]) == {0: 1, 1: 2, 2: 0}
    # A row of which more is gained without its column gives it up.
    assert cheapest_pairs([{0: -1.0}, {0: -3.0}]) == {1: 0}


def test_nothing_to_pair() -> None:
    assert cheapest_pairs([]) == {}
    assert cheapest_pairs([{}, {3: -1.0}, {}]) == {1: 3}


def test_what_costs_more_than_to_stay_alone_is_no_pair() -> None:
    assert cheapest_pairs([{0: 0.5, 1: -0.5}, {1: -2.0}]) == {1: 1}


@pytest.mark.parametrize("rows", [1, 2, 3, 5, 8])
@pytest.mark.parametrize("columns", [1, 2, 3, 5, 8])
@pytest.mark.parametrize("named", [0.3, 0.9])
def test_no_other_pairs_are_cheaper(rows: int, columns: int, named: float) -> None:
    rng = np.random.default_rng(10 * rows + columns)
    for _ in range(10):
        costs = rng.integers(-9, 3, (rows, columns)) * (rng.random((rows, columns)) < named)
        pairs = cheapest_pairs([{n: float(cost) for n, cost in enumerate(row) if cost < 0} for row in costs])
        assert len({*pairs.values()}) == len(pairs)
        assert sum(costs[pair] for pair in pairs.items()) == cheapest(costs.tolist())


def cheapest(costs: list[list[int]]) -> int:
    """By trying all: row after row, of each set of columns that are taken the smallest sum."""
    sums = {0: 0}
    for row in costs:
        before = dict(sums)
        for taken, cost in before.items():
            for column, more in enumerate(row):
                if not taken >> column & 1:
                    now = taken | 1 << column
                    sums[now] = min(sums.get(now, cost + more), cost + more)
    return min(sums.values())
