"""URLs come in; by fsspec's file systems go out whether there is a file or a folder, and what lies in it.

Credentials and options are fsspec's and its drivers' own: environment variables, ~/.config/fsspec, a cloud's login.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Mapping
from typing import Any, NamedTuple

from fer_fast.machine.extras import need
from fer_fast.machine.urls import is_web
from fer_fast.remote import web
from fer_fast.remote.faults import CutError, MissingError, PassingError, fault_of
from fer_fast.remote.trying import tried
from fer_fast.types import DecodeError, MissingExtraError, Stamp, Status, one_line

#: What tells one version of an object from the next, the surest first, as drivers call it.
_VERSIONS = ("ETag", "etag", "blob_id", "Last-Modified", "LastModified", "last_modified", "updated", "mtime", "created")
#: Of an object that is not there, and of one of which that is not known; a size below 0 is no file's.
NOWHERE, UNKNOWN = (-1, 0), (-2, 0)

_shared: dict[tuple[int, str, str], Any] = {}
_lock = threading.Lock()


class Entry(NamedTuple):
    """What lies in a folder.

    Attributes:
        name: without the folder's.
        is_folder: whether it is one.
        stamp: of a file.
    """

    name: str
    is_folder: bool
    stamp: Stamp | None


def store_of(url: str) -> tuple[Any, str]:
    """The file system that a URL belongs to, and the file's name in it.

    Raises:
        MissingExtraError: fsspec or the scheme's driver is not installed.
        ValueError: no driver is known for the scheme, or it takes no such URL.
    """
    scheme, _, rest = url.partition("://")
    need(f"{scheme}://", "remote", modules=("fsspec", "aiohttp") if is_web(url) else ("fsspec",))
    import fsspec

    try:
        kind = fsspec.get_filesystem_class(scheme)
    except ImportError as error:
        why = one_line(error.__cause__ or error)
        raise MissingExtraError(f"{scheme}:// needs a package that is not there: {one_line(error)} ({why})") from error
    except ValueError as error:
        raise ValueError(f"no file system is known for {scheme}://") from error
    place = os.getpid(), scheme, "" if is_web(url) else rest.partition("/")[0]
    with _lock:
        store = _shared.get(place)
        if store is None:
            store = _opened(kind, scheme, url)
            # fsspec has one for each thread, with connections and credentials of its own; those that need none of
            # that because they work in a loop are shared.
            if store.async_impl:
                _shared[place] = store
    return store, kind._strip_protocol(url)


def _opened(kind: Any, scheme: str, url: str) -> Any:
    try:
        return kind(**kind._get_kwargs_from_urls(url))
    except Exception as error:  # drivers may raise anything where they lack an account, say
        raise ValueError(f"{scheme}:// cannot be opened: {one_line(error)}") from error


def listing(url: str) -> list[Entry]:
    """What lies in a folder, in no order.

    Raises:
        DecodeError: it cannot be read.
    """
    return tried(lambda: _listed(url))


def look(url: str) -> Entry:
    """What is at a URL itself, which is not of the web.

    Raises:
        DecodeError: nothing, or it cannot be known.
        MissingExtraError, ValueError: see `store_of`.
    """
    store_of(url)
    return tried(lambda: _looked(url))


def stamp_of(url: str) -> Stamp:
    """Of an object as it is now, or `NOWHERE` or `UNKNOWN`."""
    try:
        return tried(lambda: web.stamp(store_of(url)[0], url) if is_web(url) else _looked(url).stamp) or UNKNOWN
    except MissingError:
        return NOWHERE
    except DecodeError:
        return UNKNOWN


def content_of(url: str, known: Stamp | None, room: web.Room) -> tuple[bytes, Stamp]:
    """Reads an object whole, without a second try.

    Args:
        url: where it is.
        known: its stamp, where a listing told it.
        room: is asked for the memory that it takes, before it is read.

    Returns:
        Its bytes, and the stamp that they have.

    Raises:
        Exception: see `fault_of`.
    """
    store, name = store_of(url)
    if is_web(url):
        return web.content(store, url, room)
    stamp = known if known is not None and known[0] >= 0 else _stamp_in_store(store, name)
    if stamp is None:
        content = bytes(store.cat_file(name))
        room(len(content))
        return content, (len(content), 0)
    size = stamp[0]
    room(size)
    # By its length: s3fs would ask for that once more.
    content = bytes(store.cat_file(name, start=0, end=size)) if size else b""
    if len(content) != size:
        raise CutError(len(content), size)
    return content, stamp


def _stamp_in_store(store: Any, name: str) -> Stamp | None:
    """Of a file; None where its bytes alone may say what is wrong: S3's answer to a question about it has no words."""
    try:
        info = store.info(name)
    except FileNotFoundError:
        raise
    except Exception as error:
        if isinstance(fault_of(error), PassingError):
            raise
        return None
    if info["type"] == "directory":
        raise IsADirectoryError(name)
    return _stamp(info)


def _looked(url: str) -> Entry:
    store, name = store_of(url)
    return _entry(store.info(name))


def _listed(url: str) -> list[Entry]:
    store, name = store_of(url)
    found = store.ls(name, detail=True)
    store.invalidate_cache(name)  # most drivers keep what they have listed for ever
    own = name.strip("/")  # a folder may have a mark of its own, which is none of its files
    return [_entry(info) for info in found if info["name"].strip("/") != own]


def _entry(info: Mapping[str, Any]) -> Entry:
    is_folder = info["type"] == "directory"
    return Entry(info["name"].rstrip("/").rpartition("/")[2], is_folder, None if is_folder else _stamp(info))


def _stamp(info: Mapping[str, Any]) -> Stamp:
    size = info.get("size")
    if size is None:
        raise DecodeError(Status.UNSUPPORTED, "its store does not say how many bytes it has")
    return int(size), web.version(info, _VERSIONS)
