"""The sound of a film comes in; as it is, with the film's times, it goes into another."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from typing import TYPE_CHECKING, Any, BinaryIO

from fer_fast.films.clock import clock_of
from fer_fast.films.opening import codec_of, demuxed, film_fault, film_stream, open_container

if TYPE_CHECKING:
    from av.container import OutputContainer
    from av.packet import Packet


class Sound:
    """Copies the sound of one film into another, as far as the other has come.

    What begins before the film does is left out: it is what a decoder needs to get going, and is not heard.

    Args:
        file: the film; its own, nobody else reads it.
        out: the other one, whose header is not written yet.

    Attributes:
        left_out: what is not copied, and why, a sentence each.
    """

    def __init__(self, file: BinaryIO, out: OutputContainer) -> None:
        self.left_out: list[str] = []
        self._container = open_container(file)
        self._out = out
        self._origin = clock_of(self._container, film_stream(self._container)).origin
        self._places: dict[int, Any] = {}
        for stream in self._container.streams.audio:
            # Its decoder may be called otherwise: mp3float.
            codec = stream.codec_context.codec.canonical_name if codec_of(stream) else None
            if codec in out.supported_codecs:
                self._places[stream.index] = out.add_stream_from_template(stream)
            else:
                self.left_out.append(f"its sound, {codec or 'of an unknown codec'}: {out.format.name} cannot hold it")
        self._latest: dict[int, int] = {}
        self._going_back = 0
        self._packets = self._read() if self._places else iter(())
        self._next = next(self._packets, None)

    def copy(self, until: float | None = None) -> None:
        """Copies what is heard before a time, in seconds, or all that is left."""
        while self._next is not None and (until is None or self._time(self._next) < until):
            self._mux(self._next)
            self._next = next(self._packets, None)
        if self._next is None and self._going_back:
            self.left_out.append(f"{self._going_back} packets of its sound, whose times go back")
            self._going_back = 0

    def close(self) -> None:
        """Closes the container, not the file."""
        self._container.close()

    def _read(self) -> Iterator[Packet[Any]]:
        import av

        try:
            for packet in demuxed(self._container, [self._container.streams[index] for index in self._places]):
                if packet.dts is not None and packet.pts is not None and packet.size and self._time(packet) >= 0:
                    yield packet
        except (av.FFmpegError, OSError, MemoryError) as error:
            self.left_out.append(f"the rest of its sound: {film_fault(error)}")

    def _time(self, packet: Packet[Any]) -> float:
        """Seconds from the film's beginning."""
        return float((packet.pts or 0) * (packet.time_base or Fraction(0)) - self._origin)

    def _mux(self, packet: Packet[Any]) -> None:
        index, stamp = packet.stream_index, packet.dts or 0
        if stamp <= self._latest.get(index, stamp - 1):  # of joined broadcasts, say; no container takes that
            self._going_back += 1
            return
        self._latest[index] = stamp
        shift = round(self._origin / packet.time_base) if packet.time_base else 0
        packet.dts, packet.pts = stamp - shift, (packet.pts or 0) - shift
        packet.stream = self._places[index]
        self._out.mux(packet)
