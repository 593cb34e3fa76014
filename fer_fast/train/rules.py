"""The kinds of rules that recipes' fields have: settings and a name come in, and a sentence if the rule is broken."""

from __future__ import annotations

import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

from fer_fast.models.config import is_number

#: torch's seeds, and those that numpy's generators take, are not larger.
LARGEST_SEED = 2**63 - 1


def check_number(settings: object, name: str, rule: str, holds: Callable[[Any], bool]) -> None:
    """Raises a ValueError unless a field is a number, finite, for which the rule holds."""
    value = getattr(settings, name)
    if not is_number(value) or not holds(value):
        raise ValueError(f"{name} must be {rule}, not {value!r}")


def check_one_of(settings: object, name: str, choices: tuple[str, ...]) -> None:
    """Raises a ValueError unless a field is one of the choices."""
    if getattr(settings, name) not in choices:
        raise ValueError(f"{name} must be one of {', '.join(choices)}, not {getattr(settings, name)!r}")


def check_seed(seed: object) -> None:
    """Raises a ValueError unless it is one."""
    if type(seed) is not int or not 0 <= seed <= LARGEST_SEED:
        raise ValueError(f"seed must be an integer from 0 to {LARGEST_SEED}, not {seed!r}")


def table_of(value: Any, name: str) -> dict[str, Any]:
    """The same value.

    Raises:
        ValueError: it is no table of TOML.
    """
    if not isinstance(value, dict):
        raise ValueError(f"{name} must be a table of fields, not {value!r}")
    return value


def values_of(path: Path) -> dict[str, Any]:
    """What a recipe's file says.

    Raises:
        tomllib.TOMLDecodeError, UnicodeDecodeError: it is no TOML.
    """
    return tomllib.loads(path.read_text(encoding="utf-8-sig"))  # editors of Windows put a byte order mark before UTF-8
