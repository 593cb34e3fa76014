"""Lists of paths: one a line, or separated by NULs, as `find -print0` writes them."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import BinaryIO

from fer_fast.machine.stall import Pulse

_BLOCK = 1 << 16
#: No path is longer, so what goes on without a separator is no list; Linux takes 4,096 bytes.
_LONGEST = 1 << 16
_UTF16 = (b"\xff\xfe", b"\xfe\xff")


def listed(stream: BinaryIO, called: str, pulse: Pulse) -> Iterator[str]:
    """The paths of a list; the first block decides whether lines or NULs separate them.

    Args:
        stream: the list.
        called: the input, for messages.
        pulse: is told while the stream is waited for.

    Raises:
        ValueError: it is no list of paths.
    """
    block = _read(stream, pulse)
    if block.startswith(_UTF16):
        raise ValueError(f"the list {called!r} is in UTF-16: write it in UTF-8")
    if block.startswith(b"\xef\xbb\xbf"):
        block = block[3:]
    separator = b"\0" if b"\0" in block else b"\n"
    rest = b""
    while block:
        *whole, rest = (rest + block).split(separator)
        yield from _names(whole, separator)
        if len(rest) > _LONGEST:
            raise ValueError(f"{called!r} is no list: it has a line of more than {_LONGEST} bytes")
        block = _read(stream, pulse)
    yield from _names([rest], separator)


def _read(stream: BinaryIO, pulse: Pulse) -> bytes:
    with pulse.outside():
        return stream.read(_BLOCK)


def _names(entries: list[bytes], separator: bytes) -> Iterator[str]:
    for entry in entries:
        name = entry.removesuffix(b"\r") if separator == b"\n" else entry
        if name:
            yield os.fsdecode(name)
