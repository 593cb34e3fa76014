"""A file's name below what was named comes in; whether it is this machine's share of them goes out."""

from __future__ import annotations

import hashlib
import re
from typing import Any

_BYTES = 7  # of a hash: a shell computes with so many


class Shard:
    """One of several shares of what inputs name: each file is in one of them, whichever other files there are.

    Which one follows from the file's name alone, as `ImageFiles` gives it: the first seven bytes that BLAKE2b makes of
    it as a number, modulo `count`, plus 1. So machines need not agree on anything but `count`, and what is added
    to a folder moves nothing.

    Args:
        text: which share, and of how many: 3/16. The first is 1.
        called: what messages call it.

    Attributes:
        number, count: which share, and of how many.
        files: names that it was asked about.

    Raises:
        ValueError: it is none.
    """

    def __init__(self, text: str, called: str = "shard") -> None:
        found = re.fullmatch(r"([0-9]{1,9})/([0-9]{1,9})", text)
        self.number, self.count = map(int, found.groups()) if found else (0, 0)
        if not 1 <= self.number <= self.count:
            raise ValueError(f"{called} must be K/N, K from 1 to N, such as 3/16, not {text!r}")
        self.files = 0
        self._sum = 0

    def __str__(self) -> str:
        return f"{self.number}/{self.count}"

    def takes(self, name: str) -> bool:
        """Whether a file is in this share. Asked once a file: it is counted."""
        value = _hash(name)
        self.files += 1
        self._sum += value
        return value % self.count == self.number - 1

    @property
    def found(self) -> dict[str, Any]:
        """What tells whether other shares saw the same files: how many, and the sum of their hashes, in any order."""
        return {"files": self.files, "names": f"{self._sum % 256**_BYTES:0{2 * _BYTES}x}"}


def _hash(name: str) -> int:
    try:
        text = name.encode("utf-8", "surrogateescape")  # the bytes that the disk has
    except UnicodeEncodeError:  # a surrogate that no operating system gave
        text = name.encode("utf-8", "surrogatepass")
    return int.from_bytes(hashlib.blake2b(text, digest_size=_BYTES).digest(), "big")
