"""Threads that a test has begun and that are still there; what a test before it left, hanging, does not count."""

from __future__ import annotations

import threading

_before: set[threading.Thread] = set()


def begin() -> None:
    """A test begins; conftest.py says so."""
    _before.clear()
    _before.update(threading.enumerate())


def threads_left(*names: str) -> list[str]:
    """Names of the threads since then whose name begins with one of these."""
    return [each.name for each in threading.enumerate() if each not in _before and each.name.startswith(names)]
