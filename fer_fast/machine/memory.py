"""How much memory this process may use, what the machine has, a container's limit, the process's own; its want."""

from __future__ import annotations

import os
import resource
from pathlib import Path

from fer_fast.machine.groups import group_folders, text_of

#: Where Linux mounts the memory of its two kinds of control groups.
_VERSION_2 = ("sys/fs/cgroup", "sys/fs/cgroup/unified")
_VERSION_1 = ("sys/fs/cgroup/memory",)


def usable_memory(root: Path = Path("/")) -> int:
    """Bytes that this process may use at most, whatever others use at the moment.

    The smallest of the machine's memory, the limits of its control groups (a group has no more than the groups that it
    lies in), and the process's own limits (ulimit -v, -d).

    Args:
        root: the folder that holds proc and sys.
    """
    limits = [os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"), *_granted(root)]
    for kind in (resource.RLIMIT_AS, resource.RLIMIT_DATA):
        limit, _ = resource.getrlimit(kind)
        if limit != resource.RLIM_INFINITY:
            limits.append(limit)
    return min(limits)


def is_for_want_of_memory(error: BaseException) -> bool:
    """Whether there was too little of it, this machine's or a card's; torch on the CPU says so in words alone."""
    if isinstance(error, MemoryError):
        return True
    torchs = type(error).__name__ == "OutOfMemoryError" or "allocate memory" in str(error)
    return isinstance(error, RuntimeError) and torchs


def _granted(root: Path) -> list[int]:
    """What control groups grant."""
    words = [
        text_of(folder / name).strip()
        for folder in group_folders(root, "memory", _VERSION_1, _VERSION_2)
        for name in ("memory.max", "memory.limit_in_bytes")
    ]
    return [int(word) for word in words if word.isdecimal() and len(word) < 20 and int(word) > 0]  # "max" is no limit
