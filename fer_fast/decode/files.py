"""A path comes in; the bytes of a file that begins like an image go out, or the status that says why not."""

from __future__ import annotations

import errno
import io
import os
import stat
import time
from typing import BinaryIO

from fer_fast.decode.faults import os_fault
from fer_fast.decode.formats.kinds import HEAD, format_of
from fer_fast.machine.inside import Inside, inside_of
from fer_fast.types import DecodeError, Stamp, Status

#: Files up to here are read at once, larger ones piecewise: a film named .jpg costs no memory.
READ_AT_ONCE = 16 << 20

#: Seconds between tries where the operating system says "try again": a file under a lease, a slow network's file.
_PAUSES = (0.01, 0.05, 0.25)


def read_image_file(path: str) -> tuple[BinaryIO, str, int, Stamp]:
    """Opens a regular file that begins like an image, or a member of a tar, see `Inside.path`.

    Returns:
        The content (the caller closes it), the format as `format_of` has it, the size in bytes, the stamp.

    Raises:
        DecodeError: `UNREADABLE`, `FAILED` (a passing fault of the machine), `EMPTY`, `UNSUPPORTED`, or `CORRUPT` if it
            ends within its first bytes. `TOO_LARGE` is a member of more than `READ_AT_ONCE`.
    """
    member = inside_of(path)
    descriptor = _opened(path if member is None else member.file)
    stamp: Stamp | None = None
    try:
        status = os.fstat(descriptor)
        stamp = (status.st_size, status.st_mtime_ns)
        _check(status)
        size = status.st_size
        if member is not None and (member.offset, member.size) != (0, status.st_size):  # all of its file is a file
            size = member.size
            content: BinaryIO = io.BytesIO(_read_member(descriptor, member))
        elif size > READ_AT_ONCE:
            content = os.fdopen(descriptor, "rb")
            descriptor = -1
        else:
            content = io.BytesIO(_read(descriptor, size))
    except OSError as error:
        raise os_fault(error, stamp) from None
    except DecodeError as error:
        error.stamp = stamp
        raise
    except MemoryError:
        raise DecodeError(Status.FAILED, "not enough memory to read the file", stamp) from None
    finally:
        if descriptor >= 0:
            os.close(descriptor)
    try:
        head = content.read(HEAD)
        content.seek(0)
        return content, format_of(head, size), size, stamp
    except OSError as error:
        content.close()
        raise os_fault(error, stamp) from None
    except DecodeError as error:
        content.close()
        error.stamp = stamp
        raise


def open_regular_file(path: str) -> tuple[BinaryIO, Stamp]:
    """Opens a regular file that has bytes, whatever they are; unbuffered.

    Returns:
        The content (the caller closes it), and the stamp.

    Raises:
        DecodeError: `UNREADABLE`, `FAILED` (a passing fault of the machine), or `EMPTY`.
    """
    descriptor = _opened(path)
    stamp: Stamp | None = None
    try:
        status = os.fstat(descriptor)
        stamp = (status.st_size, status.st_mtime_ns)
        _check(status)
        return os.fdopen(descriptor, "rb", buffering=0), stamp
    except OSError as error:
        os.close(descriptor)
        raise os_fault(error, stamp) from None
    except DecodeError as error:
        os.close(descriptor)
        error.stamp = stamp
        raise


def working_folder() -> str | None:
    """Where relative paths begin; None if it has been removed."""
    try:
        return os.getcwd()  # noqa: PTH109 (a Path costs more)
    except OSError:
        return None


def check_readable(content: BinaryIO) -> None:
    """Reads a large file to its end: a codec that reads by itself keeps the operating system's error to itself.

    Raises:
        OSError: the file cannot be read.
    """
    content.seek(0)
    while content.read(1 << 20):
        pass


def _opened(path: str) -> int:
    try:
        for pause in _PAUSES:
            try:
                return _descriptor(path)
            except BlockingIOError:
                time.sleep(pause)
        return _descriptor(path)
    except OSError as error:
        fault = os_fault(error)
        if error.errno == errno.ENOENT and os.path.islink(path):  # noqa: PTH114 (a Path cannot hold every str)
            raise DecodeError(fault.status, "a link to a file that does not exist") from None
        if error.errno == errno.ENXIO:  # a socket
            raise DecodeError(fault.status, "is not a regular file") from None
        raise fault from None
    except ValueError as error:  # a NUL or a lone surrogate: no file can be called so
        raise DecodeError(Status.UNREADABLE, f"no file can have this name: {error}") from None


def _descriptor(path: str) -> int:
    # Without O_NONBLOCK a FIFO named face.jpg would wait for a writer for ever.
    return os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)


def _check(status: os.stat_result) -> None:
    if stat.S_ISDIR(status.st_mode):
        raise DecodeError(Status.UNREADABLE, "is a directory")
    if not stat.S_ISREG(status.st_mode):
        raise DecodeError(Status.UNREADABLE, "is not a regular file")
    if status.st_size == 0:
        raise DecodeError(Status.EMPTY, "the file has no bytes")


def _read_member(descriptor: int, member: Inside) -> bytes:
    if member.size == 0:
        raise DecodeError(Status.EMPTY, "the file has no bytes")
    if member.size > READ_AT_ONCE:
        raise DecodeError(
            Status.TOO_LARGE, f"{member.size} bytes in a tar, more than {READ_AT_ONCE}: take it out of it"
        )
    os.lseek(descriptor, member.offset, os.SEEK_SET)
    return _read(descriptor, member.size)


def _read(descriptor: int, size: int) -> bytes:
    data = _piece(descriptor, size)
    if len(data) == size:  # as nearly always, and without a copy
        return data
    pieces = [data]
    left = size - len(data)
    while left and (piece := _piece(descriptor, left)):
        pieces.append(piece)
        left -= len(piece)
    if left:  # somebody writes to it: the bytes that are there say nothing of the file
        raise DecodeError(Status.FAILED, f"the file became shorter while it was read: {size - left} of {size} bytes")
    return b"".join(pieces)


def _piece(descriptor: int, size: int) -> bytes:
    for pause in _PAUSES:
        try:
            return os.read(descriptor, size)
        except BlockingIOError:
            time.sleep(pause)
    return os.read(descriptor, size)
