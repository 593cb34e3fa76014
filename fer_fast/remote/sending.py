"""Files on a disk come in and stand in an object store, each whole or not at all; or come back from there."""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from fer_fast.remote.faults import CutError, MissingError
from fer_fast.remote.stores import store_of
from fer_fast.remote.trying import tried

#: Schemes of stores that show an object when all of it has come; what is written elsewhere may be seen half.
WHOLE = ("s3", "s3a", "gs", "gcs", "az", "abfs", "abfss", "memory")


def send(path: Path, url: str, beat: Callable[[], None], stopping: threading.Event | None = None) -> None:
    """Puts a file into a store, in place of what is there.

    Args:
        path: the file.
        url: where it goes.
        beat: is called as it comes through.
        stopping: see `tried`.

    Raises:
        DecodeError: it cannot be put there.
        MissingExtraError, ValueError: see `store_of`.
    """
    size = path.stat().st_size
    store, name = store_of(url)

    def put() -> None:
        store.put_file(str(path), name, callback=_beats(beat))
        store.invalidate_cache()
        came = store.info(name)["size"]
        if came != size:
            raise CutError(came, size)

    tried(put, stopping)


def fetch(url: str, path: Path, beat: Callable[[], None]) -> None:
    """Copies an object to a disk.

    Args:
        url: where it is.
        path: where it goes.
        beat: is called as it comes through.

    Raises:
        MissingError: there is none.
        DecodeError: it cannot be read.
        MissingExtraError, ValueError: see `store_of`.
    """
    store, name = store_of(url)

    def get() -> None:
        size = store.info(name)["size"]
        store.get_file(name, str(path), callback=_beats(beat))
        came = path.stat().st_size
        if came != size:
            raise CutError(came, size)

    store.invalidate_cache()
    tried(get)


def remove(url: str) -> None:
    """Takes an object away, if it is there.

    Raises:
        DecodeError: it cannot be.
    """
    store, name = store_of(url)
    with suppress(MissingError):
        tried(lambda: store.rm_file(name))
    store.invalidate_cache()


def remove_folder(url: str) -> None:
    """Takes away all that is called as if it lay in a folder, if anything is.

    Raises:
        DecodeError: it cannot be.
    """
    store, name = store_of(url)
    store.invalidate_cache()
    with suppress(MissingError):
        tried(lambda: store.rm(name, recursive=True))
    store.invalidate_cache()


def _beats(beat: Callable[[], None]) -> Any:
    from fsspec.callbacks import Callback

    class Beats(Callback):  # type: ignore[misc]
        def call(self, *_: Any, **__: Any) -> None:
            beat()

    return Beats()
