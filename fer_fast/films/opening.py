"""A path comes in; its container and the stream of pictures that is the film go out, or why it is none."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, BinaryIO

from fer_fast.decode.faults import fault
from fer_fast.decode.limits import DEFAULT_MAX_PIXELS
from fer_fast.types import DecodeError, Status, one_line

if TYPE_CHECKING:
    from av.container import InputContainer
    from av.packet import Packet
    from av.stream import Stream
    from av.video.stream import VideoStream

#: Bytes that are read at once: a call into Python each.
_BUFFER = 1 << 18
#: Nothing that a file names is opened: playlists and scripts could name any other file, and addresses.
_OPTIONS = {"protocol_whitelist": ""}
#: How films begin: bytes, and where.
_FILMS = (
    *((kind, 4) for kind in (b"ftyp", b"moov", b"mdat", b"wide", b"free", b"skip", b"styp", b"moof")),
    *((kind, 0) for kind in (b"\x1aE\xdf\xa3", b"FLV", b"OggS", b"\x00\x00\x01\xba", b"\x00\x00\x01\xb3", b"DKIF")),
    *((b"AVI ", 8), (b"\x30\x26\xb2\x75\x8e\x66\xcf\x11", 0), (b"G", 188), (b"G", 196)),
)
#: Brands of the container that MP4 is of, of files that hold pictures.
_PICTURES = ("avif", "heic", "heix", "heim", "heis", "mif1")


def open_container(file: BinaryIO) -> InputContainer:
    """The container that a file is, read from its beginning.

    Raises:
        DecodeError: `UNSUPPORTED`, of no format that FFmpeg reads; `CORRUPT`; `FAILED`.
    """
    import av

    try:
        file.seek(0)
        head = file.read(200)
        file.seek(0)
        container: InputContainer = av.open(_Places(file), "r", options=_OPTIONS, buffer_size=_BUFFER, **lenient())
        return container
    except (av.FFmpegError, OSError, MemoryError) as error:
        found = film_fault(error)
        if found.status is Status.CORRUPT and not any(head[at:].startswith(kind) for kind, at in _FILMS):
            raise DecodeError(Status.UNSUPPORTED, "is no film, or of a format that is not read") from None
        raise found from None


class _Places:
    """A file for FFmpeg, which damage may send to a place that cannot be: that is told by a number, as FFmpeg does.

    What was raised PyAV would print, and it would look like a fault of the disk.
    """

    def __init__(self, file: BinaryIO) -> None:
        self._file, self.read, self.tell = file, file.read, file.tell

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        try:
            return self._file.seek(offset, whence)
        except OSError as error:
            if error.errno in (errno.EINVAL, errno.EOVERFLOW):
                return -errno.EINVAL
            raise


def demuxed(container: InputContainer, streams: Sequence[Stream]) -> Iterator[Packet[Any]]:
    """The packets of some streams, and behind the last an empty one of each.

    Raises:
        FFmpegError, OSError: reading fails; called again, it goes on.
    """
    try:
        yield from container.demux(list(streams))
    except IndexError:  # PyAV ends streams, too, that appeared while it read, and does not know them
        return


def lenient() -> dict[str, Any]:
    """What `av.open` has to be told so that metadata that is not UTF-8 is no error: from PyAV 19 on nothing."""
    from av.container import Container

    return {"metadata_errors": "replace"} if hasattr(Container, "metadata_errors") else {}


def film_stream(container: InputContainer) -> VideoStream:
    """The stream of pictures that players would show, of those that can be decoded.

    Raises:
        DecodeError: `UNSUPPORTED`: sound alone, a picture, encrypted, of an unknown codec; `TOO_LARGE`.
    """
    if container.format.name.endswith("_pipe") or container.metadata.get("major_brand") in _PICTURES:
        raise DecodeError(Status.UNSUPPORTED, "is a picture, not a film")
    streams = film_streams(container)
    if not streams:
        what = "sound, but no moving pictures" if container.streams.audio else "no moving pictures"
        raise DecodeError(Status.UNSUPPORTED, f"has {what}")
    best = container.streams.best("video")
    known = [each for each in streams if codec_of(each) is not None] or streams
    stream = next((each for each in known if best is not None and each.index == best.index), known[0])
    _check(stream)
    return stream


def film_streams(container: InputContainer) -> list[VideoStream]:
    """Its streams of moving pictures: the cover of a record is none."""
    from av.stream import Disposition

    still = Disposition.attached_pic | Disposition.timed_thumbnails | Disposition.still_image
    return [each for each in container.streams.video if not each.disposition & still]


def codec_of(stream: Stream) -> str | None:
    """The name of a stream's codec; None without a decoder for it."""
    return None if stream.codec_context is None else stream.codec_context.name


def size_of(stream: VideoStream) -> tuple[int, int] | None:
    """Width and height of a stream's pictures as stored; None without a decoder for it."""
    return None if codec_of(stream) is None else (stream.width, stream.height)


def check_size(width: int, height: int) -> None:
    """Refuses frames that would take the machine's memory.

    Raises:
        DecodeError: `TOO_LARGE`.
    """
    if width * height > DEFAULT_MAX_PIXELS:
        size = f"{width} x {height}"
        raise DecodeError(Status.TOO_LARGE, f"its frames, {size} pixels, are larger than {DEFAULT_MAX_PIXELS:,}")


def prepare_decoder(stream: VideoStream, threads: int, kind: str) -> None:
    """Says how a stream is to be decoded, before its first packet is.

    Args:
        stream: of a film, see `film_stream`.
        threads: that decode.
        kind: FFmpeg's word for what they share.
    """
    context = stream.codec_context
    context.thread_count, context.thread_type = threads, kind
    # What the container says of the first frame is checked; any later one may be of another size.
    context.options = {"max_pixels": str(DEFAULT_MAX_PIXELS)}


def film_fault(error: BaseException) -> DecodeError:
    """Whatever was raised while a film was read or decoded, as a status and a reason."""
    import av

    if isinstance(error, DecodeError):
        return error
    if not isinstance(error, av.FFmpegError) or isinstance(error, MemoryError):
        assert isinstance(error, Exception)
        return fault(error)  # reading our own file
    known = (av.error.DecoderNotFoundError, av.error.DemuxerNotFoundError, av.error.PatchWelcomeError)
    status = Status.UNSUPPORTED if isinstance(error, known) else Status.CORRUPT
    return DecodeError(status, error.strerror or one_line(error))


def _check(stream: VideoStream) -> None:
    codec = codec_of(stream)
    if codec is None:
        raise DecodeError(Status.UNSUPPORTED, "there is no decoder for its pictures")
    if "enc_key_id" in stream.metadata:  # Matroska's; MP4 says it of each packet
        raise DecodeError(Status.UNSUPPORTED, "is encrypted")
    check_size(stream.width, stream.height)
