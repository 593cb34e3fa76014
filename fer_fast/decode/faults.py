"""What goes wrong while one image is read or decoded comes in, the status that its row gets goes out."""

from __future__ import annotations

import errno

from PIL import Image

from fer_fast.types import DecodeError, Stamp, Status, one_line

#: The operating system's errors that say something of the file: the same file gives them the next time, too. Every
#: other one (no descriptor left, no memory, a disk or a network that failed) is a passing fault of the machine.
_LASTING = frozenset(
    {
        errno.ENOENT,
        errno.ENOTDIR,
        errno.EISDIR,
        errno.EACCES,
        errno.EPERM,
        errno.ELOOP,
        errno.ENAMETOOLONG,
        errno.ENXIO,
        errno.ENODEV,
        errno.EINVAL,
        errno.EOVERFLOW,
    }
)


#: What codecs of Pillow's and its own loader say when there is no memory: no word on the file.
_NO_MEMORY = ("out of memory", "allocation failed")

#: What a row says then.
NO_MEMORY = "not enough memory to decode it"


def os_fault(error: OSError, stamp: Stamp | None = None) -> DecodeError:
    """An error that the operating system gave on a file: `UNREADABLE` if it lasts, else `FAILED`."""
    status = Status.UNREADABLE if error.errno in _LASTING else Status.FAILED
    return DecodeError(status, error.strerror or one_line(error), stamp)


def fault(error: Exception, stamp: Stamp | None = None) -> DecodeError:
    """Whatever was raised while an image was decoded, as the row's status and reason."""
    if isinstance(error, DecodeError):
        error.stamp = error.stamp or stamp
        return error
    if isinstance(error, MemoryError) or getattr(error, "errno", None) == errno.ENOMEM:
        return DecodeError(Status.FAILED, NO_MEMORY, stamp)
    if isinstance(error, ImportError):  # numpy, where there is too little memory to load it
        return DecodeError(Status.FAILED, f"a module cannot be loaded: {error.name or one_line(error)}", stamp)
    if isinstance(error, Warning):  # the program around us makes errors of them
        return DecodeError(Status.FAILED, one_line(error), stamp)
    if isinstance(error, Image.DecompressionBombError):
        return DecodeError(Status.TOO_LARGE, one_line(error), stamp)
    if isinstance(error, OSError) and error.errno is not None:  # the operating system's; Pillow's complaints have none
        return os_fault(error, stamp)
    if any(words in str(error).lower() for words in _NO_MEMORY):
        return DecodeError(Status.FAILED, NO_MEMORY, stamp)
    return DecodeError(Status.CORRUPT, one_line(error), stamp)  # a plugin may raise anything on a damaged file
