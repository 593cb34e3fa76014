"""Addresses on the web come in, bytes and stamps go out, by one request each through fsspec's session.

fsspec itself would ask twice: an address that was signed for GET alone answers no HEAD, and a cut body is to be known
by the length that came with it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from fer_fast.remote.faults import CutError
from fer_fast.types import DecodeError, Stamp, Status

if TYPE_CHECKING:
    from aiohttp import ClientResponse

    #: Is called with the bytes that a file takes; waits until there is room, or raises a DecodeError.
    Room = Callable[[int], None]

#: Bytes of what is read together with its headers; more first asks for room.
_AT_ONCE = 256 << 10
#: Bytes at most where a server does not say how many there are.
_UNTOLD = 16 << 20
#: Seconds without a byte, for a connection, and for all of a file.
_SILENCE, _CONNECTING, _WHOLE = 60, 30, 600
#: Bytes of an error's page: a store says there why it forbids.
_WORDS = 1000
_VERSIONS = ("ETag", "Last-Modified")


class WebError(Exception):
    """An answer that is no file.

    Attributes:
        status: HTTP's.
    """

    def __init__(self, status: int, reason: str, words: str) -> None:
        super().__init__(" ".join(f"HTTP {status} {reason}: {words}".split()).rstrip(": "))
        self.status = status


def content(store: Any, url: str, room: Room) -> tuple[bytes, Stamp]:
    """Reads a file.

    Args:
        store: fsspec's HTTPFileSystem.
        url: its address.
        room: is asked before more is read than is soon there.

    Raises:
        Exception: see `fault_of`.
    """
    from fsspec.asyn import sync

    answer, found = sync(store.loop, _begun, store, url)
    size = _size(answer)
    if found is None:
        try:
            room(_UNTOLD if size is None else size)
        except BaseException:
            store.loop.call_soon_threadsafe(answer.close)
            raise
        found = sync(store.loop, _read, answer, _UNTOLD if size is None else size)
    room(len(found))
    return found, (size or 0, version(answer.headers, _VERSIONS))


def stamp(store: Any, url: str) -> Stamp:
    """Of a file as it is now, of size 0 where the server does not say.

    Raises:
        Exception: see `fault_of`.
    """
    from fsspec.asyn import sync

    answer: ClientResponse = sync(store.loop, _headers, store, url)
    return _size(answer) or 0, version(answer.headers, _VERSIONS)


def version(about: Mapping[str, Any], names: tuple[str, ...]) -> int:
    """A number for what tells a version of a file from the next; 0 where nothing does."""
    mark = next((about[name] for name in names if about.get(name)), None)
    if mark is None:
        return 0
    if hasattr(mark, "timestamp"):  # a driver may write one moment in two ways
        mark = mark.timestamp()
    return int.from_bytes(hashlib.blake2b(str(mark).strip('"').encode(), digest_size=7).digest(), "big")


async def _begun(store: Any, url: str) -> tuple[ClientResponse, bytes | None]:
    """An answer, and its bytes if they are few."""
    answer = await _answer(store, url, "GET")
    size = _size(answer)
    return answer, await _read(answer, size) if size is not None and size <= _AT_ONCE else None


async def _read(answer: ClientResponse, most: int) -> bytes:
    from aiohttp import ClientPayloadError

    pieces, came = [], 0
    async with answer:
        try:
            async for piece in answer.content.iter_any():
                pieces.append(piece)
                came += len(piece)
                if came > most:
                    raise DecodeError(Status.TOO_LARGE, f"more than {most} bytes, and the server does not say how many")
        except ClientPayloadError:  # the connection's end, before that of the file
            raise CutError(came, _size(answer)) from None
    return b"".join(pieces)


async def _headers(store: Any, url: str) -> ClientResponse:
    try:
        answer = await _answer(store, url, "HEAD")
    except WebError as error:
        if error.status in (404, 410) or error.status >= 500:
            raise
        answer = await _answer(store, url, "GET")  # it may be signed for that alone
    answer.close()
    return answer


async def _answer(store: Any, url: str, method: str) -> ClientResponse:
    from aiohttp import ClientTimeout

    session = await store.set_session()
    patience = ClientTimeout(total=_WHOLE, sock_connect=_CONNECTING, sock_read=_SILENCE)
    options = {"timeout": patience, **store.kwargs}
    options["headers"] = {"Accept-Encoding": "identity", **options.get("headers", {})}
    answer: ClientResponse = await session.request(method, store.encode_url(url), **options)
    if answer.status >= 400:
        async with answer:
            words = (await answer.content.read(_WORDS)).decode(errors="replace")
        raise WebError(answer.status, answer.reason or "", words)
    return answer


def _size(answer: ClientResponse) -> int | None:
    """Bytes that an answer says to have; None where those that come are others."""
    is_plain = answer.headers.get("Content-Encoding", "identity") == "identity"
    return answer.content_length if is_plain else None
