"""An open camera or stream comes in; its good pictures go out, each as soon as it is decoded."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from fractions import Fraction
from typing import TYPE_CHECKING

from fer_fast.films.opening import demuxed, film_stream, prepare_decoder
from fer_fast.machine.forked import keep_in_children
from fer_fast.machine.processors import usable_processors

if TYPE_CHECKING:
    import av
    from av.container import InputContainer
    from av.packet import Packet
    from av.video.stream import VideoStream

#: Threads that decode one picture; finder and model want processors, too.
_MOST_THREADS = 2


class Received:
    """What comes of a camera or stream; of one thread.

    Args:
        container: open; its stream of pictures is the one that players would show.

    Raises:
        DecodeError: there are no pictures in it; see `film_stream`.
    """

    def __init__(self, container: InputContainer) -> None:
        self._container = container
        self._stream = film_stream(container)
        # The slices of one picture at the same time: whole pictures at the same time would each come some later.
        prepare_decoder(self._stream, min(_MOST_THREADS, usable_processors()), "SLICE")
        self._is_broken = False
        keep_in_children(self)

    @property
    def aspect(self) -> Fraction | None:
        """Width of a pixel by its height; None where nothing is said."""
        return self._stream.sample_aspect_ratio

    def pictures(self, stopping: threading.Event) -> Iterator[av.VideoFrame]:
        """Those that are whole; damaged ones are left out, and those up to the next key frame, predicted from them.

        Raises:
            FFmpegError: it broke off.
        """
        import av

        try:
            for packet in demuxed(self._container, [self._stream]):
                if stopping.is_set():
                    return
                yield from self._good(packet)
        except av.FFmpegError:
            yield from self._good(None)
            raise

    def _good(self, packet: Packet[VideoStream] | None) -> Iterator[av.VideoFrame]:
        """The pictures that a packet completes; None: those that wait for what will not come."""
        import av

        try:
            pictures = self._stream.decode(packet)
        except (av.error.InvalidDataError, av.error.ArgumentError, EOFError):  # the second: larger than `max_pixels`
            self._is_broken = packet is not None
            return
        for picture in pictures:
            self._is_broken = (self._is_broken and not picture.key_frame) or picture.is_corrupt
            if not self._is_broken:
                yield picture
