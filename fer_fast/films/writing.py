"""Pictures come in, each with its time; a film of them goes out, with the sound of another."""

from __future__ import annotations

from fractions import Fraction
from typing import TYPE_CHECKING, Any, BinaryIO, cast

import numpy as np

from fer_fast.films.sound import Sound

if TYPE_CHECKING:
    import numpy.typing as npt

    Pixels = npt.NDArray[np.uint8]

#: By a file's suffix, what FFmpeg calls the container: of those that hold H.264, and times that are not even.
CONTAINERS = {".mp4": "mp4", ".m4v": "mp4", ".mov": "mov", ".mkv": "matroska"}
#: The first that is there is taken. Without frames that are predicted from later ones each is written in its turn, with
#: its own time and nothing before it.
_ENCODERS = {
    "libx264": {"preset": "veryfast", "crf": "20", "x264-params": "log-level=none:bframes=0"},
    "libopenh264": {"rc_mode": "quality"},
    "mpeg4": {"flags": "+qscale", "global_quality": "354"},  # 3 of FFmpeg's 1 to 31, in units of 118
}
#: FFmpeg's name of what a film's head says of it.
COMMENT = "comment"
_MILLISECOND = Fraction(1, 1000)
#: swscale's and FFmpeg's number of the matrix that large pictures have anyway; and FFmpeg's of black at 16.
_BT709, _LIMITED = 1, 1
#: Frames a second of a film that does not say it.
_RATE = Fraction(25)


class FilmWriter:
    """Writes a film; of one thread.

    Args:
        file: where it goes; it can be sought.
        form: FFmpeg's name of the container.
        size: width and height of its pictures, both even.
        rate: frames a second, about: the last is shown for so long.
        sound: a file whose sound is copied.
        threads: that encode.
        comment: what its head says of it.

    Attributes:
        codec: of its pictures, "h264" where PyAV can encode it.
        left_out: of the sound what could not be copied, a sentence each; all of them at the end.

    Raises:
        av.FFmpegError, OSError: it cannot be begun.
        DecodeError: `sound` is no film.
    """

    def __init__(
        self,
        file: BinaryIO,
        form: str,
        size: tuple[int, int],
        rate: float | None,
        sound: BinaryIO,
        threads: int,
        comment: str = "",
    ) -> None:
        import av

        self._rate = Fraction(rate).limit_denominator(1001) if rate else _RATE
        # By FFmpeg itself: in PyAV's calls of Python a Ctrl-C gets lost, and a second failure is printed.
        self._container = av.open(f"/dev/fd/{file.fileno()}", "w", format=form)
        if comment:
            self._container.metadata[COMMENT] = comment
        encoder = next(name for name in _ENCODERS if name in av.codecs_available and _encodes(name))
        self._stream = cast(Any, self._container.add_stream(encoder, rate=self._rate, options=_ENCODERS[encoder]))
        self._stream.width, self._stream.height = size
        self._stream.pix_fmt = "yuv420p"
        context = self._stream.codec_context
        self._stream.time_base = context.time_base = _MILLISECOND
        context.colorspace, context.color_range = _BT709, _LIMITED
        context.thread_count = threads
        self.codec = str(context.codec.canonical_name)
        self._sound = Sound(sound, self._container)
        self.left_out = self._sound.left_out
        self._latest = -1
        self._waiting: list[Any] = []

    def write(self, pixels: Pixels, time: float) -> None:
        """The next picture.

        Args:
            pixels: uint8 RGB [height, width, 3].
            time: when it is shown, seconds. Of two pictures of one millisecond the second is shown one later.

        Raises:
            av.FFmpegError, OSError: it cannot be written.
        """
        import av

        stamp = max(round(1000 * time), self._latest + 1)
        self._latest = stamp
        self._sound.copy(time)
        made: Any = av.VideoFrame.from_ndarray(pixels, "rgb24")
        made = made.reformat(format="yuv420p", dst_colorspace=_BT709, dst_color_range=_LIMITED, threads=1)
        made.colorspace, made.color_range = _BT709, _LIMITED
        made.pts, made.time_base = stamp, _MILLISECOND
        self._mux(self._stream.encode(made))

    def finish(self) -> None:
        """Writes what is left; the film is whole.

        Raises:
            av.FFmpegError, OSError: it cannot be written.
        """
        self._mux(self._stream.encode(None))
        for packet in self._waiting:
            packet.duration = max(1, round(1000 / self._rate))
            self._container.mux(packet)
        self._sound.copy()
        self._container.close()

    def close(self) -> None:
        """Ends reading; a film that is not finished is not whole."""
        self._sound.close()

    def _mux(self, packets: list[Any]) -> None:
        """The last packet waits until the next one tells how long it lasts."""
        for packet in packets:
            for waiting in self._waiting:
                waiting.duration = packet.pts - waiting.pts
                self._container.mux(waiting)
            self._waiting = [packet]


def _encodes(name: str) -> bool:
    import av

    try:
        return bool(av.Codec(name, "w"))
    except av.codec.codec.UnknownCodecError:
        return False
