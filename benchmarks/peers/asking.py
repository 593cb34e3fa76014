"""Runs peers' programs in turn: paths go to each one's standard input; its answer, or why there is none, comes back."""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

#: An answer and how many files it was asked of; raises a NoAnswerError where it does not count.
Check = Callable[[dict[str, Any], int], None]
#: Seconds after which a program is ended: fetching weights from a network that hangs, say.
PATIENCE = 1800
#: What every answer has.
COMMON = ("how", "versions", "seconds", "startup_seconds")


@dataclass(frozen=True)
class Peer:
    """A program and what it is called.

    Attributes:
        name: in the JSON.
        title: as in the table.
        program: its path; .mjs runs under node, .py under the interpreter of --python.
        arguments: what the program wants to know.
    """

    name: str
    title: str
    program: Path
    arguments: tuple[str, ...] = ()

    def command(self, options: argparse.Namespace) -> list[str]:
        """How it is started."""
        if self.program.suffix == ".mjs":
            return [options.node, str(self.program), str(options.node_modules), *self.arguments]
        return [options.python.get(self.package, sys.executable), str(self.program), *self.arguments]

    @property
    def package(self) -> str:
        """As in --python."""
        return self.program.stem.removesuffix("_package").removesuffix("_photos")


class NoAnswerError(Exception):
    """Why a program gave no answer that counts, in one line."""


@dataclass
class Outcome:
    """What became of one peer.

    Attributes:
        peer: which one.
        reason: why it has no figures; empty if it has.
        answers: what its program said, one a round.
    """

    peer: Peer
    reason: str = ""
    answers: list[dict[str, Any]] = field(default_factory=list)


def ask(command: list[str], paths: list[str], check: Check) -> dict[str, Any]:
    """Runs a program over the paths.

    Raises:
        NoAnswerError: if it cannot start, says that it cannot run, crashes, does not end, or `check` raises it.
    """
    try:
        done = subprocess.run(
            command, input="\n".join(paths) + "\n", capture_output=True, text=True, timeout=PATIENCE, errors="replace"
        )
    except OSError as error:
        raise NoAnswerError(f"{Path(command[0]).name} cannot be started: {error.strerror}") from error
    except subprocess.TimeoutExpired as error:
        raise NoAnswerError(f"ended after {PATIENCE} seconds without an answer") from error
    if done.returncode:
        said = done.stderr.strip().splitlines() or ["no word of it on standard error"]
        raise NoAnswerError(f"crashed with status {done.returncode}: {said[-1].strip()[:200]}")
    try:
        answer = json.loads(done.stdout)
        reason = answer.get("cannot_run", "")
    except (ValueError, AttributeError) as error:
        raise NoAnswerError(f"wrong answer: no JSON object but {done.stdout[:60]!r}") from error
    if reason:
        raise NoAnswerError(f"could not run: {reason}")
    check(answer, len(paths))
    return answer  # type: ignore[no-any-return]


def need(answer: dict[str, Any], *fields: str) -> None:
    """Raises a NoAnswerError where an answer lacks one of these, or of what every answer has."""
    if missing := {*COMMON, *fields} - set(answer):
        raise NoAnswerError(f"wrong answer: it lacks {min(missing)!r}")


def run_in_turn(peers: Sequence[Peer], options: argparse.Namespace, paths: list[str], check: Check) -> list[Outcome]:
    """All peers in turn, `options.rounds` times: a slow minute of the machine so hits all alike."""
    outcomes = [Outcome(peer) for peer in peers]
    for number in range(options.rounds):
        for outcome in outcomes:
            if outcome.reason:
                continue
            print(f"round {number + 1} of {options.rounds}: {outcome.peer.title}", file=sys.stderr)
            try:
                outcome.answers.append(ask(outcome.peer.command(options), paths, check))
            except NoAnswerError as error:
                outcome.reason = str(error)
    return outcomes


def interpreter_of(peers: Sequence[Peer], text: str) -> tuple[str, str]:
    """`NAME=PATH` of --python."""
    name, _, path = text.partition("=")
    known = dict.fromkeys(peer.package for peer in peers if peer.program.suffix == ".py")
    if name not in known or not path:
        raise argparse.ArgumentTypeError(f"must be NAME=PATH with a name of {', '.join(known)}, not {text!r}")
    return name, path


def add_options(parser: argparse.ArgumentParser, peers: Sequence[Peer]) -> None:
    """Adds what says how often peers run, with what, and where the result goes."""
    parser.add_argument("--rounds", type=int, default=3, help="times that all peers run in turn")
    parser.add_argument("--json", type=Path, help="write the result there, too")
    interpreter = partial(interpreter_of, peers)
    parser.add_argument("--python", type=interpreter, action="append", default=[], metavar="NAME=PATH")


def check_options(options: argparse.Namespace) -> None:
    """Reads what `add_options` added once all is there.

    Raises:
        ValueError: on a number that cannot be right.
    """
    options.python = dict(options.python)
    if options.rounds < 1:
        raise ValueError(f"--rounds must be at least 1, not {options.rounds}")


def speed_of(outcome: Outcome, ours: Outcome, files: int) -> dict[str, Any]:
    """What became of a peer, but for what is right of its answer: ready for JSON."""
    row: dict[str, Any] = {"name": outcome.peer.name, "title": outcome.peer.title}
    if outcome.reason:
        return row | {"reason": outcome.reason}
    rates, own = ([files / answer["seconds"] for answer in each.answers] for each in (outcome, ours))
    times = [theirs / mine for theirs, mine in zip(rates, own, strict=False)]
    spread = {"median": statistics.median(rates), "min": min(rates), "max": max(rates)}
    return row | {
        "how": outcome.answers[0]["how"],
        "versions": outcome.answers[0]["versions"],
        "images_per_second": {name: round(rate, 1) for name, rate in spread.items()},
        "times_fer_fast": round(statistics.median(times), 4) if times and not ours.reason else None,
        "startup_seconds": round(statistics.median(each["startup_seconds"] for each in outcome.answers), 2),
    }
