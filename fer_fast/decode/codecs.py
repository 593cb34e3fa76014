"""A path or a file's bytes come in, a view of its picture goes out; nothing but a DecodeError is raised."""

from __future__ import annotations

import io
import mmap
from collections.abc import Iterator
from contextlib import contextmanager
from typing import BinaryIO, NamedTuple

from fer_fast.decode.faults import fault
from fer_fast.decode.files import READ_AT_ONCE, check_readable, read_image_file
from fer_fast.decode.formats.kinds import HEAD, NAMES, format_of
from fer_fast.decode.formats.opening import open_picture
from fer_fast.decode.formats.picture import Picture
from fer_fast.decode.limits import Large, LargeError, Limits, default_limits, in_words
from fer_fast.decode.views import View
from fer_fast.types import DecodeError, Stamp, Status

#: Formats whose codecs print to standard error, have been known to crash, or find another size than the header's.
_NOT_IN_THREADS = ("tiff", "avif", "heif")


class Opened(NamedTuple):
    """A file whose header has been read and checked.

    Attributes:
        picture: its pixels are still in the file.
        kind: the format, as `kinds.format_of` has it.
        content, size: the file and its bytes.
        stamp: tells whether the file was changed later.
    """

    picture: Picture
    kind: str
    content: BinaryIO
    size: int
    stamp: Stamp | None


@contextmanager
def opened(path: str, view: View, limits: Limits) -> Iterator[Opened]:
    """Opens an image file; whatever is raised inside becomes a DecodeError, too, but for a LargeError.

    Args:
        path: any str that the operating system gave.
        view: what is to be made of it.
        limits: of pixels and memory.

    Raises:
        DecodeError: with the status that the file's row gets; nothing else, whatever the file holds.
        LargeError: see `decode_file`.
    """
    file = open_file(path, view, limits)
    try:
        with verdicts(file):
            yield file
    finally:
        file.content.close()


def open_file(path: str, view: View, limits: Limits) -> Opened:
    """As `opened`; the caller closes its content, and does what raises inside `verdicts`."""
    content, kind, size, stamp = read_image_file(path)
    try:
        return _opened(content, kind, size, stamp, view, limits, limits.small, in_thread=True)
    except LargeError:
        content.close()
        raise
    except Exception as error:
        with content:
            raise _verdict(error, kind, content, stamp) from None


def open_content(
    encoded: bytes, view: View, limits: Limits, room: int | None = None, in_thread: bool = False
) -> Opened:
    """As `open_file`, of the bytes of a file; `room` and `in_thread` are as for `decode_file`."""
    content = io.BytesIO(encoded)
    kind = ""
    try:
        kind = format_of(encoded[:HEAD], len(encoded))
        return _opened(content, kind, len(encoded), None, view, limits, room, in_thread)
    except LargeError:
        raise
    except Exception as error:
        raise _verdict(error, kind, content, None) from None


@contextmanager
def verdicts(file: Opened) -> Iterator[None]:
    """While inside, whatever is raised of an open file becomes a DecodeError, but for a LargeError."""
    try:
        yield
    except LargeError:
        raise
    except Exception as error:
        raise _verdict(error, file.kind, file.content, file.stamp) from None


def decode_file(
    path: str, view: View, limits: Limits | None = None, room: int | None = None, in_thread: bool = False
) -> tuple[bytes, Stamp | None]:
    """Decodes the first frame of one file.

    Args:
        path: any str that the operating system gave.
        view: what is made of it.
        limits: of pixels and memory; None takes those that are usual for one worker.
        room: bytes that it may take; None is as many as the limits allow.
        in_thread: among others, and cannot be ended: no file that is slow, or whose codec prints or has been known to
            crash.

    Returns:
        What `View.make` gives, and the stamp of the file that was read.

    Raises:
        DecodeError: as `opened`.
        LargeError: it needs more room, or a process of its own.
    """
    content, kind, size, stamp = read_image_file(path)
    try:  # as `opened`, without the 2 us that a generator costs
        return decode_opened(_opened(content, kind, size, stamp, view, limits, room, in_thread), view), stamp
    except LargeError:
        raise
    except Exception as error:
        raise _verdict(error, kind, content, stamp) from None
    finally:
        content.close()


