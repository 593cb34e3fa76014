"""What pairs cost comes in, the pairs that are cheapest together go out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence


def cheapest_pairs(costs: Sequence[Mapping[int, float]]) -> dict[int, int]:
    """Pairs rows with columns, each with one at most, so that the costs' sum is the smallest there is.

    By shortest augmenting paths (Jonker & Volgenant 1987) over the pairs that are named alone: where each row has few,
    the time goes by the number of rows, and no package is needed for it. Of equal sums the order of rows and of
    columns says which.

    Args:
        costs: of each row its columns and what the pair with each costs. To stay without a column costs 0, so that a
            cost above 0 is never worth it.

    Returns:
        The column of each row that has one.
    """
    pairing = _Pairing(costs)
    for row in range(len(costs)):
        pairing.add(row)
    return pairing.columns


class _Pairing:
    """The cheapest pairs of the rows that were added.

    Prices say what a row has cost and what a column is worth less than nothing for: by them no path that changes pairs
    has a negative length, and pairs that stand have the length 0.
    """

    def __init__(self, costs: Sequence[Mapping[int, float]]) -> None:
        self.columns: dict[int, int] = {}  # by row
        self._rows: dict[int, int] = {}  # by column
        self._costs = costs
        self._row_prices = [0.0] * len(costs)
        self._column_prices: dict[int, float] = {}

    def add(self, start: int) -> None:
        """Finds the shortest path from a new row to a column that is free, or to a row that had better stay alone."""
        open_: dict[int, float] = {}  # columns that a path leads to, and its length
        before: dict[int, int] = {}  # the row that each was reached from
        passed: dict[int, float] = {}
        row, length = start, 0.0
        alone, shortest = start, -self._row_prices[start]
        end: int | None = None
        while True:
            self._reach(row, length, open_, before, passed)
            column = min(open_, key=open_.__getitem__, default=None)
            if column is None or open_[column] >= shortest:
                break
            if column not in self._rows:
                end, shortest = column, open_[column]
                break
            length = passed[column] = open_.pop(column)
            row = self._rows[column]
            if length - self._row_prices[row] < shortest:
                alone, shortest = row, length - self._row_prices[row]
        self._reprice(start, shortest, passed)
        self._turn(end if end is not None else self.columns.pop(alone, None), before)

    def _reach(
        self, row: int, length: float, open_: dict[int, float], before: dict[int, int], passed: dict[int, float]
    ) -> None:
        length -= self._row_prices[row]
        for column, cost in self._costs[row].items():
            found = length + cost - self._column_prices.get(column, 0.0)
            if column not in passed and (column not in open_ or found < open_[column]):
                open_[column], before[column] = found, row

    def _reprice(self, start: int, shortest: float, passed: Mapping[int, float]) -> None:
        self._row_prices[start] += shortest
        for column, length in passed.items():
            self._row_prices[self._rows[column]] += shortest - length
            self._column_prices[column] = self._column_prices.get(column, 0.0) + length - shortest

    def _turn(self, column: int | None, before: Mapping[int, int]) -> None:
        """Gives a column that is free now to the row it was reached from, the one that this one had to the next."""
        while column is not None:
            row = before[column]
            self._rows[column] = row
            free, self.columns[row] = self.columns.get(row), column
            column = free
