"""The kinds of value that options take: each reads a word of the command line, or says what it must be; and --prior."""

from __future__ import annotations

import argparse
import re
import sys
from pathlib import Path


def add_prior_argument(parser: argparse._ActionsContainer, default: str | None = "train") -> None:
    """Adds --prior, which `fer_fast.models.prior.shares_of` reads once the classes are known."""
    parser.add_argument(
        "--prior",
        default=default,
        metavar="MIX",
        help="the mix of classes that probabilities presume: train, the training's; balanced; shares or counts as "
        "anger=2,fear=8; or a file of them (default: train)",
    )


def path(text: str) -> Path:
    """Reads the path of a file or a folder; nothing, as of a variable that is not set, would be the current folder."""
    if not text:
        raise argparse.ArgumentTypeError("must be a path, not ''")
    return Path(text)


def positive(text: str) -> int:
    """Reads an integer of 1 or more."""
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"must be an integer of 1 or more, not {text!r}")
    return int(text)


def natural(text: str) -> int:
    """Reads an integer of 0 or more."""
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"must be an integer of 0 or more, not {text!r}")
    return int(text)


def positives(text: str) -> tuple[int, ...]:
    """Reads integers of 1 or more with commas between them."""
    if not all(part.strip().isdecimal() and int(part) > 0 for part in text.split(",")):
        raise argparse.ArgumentTypeError(f"must be integers of 1 or more, with commas between them, not {text!r}")
    return tuple(int(part) for part in text.split(","))


def threshold(text: str) -> float:
    """Reads a number from 0 to 1."""
    return _number(text, 1, "a number from 0 to 1")


def pixels(text: str) -> float:
    """Reads a number of pixels, 0 or more."""
    return _number(text, sys.float_info.max, "a number of pixels, 0 or more")


def size(text: str) -> int:
    """Reads a number of bytes, 1 or more: 500M, 2G, 1.5GiB; K, M, G and T count by thousands, Ki to Ti by 1024."""
    found = re.fullmatch(r"(\d+(?:\.\d+)?)(?:([KMGT])(i?))?B?", text.strip(), re.IGNORECASE)
    number, prefix, binary = found.groups() if found else ("0", None, None)
    power = " KMGT".index((prefix or " ").upper())
    value = int(float(number) * (1024 if binary else 1000) ** power)
    if value < 1:
        raise argparse.ArgumentTypeError(f"must be a number of bytes, such as 500M or 2G, not {text!r}")
    return value


def seconds(text: str) -> float:
    """Reads a number of seconds, 0 or more."""
    return _number(text, sys.float_info.max, "a number of seconds, 0 or more")


def share(text: str) -> float:
    """Reads a share of a thing, or a number of them, above 0."""
    value = _number(text, sys.float_info.max, "a number above 0")
    if not value:
        raise argparse.ArgumentTypeError(f"must be a number above 0, not {text!r}")
    return value


def names(text: str) -> tuple[str, ...]:
    """Reads names with commas between them; whether each is known is for the command to check."""
    return tuple(name.strip() for name in text.split(","))  # an empty name is an unknown one


def _number(text: str, most: float, rule: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value <= most:  # not a number is not, either
        raise argparse.ArgumentTypeError(f"must be {rule}, not {text!r}")
    return value
