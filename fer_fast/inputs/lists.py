"""Lists of paths: one a line, or separated by NULs, as `find -print0` writes them."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import BinaryIO

_BLOCK = 1 << 16


def listed(stream: BinaryIO) -> Iterator[str]:
    """The paths of a list; the first block decides whether lines or NULs separate them."""
    block = stream.read(_BLOCK)
    if block.startswith(b"\xef\xbb\xbf"):
        block = block[3:]
    separator = b"\0" if b"\0" in block else b"\n"
    rest = b""
    while block:
        *whole, rest = (rest + block).split(separator)
        yield from _names(whole, separator)
        block = stream.read(_BLOCK)
    yield from _names([rest], separator)


def _names(entries: list[bytes], separator: bytes) -> Iterator[str]:
    for entry in entries:
        name = entry.removesuffix(b"\r") if separator == b"\n" else entry
        if name:
            yield os.fsdecode(name)
