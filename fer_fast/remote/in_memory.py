"""Bytes come in that were fetched; paths go out by which any process of this user reads them, as it reads files."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager

from fer_fast.decode.files import READ_AT_ONCE
from fer_fast.decode.limits import in_words
from fer_fast.machine.inside import Inside
from fer_fast.machine.urls import is_url
from fer_fast.types import DecodeError, Status


def in_memory(files: Sequence[tuple[str, bytes]], opened: ExitStack) -> list[str]:
    """Puts files into memory of their own.

    Args:
        files: the URL and the bytes of each.
        opened: gives the memory back when it is closed.

    Returns:
        Of each its path, see `Inside.path`, as long as `opened` is.

    Raises:
        OSError: no memory, or no descriptor.
    """
    paths = []
    shared = -1
    end = 0
    for url, content in files:
        size = len(content)
        if size > READ_AT_ONCE:  # codecs read it piecewise: it is a file by itself
            file, begin = _new(opened), 0
        else:
            shared = _new(opened) if shared < 0 else shared
            file, begin, end = shared, end, end + size
        rest = memoryview(content)
        while rest:
            rest = rest[os.pwrite(file, rest, begin + size - len(rest)) :]
        paths.append(Inside(f"/proc/{os.getpid()}/fd/{file}", url, begin, size).path)
    return paths


@contextmanager
def at_hand(path: str, most: int, patient: bool = True) -> Iterator[str]:
    """A path at which a file can be read now: of a URL that of a copy in memory.

    Args:
        path: of a file, or its URL.
        most: bytes that a copy may have.
        patient: whether a passing fault is worth another try.

    Raises:
        DecodeError: it cannot be fetched.
    """
    if not is_url(path):
        yield path
        return
    from fer_fast.remote.stores import content_of
    from fer_fast.remote.trying import tried

    def room(size: int) -> None:
        if size > most:
            raise DecodeError(Status.TOO_LARGE, f"{in_words(size)}, more than {in_words(most)}")

    stopping = threading.Event()
    if not patient:
        stopping.set()
    content, _ = tried(lambda: content_of(path, None, room), stopping)
    with ExitStack() as opened:
        yield in_memory([(path, content)], opened)[0]


def _new(opened: ExitStack) -> int:
    file = os.memfd_create("fer-fast-fetched")
    opened.callback(os.close, file)
    return file
