"""Compiled models, and the kernel, on disk: a key comes in, bytes go in or out; each is compiled once a machine.

Several users and processes may share the folder. What cannot be kept is told in one line: it costs each start seconds.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import re
import secrets
import time
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from fer_fast.version import __version__

if TYPE_CHECKING:
    from typing import TypeAlias

    Buffer: TypeAlias = bytes | memoryview

log = logging.getLogger(__name__)

#: Megabytes that compiled models may take, unless FER_FAST_CACHE_MB says another number.
DEFAULT_LIMIT = 2048
#: A compiled model, with what follows while it is being written.
_OURS = re.compile(r"[a-z]+-[0-9a-f]{24}\.blob(?P<partial>.+)?")
#: Bytes of the digest that a file begins with.
_DIGEST = 16
#: Seconds after which a file that is still being written was left by a process that was killed.
_LEFT = 3600


class Place:
    """Where one compiled model lies, or would.

    Args:
        engine: whose it is.
        key: everything that would make it another model, but for the version of this package.

    Raises:
        ValueError: FER_FAST_CACHE_MB is not a number.
    """

    def __init__(self, engine: str, key: dict[str, str | int]) -> None:
        text = json.dumps({**key, "fer_fast": __version__}, sort_keys=True)
        digest = hashlib.blake2b(text.encode(), digest_size=12).hexdigest()
        self.limit = _limit()
        self.file: Path | None = None
        self.obstacle = ""
        try:
            self.file = cache_folder() / f"{engine}-{digest}.blob"
        except RuntimeError as error:  # no HOME, and nobody of this user's number is known here
            self._cannot_keep("compiled models", f"{str(error).rstrip('.')}; FER_FAST_CACHE may name a folder")

    def fetch(self) -> memoryview | None:
        """The compiled model; None if there is none or, with a warning in the log, it cannot be read or is damaged."""
        if self.file is None:
            return None
        try:
            content = _read(self.file)
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError as error:  # another user's: to write over it would take it from them
            self._cannot_keep(f"compiled model {self.file}", f"it cannot be read: {error.strerror}")
            return None
        compiled = content[_DIGEST:]
        if content[:_DIGEST] != _digest(compiled):
            log.warning("compiled model %s is damaged and is made again", self.file)
            return None
        self._mark_as_used()
        return compiled

    def store(self, compiled: Buffer) -> str:
        """Keeps a compiled model, whole or not at all.

        Returns:
            stored, or why not; that is a warning in the log, too.
        """
        if self.file is not None and not self.obstacle:
            self._store(self.file, compiled)
        return f"not stored: {self.obstacle}" if self.obstacle else "stored"

    def _store(self, file: Path, compiled: Buffer) -> None:
        size = memoryview(compiled).nbytes
        if size > self.limit:
            self._cannot_keep(
                f"compiled model {file}", f"its {size / 1e6:.1f} MB are more than FER_FAST_CACHE_MB allows"
            )
            return
        try:
            _make_room(file, size, self.limit)
            _write(file, _digest(compiled), compiled)
        except OSError as error:
            self._cannot_keep(f"compiled models in {file.parent}", error.strerror or str(error))

    def _mark_as_used(self) -> None:
        assert self.file is not None
        with suppress(OSError):  # another user's, or a disk that is only read: then it counts as old as it is
            os.utime(self.file)

    def _cannot_keep(self, what: str, reason: str) -> None:
        self.obstacle = reason
        _warn(what, reason)


@cache
def _warn(what: str, reason: str) -> None:
    """Tells it once a process: a command may open many engines."""
    log.warning("%s cannot be kept, and must be made again at each start: %s", what, reason)


def cache_folder() -> Path:
    """Where compiled models lie: FER_FAST_CACHE, else fer_fast under XDG_CACHE_HOME, else under ~/.cache.

    Raises:
        RuntimeError: nothing says where this user's home is.
    """
    if folder := os.environ.get("FER_FAST_CACHE"):
        return Path(folder).expanduser()
    shared = Path(os.environ.get("XDG_CACHE_HOME", ""))
    # What is not absolute counts as not set, says the XDG Base Directory Specification.
    home = shared if shared.is_absolute() else Path.home() / ".cache"
    if not home.is_absolute():
        raise RuntimeError(f"HOME must be an absolute path, not {os.environ.get('HOME')!r}")
    return home / "fer_fast"


def _limit() -> int:
    """Bytes that compiled models may take."""
    text = os.environ.get("FER_FAST_CACHE_MB") or str(DEFAULT_LIMIT)
    if not re.fullmatch(r"[0-9]{1,12}", text):
        raise ValueError(f"FER_FAST_CACHE_MB must be a whole number of megabytes, not {text!r}")
    return int(text) * 10**6


def _make_room(file: Path, size: int, limit: int) -> None:
    """Removes what was used longest ago until a file fits, and what killed processes left.

    Raises:
        OSError: the folder cannot be made or listed.
    """
    file.parent.mkdir(parents=True, exist_ok=True)
    kept: list[tuple[float, int, Path]] = []
    for entry in os.scandir(file.parent):
        named = _OURS.fullmatch(entry.name)
        if named is None or entry.name == file.name:
            continue
        try:
            about = entry.stat(follow_symlinks=False)
        except FileNotFoundError:
            continue  # another process made room
        if not named["partial"]:
            kept.append((about.st_mtime, about.st_size, Path(entry.path)))
        elif about.st_mtime < time.time() - _LEFT:
            _remove(Path(entry.path))
    taken = size + sum(each[1] for each in kept)
    for _, bytes_, path in sorted(kept):
        if taken <= limit:
            return
        if _remove(path):
            taken -= bytes_
    if taken > limit:
        log.warning("compiled models in %s take %.0f MB, more than FER_FAST_CACHE_MB allows", file.parent, taken / 1e6)


def _remove(path: Path) -> bool:
    try:
        path.unlink(missing_ok=True)
    except OSError as error:  # another user's, in a folder where each removes his own
        log.info("%s cannot be removed: %s", path, error.strerror)
        return False
    return True


def _read(file: Path) -> memoryview:
    """A file's content, read once to where it is used: tens of megabytes are not copied again."""
    with file.open("rb") as stream:  # unlike one without a buffer it reads on where a disk gives less than all
        content = memoryview(bytearray(os.fstat(stream.fileno()).st_size))
        return content[: stream.readinto(content)]


def _write(file: Path, *parts: Buffer) -> None:
    """Writes beside the place and moves it there; readable by whom the umask allows, so that users share it."""
    partial = file.with_name(f"{file.name}.{secrets.token_hex(8)}")
    try:
        with partial.open("xb") as stream:
            for part in parts:
                stream.write(part)
        partial.replace(file)
    except BaseException:
        partial.unlink(missing_ok=True)
        raise


def _digest(compiled: Buffer) -> bytes:
    return hashlib.blake2b(compiled, digest_size=_DIGEST).digest()
