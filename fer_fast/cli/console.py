"""What a command says on standard error: the package's log, what it does now, and one sentence for an error."""

from __future__ import annotations

import logging
import sys


def log_to_stderr(level: int, prefix: str = "") -> None:
    """Sends the package's log to standard error, in place of wherever an earlier call sent it.

    Args:
        level: the least that is told.
        prefix: stands before each line.
    """
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(logging.Formatter(f"{prefix}%(message)s"))
    logger = logging.getLogger("fer_fast")
    logger.handlers[:] = [handler]
    logger.setLevel(level)


def complain(command: str, error: object) -> None:
    """Prints an error in one line, whatever characters a file's name in it has."""
    sentence = " ".join(str(error).split()) or type(error).__name__
    print(f"{command}: {sentence}".encode(errors="backslashreplace").decode(), file=sys.stderr)


class Progress:
    """The last line of a terminal, rewritten; nothing where standard error is no terminal.

    Args:
        quiet: nothing there, either.
    """

    def __init__(self, quiet: bool = False) -> None:
        self._shown = sys.stderr.isatty() and not quiet

    def __enter__(self) -> Progress:
        return self

    def __exit__(self, *exception: object) -> None:
        self.show("")

    def show(self, doing: str) -> None:
        """Says what is done now."""
        if self._shown:
            print(f"\r\x1b[K{ascii(doing)[1:-1][:100]}", end="", file=sys.stderr, flush=True)
