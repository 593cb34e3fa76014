"""Files that lie inside another, as tars' members: one str says which bytes of which file they are, as a path does."""

from __future__ import annotations

from typing import NamedTuple

from fer_fast.machine.urls import is_url

_MARK = "\0"  # no operating system's path has one


class Inside(NamedTuple):
    """Bytes of a file that are a file by themselves.

    Attributes:
        file: the path of the file that they lie in.
        name: what they are called in it.
        offset, size: where they begin, and how many they are.
    """

    file: str
    name: str
    offset: int
    size: int

    @property
    def path(self) -> str:
        """In the place of a path, for whoever reads files by `inside_of`."""
        return f"{self.file}{_MARK}{self.offset}+{self.size}{_MARK}/{self.name}"

    @property
    def shown(self) -> str:
        """What people call it: the name behind the file's, as if that were a folder; a URL is all of a name."""
        return self.name if is_url(self.name) else f"{self.file}/{self.name}"


def inside_of(path: str) -> Inside | None:
    """What `Inside.path` gave; None of a path that is one."""
    if _MARK not in path:
        return None
    file, place, name = (*path.split(_MARK, 2), "", "")[:3]
    offset, _, size = place.partition("+")
    return Inside(file, name[1:], int(offset), int(size)) if offset.isdecimal() and size.isdecimal() else None


def fetched_from(path: str) -> str:
    """The URL of a file that was fetched into memory; any other path as it is."""
    member = inside_of(path)
    return member.name if member is not None and is_url(member.name) else path
