"""A tar comes in, WebDataset's or any other; the files in it go out in its order, each where its bytes lie."""

from __future__ import annotations

import os
import stat
import tarfile
from collections.abc import Iterator

from fer_fast.machine.inside import Inside
from fer_fast.machine.urls import is_url
from fer_fast.types import one_line

_BLOCK = tarfile.BLOCKSIZE
#: What tells of the member behind it, a long name or pax' records; tarfile takes all of it into memory, so not more.
_ABOUT = (tarfile.XHDTYPE, tarfile.XGLTYPE, tarfile.SOLARIS_XHDTYPE, tarfile.GNUTYPE_LONGNAME, tarfile.GNUTYPE_LONGLINK)
_LONGEST_ABOUT = 1 << 20


def is_tar(path: str) -> bool:
    """Whether an input is called as tars are; none is read from anywhere but a disk."""
    return path.lower().endswith(".tar") and not is_url(path)


def members(path: str) -> Iterator[tuple[str, Inside | None]]:
    """The files in a tar; memory does not grow with them.

    Returns:
        Of each its name, as below a folder, and where its bytes are; None of a link, and of one that has holes.

    Raises:
        OSError: it cannot be read.
        tarfile.ReadError: it is none (as the first thing), is damaged, or ends before its end.
    """
    with open(path, "rb", opener=_descriptor) as file:
        if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
            raise tarfile.ReadError("is not a regular file")
        tar = tarfile.open(fileobj=file, mode="r:", tarinfo=_Header)  # noqa: SIM115 (the file is closed)
        begin = -1
        while (member := _next(tar)) is not None:
            if tar.offset <= begin or member.size < 0:  # pax may say another size, which leads back
                raise tarfile.ReadError(f"what stands at byte {begin} is no member")
            begin = tar.offset
            tar.members.clear()  # type: ignore[attr-defined]
            if member.isreg() or member.issym() or member.islnk():
                # Only pax can put a NUL into a name, which no file's has: it ends there, as in any other header.
                name = os.path.normpath(member.name.partition("\0")[0]).lstrip("/")
                lies_here = member.isreg() and not member.issparse()
                yield name, Inside(path, name, member.offset_data, member.size) if lies_here else None
        file.seek(tar.offset)
        end = file.read(_BLOCK)  # tarfile takes anything for the end
        if len(end) < _BLOCK:
            raise tarfile.ReadError("it ends without an end mark")
        if any(end):
            raise tarfile.ReadError(f"what stands at byte {tar.offset} is no member")


class _Header(tarfile.TarInfo):
    """A header that is no member's, for its size, is refused before anything is read by it."""

    def _proc_member(self, tar: tarfile.TarFile) -> tarfile.TarInfo:
        if self.size < 0 or (self.type in _ABOUT and self.size > _LONGEST_ABOUT):
            raise tarfile.ReadError(f"a header says that it has {self.size} bytes")
        member: tarfile.TarInfo = super()._proc_member(tar)  # type: ignore[misc]
        return member


def _next(tar: tarfile.TarFile) -> tarfile.TarInfo | None:
    try:
        return tar.next()
    except (tarfile.ReadError, OSError, MemoryError):
        raise
    except Exception as error:  # damaged headers make tarfile raise almost anything, RecursionError, too
        raise tarfile.ReadError(one_line(error)) from error


def _descriptor(path: str, flags: int) -> int:
    # Without O_NONBLOCK a FIFO that is called as tars are would wait for a writer for ever.
    return os.open(path, flags | os.O_NONBLOCK)
