"""How far a command is: one line at the foot of a terminal, and nothing where standard error is none."""

from __future__ import annotations

import sys
from types import TracebackType
from typing import Any, Self

from fer_fast.cli.console import say


class Progress:
    """A bar of what is done, or a line that says what is done now; taken away at the end.

    `update`, `show`, `note` and `close` are for one thread at a time; `expect` and `tell` may come from another.

    Args:
        quiet: show nothing on a terminal, either.
        unit: what `update` counts, in the plural.

    Attributes:
        shown: whether anybody sees it; what only a bar needs is not worth finding out otherwise.
        done: what `update` last told.
    """

    def __init__(self, quiet: bool = False, unit: str = "images") -> None:
        self.shown = not quiet and sys.stderr.isatty()
        self.done = 0
        self._unit = unit
        self._total: int | None = None
        self._bar: Any = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def update(self, done: int, new: int) -> None:
        """Counts.

        Args:
            done: all that is done, what an earlier run did included.
            new: what this run has done since the last call; the rate is of that alone.
        """
        self.done = done
        if not self.shown:
            return
        bar = self._opened(initial=done - new)
        bar.bar_format = None
        bar.total = self._total
        kept = done - new - bar.n  # what an earlier run did, and this one has come to only now
        bar.initial += kept
        bar.n += kept
        bar.update(new)  # shows it ten times a second at most

    def expect(self, total: int) -> None:
        """Tells how much there is; until then the bar has no end."""
        self._total = total

    def show(self, doing: str) -> None:
        """Says what is done now."""
        if self.shown:
            self._opened(initial=0).set_description_str(ascii(doing)[1:-1])

    def note(self, what: str) -> None:
        """Says behind the bar, once there is one, what is done now."""
        if self._bar is not None:
            self._bar.set_postfix_str(ascii(what)[1:-1])

    def tell(self, line: str) -> None:
        """Says a line above the bar; from any thread."""
        if (bar := self._bar) is not None:
            bar.clear()
        say(line)
        if bar is not None:
            bar.refresh()

    def close(self) -> None:
        """Takes the line away."""
        if self._bar is not None:
            self._bar.close()
            self._bar = None

    def _opened(self, initial: int) -> Any:
        if self._bar is None:
            from tqdm import tqdm

            self._bar = tqdm(
                initial=initial,
                unit=f" {self._unit}",
                bar_format="{desc}",
                file=sys.stderr,
                dynamic_ncols=True,
                leave=False,
            )
        return self._bar
