"""What a command says: its results on standard output, all else, the package's log included, on standard error."""

from __future__ import annotations

import logging
import sys
from contextlib import suppress

from fer_fast.machine.disk import write_all
from fer_fast.types import OutputError


def check_stdout() -> None:
    """Refuses a closed standard output before the work whose results would be printed there.

    Raises:
        ValueError: it is closed.
    """
    if sys.stdout is None:
        raise ValueError("standard output is closed: there is nowhere to print to")


def print_out(text: str) -> None:
    """Writes text and the end of its line to standard output: all of it, however little that takes at a time.

    What the output's encoding lacks, a file's odd name say, becomes a backslash escape.

    Raises:
        BrokenPipeError: the reader has gone.
        OutputError: the disk is full or fails.
    """
    check_stdout()
    line = f"{text}\n"
    if not hasattr(sys.stdout, "buffer"):  # a caller in this process reads it as text
        sys.stdout.write(line)
        return
    write_out(line.encode(sys.stdout.encoding, errors="backslashreplace"))


def write_out(lines: bytes) -> None:
    """Writes UTF-8 to standard output, whatever encoding that has; else as `print_out`.

    Raises:
        BrokenPipeError, OutputError: as `print_out`.
    """
    check_stdout()
    stream = getattr(sys.stdout, "buffer", None)
    if stream is None:
        sys.stdout.write(lines.decode())
        return
    try:
        sys.stdout.flush()  # what was said before stands before it
        write_all(stream, lines)
    except BrokenPipeError:
        raise
    except OSError as error:
        raise OutputError(f"standard output cannot be written: {error.strerror or error}") from error


def say(line: str) -> None:
    """Writes a line to standard error, whatever characters a file's name in it has; nobody need read it."""
    with suppress(OSError):
        print(line.encode(errors="backslashreplace").decode(), file=sys.stderr, flush=True)


def complain(command: str, error: object) -> None:
    """Says an error in one line."""
    say(f"{command}: {' '.join(str(error).split()) or type(error).__name__}")


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
