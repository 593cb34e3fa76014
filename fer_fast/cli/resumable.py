"""Commands that work for hours and keep what they have done: how they speak, and how they end before the end."""

from __future__ import annotations

import argparse
import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from fer_fast.cli.console import log_to_stderr, say
from fer_fast.machine.memory import is_for_want_of_memory
from fer_fast.table.workplace import locked
from fer_fast.types import FerFastError, OutputRefusedError

#: The file in a training's folder that the next call goes on from.
STATE = "state.pt"


@contextmanager
def resumable(arguments: argparse.Namespace, goes_on: str, state: Path | None = None) -> Iterator[None]:
    """While inside the log is told from INFO on, and what stops the work is the caller's to mend: status 2.

    Args:
        arguments: with `quiet` and `verbose`, as every command's.
        goes_on: the end of the sentence for who interrupts: "the same command goes on ...".
        state: the file that it goes on from; without that the command starts anew, and says so.

    Raises:
        ValueError: in place of a failing machine, a full disk, numbers that are no longer finite, or too little memory;
            the same command goes on once that is mended.
    """
    if not arguments.quiet and not arguments.verbose:
        log_to_stderr(logging.INFO)
    try:
        yield
    except KeyboardInterrupt:
        if state is None or state.exists():
            say(f"fer-fast: stopped; the same command goes on {goes_on}")
        else:
            say("fer-fast: stopped; no state was saved yet: the same command starts anew")
        raise
    except BrokenPipeError:
        raise
    except (FerFastError, OSError, ArithmeticError) as error:
        raise ValueError(str(error)) from error
    except (MemoryError, RuntimeError) as error:
        if not is_for_want_of_memory(error):
            raise
        told = f"memory does not suffice; a smaller batch_size or image_size needs less: {error}"
        raise ValueError(told) from error


def check_run_folder(out: Path) -> None:
    """Raises a ValueError, before there is work, where a run's folder is something else."""
    if out.exists() and not out.is_dir():
        raise ValueError(f"out must be a folder; {str(out)!r} is none")


@contextmanager
def alone(folder: Path) -> Iterator[None]:
    """While inside, no other command writes its run into a folder, which is made where there is none.

    Raises:
        OutputRefusedError: another one does, or there can be no folder.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError as error:
        raise OutputRefusedError(f"out {str(folder)!r} cannot be written: {error.strerror or error}") from error
    try:
        if not locked(descriptor, folder):  # until the process ends, however it does
            raise OutputRefusedError(f"another run is writing {str(folder)!r}")
        yield
    finally:
        os.close(descriptor)
