"""The `fer-fast` command: arguments come in, an exit status goes out, and one sentence for each expected error.

Exit statuses: 0 all went well; 1 the run failed, or --strict found a file without a prediction; 2 the caller must
change something; 130 interrupted, 143 terminated, 129 hung up; 141 nobody reads the output any more.
"""

from __future__ import annotations

import argparse
import importlib
import logging
import os
import signal
import sys
from collections.abc import Sequence
from contextlib import suppress
from types import FrameType
from typing import NoReturn, Protocol, TextIO

from fer_fast.cli.console import complain, log_to_stderr
from fer_fast.machine.memory import is_for_want_of_memory
from fer_fast.types import CheckpointError, FerFastError, MissingExtraError
from fer_fast.version import __version__

#: Commands by name: what they do, and the module that has their `add_arguments` and `run`.
COMMANDS = {
    "classify": ("classify the faces in photos, or images of faces, into a table", "fer_fast.cli.classify"),
    "merge": ("join the tables of several machines into one", "fer_fast.cli.merge"),
    "watch": ("classify the faces that a camera or a stream sees, as they come", "fer_fast.cli.watch"),
    "visualize": ("draw what a model makes of one face, or of the faces in a photo", "fer_fast.cli.visualize"),
    "timeline": ("make a page of the faces in a film, over time", "fer_fast.cli.timeline"),
    "evaluate": ("score a model on labelled faces, or a face finder", "fer_fast.cli.evaluate"),
    "export": ("write a model for another program", "fer_fast.cli.export"),
    "bench": ("measure how fast each stage is here, against what it could be", "fer_fast.cli.bench"),
    "train": ("train a model on labelled faces", "fer_fast.cli.train"),
    "train-finder": ("train a face finder further, on photos without labels", "fer_fast.cli.train_finder"),
    "recalibrate": ("measure a model's temperature, int8 ranges and costs anew", "fer_fast.cli.recalibrate"),
    "combine": ("make one model of two or more, the mean of what they answer", "fer_fast.cli.combine"),
    "tables": ("train every row of the tables of Oh & Yoo 2023", "fer_fast.cli.tables"),
    "doctor": ("say what works on this machine, and what to install", "fer_fast.cli.doctor"),
}


class Command(Protocol):
    """A module of `COMMANDS`; it imports what is heavy only in `run`."""

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        """Adds what the command takes."""

    def run(self, arguments: argparse.Namespace) -> int:
        """Does it; returns the exit status."""


def run(argv: Sequence[str]) -> int:
    """Runs a command in this process; returns its exit status, or raises SystemExit as argparse does."""
    try:
        arguments = _parser(argv).parse_args(argv)
        _configure_logging(arguments)
        return int(arguments.run(arguments))
    except BrokenPipeError:
        _drop(sys.stdout)
        return 128 + signal.SIGPIPE
    except KeyboardInterrupt as interrupt:
        return 128 + getattr(interrupt, "signal", signal.SIGINT)
    except (ValueError, CheckpointError, MissingExtraError) as error:  # OutputRefusedError is a ValueError
        return _complain(error, 2)
    except (FerFastError, OSError) as error:
        return _complain(error, 1)
    except (MemoryError, RuntimeError) as error:
        if not is_for_want_of_memory(error):
            raise
        return _complain(f"memory does not suffice: {error}", 1)


class Interrupted(KeyboardInterrupt):
    """A signal that asks to stop.

    Attributes:
        signal: which one.
    """

    def __init__(self, number: int) -> None:
        super().__init__()
        self.signal = number


def main() -> NoReturn:
    """The console's entry: a first Ctrl-C, SIGTERM or SIGHUP stops in good order, a second one at once."""
    _fill_closed_descriptors()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        # What is ignored stays so: nohup and shells' background jobs mean it.
        if signal.getsignal(number) in (signal.SIG_DFL, signal.default_int_handler):
            signal.signal(number, _interrupted)
    try:
        status = run(sys.argv[1:])
    except SystemExit as ended:  # argparse's, after help or wrong arguments
        status = int(ended.code or 0)
    status = _flushed(status)
    if status not in (0, 2):
        # Python would wait for its threads, and one of them may be the reason.
        for stream in (sys.stdout, sys.stderr):
            with suppress(OSError, ValueError, AttributeError):  # full, or closed
                stream.flush()
        os._exit(status)
    try:
        sys.stderr.flush()
    except OSError:  # nobody reads it, which changes no status
        _drop(sys.stderr)
    sys.exit(status)


def _flushed(status: int) -> int:
    """The exit status when what argparse printed has been written, too."""
    try:
        if sys.stdout is not None:
            sys.stdout.flush()
    except BrokenPipeError:
        _drop(sys.stdout)
        return 128 + signal.SIGPIPE
    except OSError as error:
        _drop(sys.stdout)
        complain("fer-fast", f"standard output cannot be written: {error.strerror or error}")
        return status or 1
    return status


def _fill_closed_descriptors() -> None:
    """No file of ours becomes what libraries take for standard output or error."""
    for descriptor in (0, 1, 2):
        try:
            os.fstat(descriptor)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # takes the lowest that is free
    if sys.stderr is None:
        sys.stderr = open(os.devnull, "w")  # noqa: PTH123, SIM115 (for as long as the process lives)


def _interrupted(number: int, frame: FrameType | None) -> NoReturn:
    for each in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(each) is _interrupted:
            signal.signal(each, lambda again, _: os._exit(128 + again))
    raise Interrupted(number)


def _parser(argv: Sequence[str]) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser("fer-fast", description="Facial expression recognition at speed.")
    parser.add_argument("--version", action="version", version=f"fer-fast {__version__}")
    chosen = next((word for word in argv if not word.startswith("-")), None)
    commands = parser.add_subparsers(metavar="COMMAND", required=True)
    for name, (help_line, module) in COMMANDS.items():
        subparser = commands.add_parser(name, help=help_line, description=f"{help_line[:1].upper()}{help_line[1:]}.")
        if name == chosen:  # only the chosen command's module is imported
            command: Command = importlib.import_module(module)
            command.add_arguments(subparser)
            subparser.add_argument("-q", "--quiet", action="store_true", help="no progress, no summary, no warnings")
            subparser.add_argument("-v", "--verbose", action="count", default=0, help="log what runs; -vv: more")
            subparser.set_defaults(run=command.run)
    return parser


def _configure_logging(arguments: argparse.Namespace) -> None:
    level = logging.ERROR if arguments.quiet else logging.WARNING
    if arguments.verbose:
        level = logging.INFO if arguments.verbose == 1 else logging.DEBUG
    log_to_stderr(level, "fer-fast: ")
    if sys.stderr.isatty() and not arguments.quiet:
        # What takes seconds is told to a person who waits.
        logging.getLogger("fer_fast.engines").setLevel(min(level, logging.INFO))


def _complain(error: object, status: int) -> int:
    logging.getLogger(__name__).debug("where it came from:", exc_info=True)
    try:
        if sys.stdout is not None:
            sys.stdout.flush()
    except OSError:  # a full disk, which the error has told
        _drop(sys.stdout)
    complain("fer-fast", error)
    return status


def _drop(stream: TextIO) -> None:
    """Sends what is still buffered for a reader that has gone to nowhere, so that Python does not complain at exit."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, stream.fileno())
    os.close(nowhere)
