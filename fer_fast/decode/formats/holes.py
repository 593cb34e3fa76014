"""Compressed bytes come in; whether part of them was never written goes out."""

from __future__ import annotations

#: An interrupted copy leaves zeros, a block of a disk or more; what is compressed well has no run as long.
_HOLE = bytes(64)


def has_hole(data: bytes) -> bool:
    """Whether there is a run of 64 zero bytes."""
    return data.find(_HOLE) >= 0
