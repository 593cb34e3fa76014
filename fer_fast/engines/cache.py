"""Compiled models on disk: a key comes in, bytes go in or out; a model is compiled once a machine."""

from __future__ import annotations

import hashlib
import json
import logging
import os
import tempfile
from pathlib import Path

log = logging.getLogger(__name__)


def cache_folder() -> Path:
    """Where compiled models lie: FER_FAST_CACHE, else fer_fast under XDG_CACHE_HOME, else under ~/.cache."""
    if folder := os.environ.get("FER_FAST_CACHE"):
        return Path(folder)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "fer_fast"


def cache_file(engine: str, key: dict[str, str | int]) -> Path:
    """The file of a compiled model. Everything that would make it another model must be in `key`."""
    digest = hashlib.blake2b(json.dumps(key, sort_keys=True).encode(), digest_size=12).hexdigest()
    return cache_folder() / f"{engine}-{digest}.blob"


def store(file: Path, compiled: bytes) -> None:
    """Writes a compiled model, with a digest in front, whole or not at all.

    Raises:
        OSError: if the cache cannot be written.
    """
    file.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile(dir=file.parent, prefix=file.name, delete=False) as partial:
        try:
            partial.write(_digest(compiled) + compiled)
            partial.close()
            Path(partial.name).replace(file)
        except BaseException:
            Path(partial.name).unlink(missing_ok=True)
            raise


def fetch(file: Path) -> bytes | None:
    """The compiled model, or None if there is none or, with a warning in the log, its bytes are damaged."""
    try:
        content = file.read_bytes()
    except OSError:
        return None
    compiled = content[16:]
    if content[:16] == _digest(compiled):
        return compiled
    log.warning("compiled model %s is damaged and is made again", file)
    return None


def _digest(compiled: bytes) -> bytes:
    return hashlib.blake2b(compiled, digest_size=16).digest()
