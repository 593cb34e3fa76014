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
