"""What has threads of a foreign library's comes in; a forked child, in which they are not, never takes it apart."""

from __future__ import annotations

import ctypes
import os
import weakref

_living: weakref.WeakSet[object] = weakref.WeakSet()


def keep_in_children(opened: object) -> None:
    """No forked child frees this, or what it holds: destructors would wait for threads that are not there."""
    _living.add(opened)


def _after_fork() -> None:
    for opened in _living:
        ctypes.pythonapi.Py_IncRef(ctypes.py_object(opened))


os.register_at_fork(after_in_child=_after_fork)
