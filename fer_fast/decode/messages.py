"""What a decoder and its processes say to each other over a socket: one value of Python's a message, its length first.

marshal's values are plain (numbers, text, lists, tuples), cheap to write and to read, and run no code when they are
read; both ends are the same interpreter.
"""

from __future__ import annotations

import marshal
import os
from typing import Any

_LENGTH = 4  # bytes


def packed(message: Any) -> bytes:
    """A message as it is sent."""
    body = marshal.dumps(message)
    return len(body).to_bytes(_LENGTH, "little") + body


def send(descriptor: int, message: Any) -> None:
    """Writes a message whole.

    Raises:
        OSError: nobody reads at the other end.
    """
    rest = memoryview(packed(message))
    while rest:
        rest = rest[os.write(descriptor, rest) :]


def receive(descriptor: int) -> Any:
    """Waits for a message.

    Raises:
        EOFError: the other end is closed.
        OSError: so it is, while something was under way.
    """
    return marshal.loads(_exactly(descriptor, int.from_bytes(_exactly(descriptor, _LENGTH), "little")))


def _exactly(descriptor: int, size: int) -> bytes:
    data = b""
    while len(data) < size:
        piece = os.read(descriptor, size - len(data))
        if not piece:
            raise EOFError("the other end is closed")
        data += piece
    return data
