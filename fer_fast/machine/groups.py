"""Linux' control groups: where the folders lie that say what this process is granted."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path, PurePosixPath


def group_folders(root: Path, controller: str, version_1: Sequence[str], version_2: Sequence[str]) -> Iterator[Path]:
    """The folders of this process's control groups, and of the groups that they lie in; some may not be there.

    Args:
        root: the folder that holds proc and sys.
        controller: cpu or memory.
        version_1, version_2: where a controller's groups of either kind are mounted.
    """
    for line in text_of(root / "proc/self/cgroup").splitlines():  # number:controllers:path
        _, _, rest = line.partition(":")
        controllers, _, path = rest.partition(":")
        if controllers and controller not in controllers.split(","):
            continue
        # A container may see its own group at the mount itself while the path is the host's; what is not there is no
        # limit.
        inner = PurePosixPath(path.lstrip("/"))
        for mount in version_1 if controllers else version_2:
            for group in (inner, *inner.parents):
                if ".." not in group.parts:
                    yield root / mount / group


def text_of(path: Path) -> str:
    """A file of the kernel's; empty where it is not there or not ours to read."""
    try:
        return path.read_text(errors="surrogateescape")
    except OSError:
        return ""