def decode_content(
    encoded: bytes, view: View, limits: Limits | None = None, room: int | None = None, in_thread: bool = False
) -> bytes:
    """Decodes the bytes of a file as the file.

    Raises:
        DecodeError, LargeError: as `decode_file`.
    """
    file = open_content(encoded, view, limits or default_limits(), room, in_thread)
    with verdicts(file):
        return decode_opened(file, view)


def decode_opened(file: Opened, view: View) -> bytes:
    """The same of a file that is open; inside `opened` alone, which turns whatever is raised into a DecodeError."""
    picture = file.picture
    try:
        return view.make(picture, picture.load(view.least(picture)))
    except Exception:
        check_memory(memory_of(picture, view))
        raise


def memory_of(picture: Picture, view: View) -> int:
    """Bytes that loading a picture for a view and making it take at most, besides the file itself."""
    loading, size = picture.cost(view.least(picture))
    return loading + view.memory(picture, size)


def check_memory(size: int) -> None:
    """Asks for the memory that a picture takes: without it some codecs call the file broken.

    Raises:
        OSError: there is not as much.
    """
    if size:
        mmap.mmap(-1, size, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS).close()


def _opened(
    content: BinaryIO,
    kind: str,
    size: int,
    stamp: Stamp | None,
    view: View,
    limits: Limits | None,
    room: int | None,
    in_thread: bool,
) -> Opened:
    limits = limits or default_limits()
    picture = open_picture(kind, content, size)
    width, height = picture.size
    if width * height > limits.max_pixels:
        reason = f"{width} x {height} pixels are more than the limit of {limits.max_pixels}"
        raise DecodeError(Status.TOO_LARGE, reason)
    memory = memory_of(picture, view) + (size if isinstance(content, io.BytesIO) else 0)
    # A large file may be of very many pieces, and take long for its pixels.
    is_odd = in_thread and (picture.is_slow or kind in _NOT_IN_THREADS or size > READ_AT_ONCE)
    if is_odd or memory > limits.max_memory or (room is not None and memory > room):
        raise _too_much(memory, limits, stamp)
    return Opened(picture, kind, content, size, stamp)


def check_cost(file: Opened, view: View, limits: Limits, room: int) -> None:
    """Refuses a view that takes too much.

    Raises:
        DecodeError: `TOO_LARGE` for more memory than the limits allow.
        LargeError: for more than `room`.
    """
    memory = memory_of(file.picture, view) + (file.size if isinstance(file.content, io.BytesIO) else 0)
    if memory > min(room, limits.max_memory):
        raise _too_much(memory, limits, file.stamp)


def _too_much(memory: int, limits: Limits, stamp: Stamp | None) -> DecodeError | LargeError:
    if memory > limits.max_memory:
        reason = f"it takes {in_words(memory)} of memory, more than the limit of {in_words(limits.max_memory)}"
        return DecodeError(Status.TOO_LARGE, reason, again=True)  # another machine may have as much
    return LargeError(Large(memory, stamp))


def _verdict(error: Exception, kind: str, content: BinaryIO, stamp: Stamp | None) -> DecodeError:
    found = fault(error, stamp)
    if found.status is Status.CORRUPT and found is not error:  # a codec's own words, which often do not say of what
        found = DecodeError(found.status, f"a broken {NAMES[kind]}: {found}", stamp)
    if found.status is Status.CORRUPT and not isinstance(content, io.BytesIO):
        try:
            check_readable(content)
        except OSError as unreadable:
            return fault(unreadable, stamp)
    return found
