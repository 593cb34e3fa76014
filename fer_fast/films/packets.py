"""A container comes in; the packets of its film go out, whatever is damaged between them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, TypeAlias, cast

from fer_fast.films.clock import Clock
from fer_fast.films.losses import Losses, cut_off, damaged
from fer_fast.films.opening import demuxed, film_fault

if TYPE_CHECKING:
    from av.container import InputContainer
    from av.packet import Packet as _Packet
    from av.video.stream import VideoStream

    Packet: TypeAlias = _Packet[VideoStream]

#: FFmpeg's AVFMT_TS_DISCONT, of MPEG-TS and the like: time stamps may begin anew.
_BEGINS_ANEW = 0x0200
#: Faults of reading, one after the other: then nothing more comes.
_FAULTS = 100
#: Containers that say how long they are, and milliseconds by which what they hold may be shorter.
_STATE_LENGTH, _SHORTER = ("matroska", "flv"), 1000.0


class Packets:
    """One pass over the packets of a stream.

    Args:
        container: at its beginning.
        stream: of it.
        clock: of that.
        losses: that are told.

    Attributes:
        has_places: whether frames have places alone, in the order of decoding, as in AVI; where decoding and showing
            differ in order, each picture that is shown takes the next place.
        last_decoded: the decode time stamp of the last packet; no later frame is shown before it.
    """

    def __init__(self, container: InputContainer, stream: VideoStream, clock: Clock, losses: Losses) -> None:
        self._container, self._stream, self._losses = container, stream, losses
        self._is_avi = container.format.name == "avi"
        self._is_broadcast = bool(container.format.flags & _BEGINS_ANEW)
        self._count = 0
        self._latest = 0.0
        self._origin = 1000 * float(clock.origin)
        self._units: dict[int, float] = {}
        self.has_places = self._is_avi and bool(stream.codec_context.has_b_frames)
        self.last_decoded: int | None = None
        self._shift = 0

    def read(self) -> Iterator[Packet]:
        """All that hold a frame; faults between them are stepped over."""
        import av

        faults = 0
        while faults < _FAULTS:
            try:
                for packet in demuxed(self._container, list(self._container.streams)):
                    faults = 0
                    self._losses.packets += 1
                    if packet.stream_index == self._stream.index:
                        self._carry_on(packet)
                    if packet.pts is not None:
                        end = (packet.pts + (packet.duration or 0)) * self._unit(packet) - self._origin
                        self._latest = max(self._latest, end)
                    if packet.stream_index == self._stream.index and self._is_frame(packet):
                        yield cast("Packet", packet)
                return
            except (av.FFmpegError, OSError, MemoryError) as error:
                self._losses.damage(film_fault(error), self._latest)
                faults += 1

    def stamp(self, packet: Packet) -> int | None:
        """When a packet's frame is shown, in the stream's unit, or its place; None if that is not said."""
        return packet.dts if self.has_places else packet.pts

    def check_end(self, lacking: int) -> None:
        """A file that was cut off is read without a fault: what its head says tells that more should come.

        Args:
            lacking: bytes that are known to be cut off from it.
        """
        lost = self._expected() - self._count
        length = (self._container.duration or 0) / 1e3 - self._origin
        if lost > 0:
            self._losses.lost += lost
            self._losses.damage(damaged(f"the last {lost} frames are not there"), self._latest)
        elif lacking:
            self._losses.damage(cut_off(lacking), self._latest)
        elif self._container.format.name.startswith(_STATE_LENGTH) and self._latest < length - _SHORTER:
            self._losses.damage(damaged(f"it ends there, but says {length / 1000:.3f} s"), self._latest)

    def _unit(self, packet: _Packet[Any]) -> float:
        """Milliseconds of the time stamps of a packet's stream."""
        unit = self._units.get(packet.stream_index)
        if unit is None:
            unit = self._units[packet.stream_index] = 1000 * float(packet.time_base or 0)
        return unit

    def _carry_on(self, packet: _Packet[Any]) -> None:
        """Decode time stamps rise; where broadcasts were joined and they begin anew, they go on behind the last."""
        if packet.dts is None or not self._is_broadcast:
            return
        if self.last_decoded is not None and packet.dts + self._shift < self.last_decoded:
            self._shift = self.last_decoded + (packet.duration or 1) - packet.dts
        if self._shift:
            packet.dts += self._shift
            packet.pts = None if packet.pts is None else packet.pts + self._shift

    def _is_frame(self, packet: _Packet[Any]) -> bool:
        """Counts what is no more than the end of the stream; an empty one in its midst repeats the last frame."""
        self._count += packet.dts is not None or packet.size > 0
        if packet.size:
            self.last_decoded = packet.dts
        return packet.size > 0

    def _expected(self) -> int:
        """How many there should be, as far as the container says: MP4 by its index, which edit lists shorten."""
        return self._stream.frames if self._is_avi else len(self._stream.index_entries)


def is_shown(packet: Packet) -> bool:
    """Whether its frame is ever shown: not what an edit list cuts off, nor VP8's frames that serve others alone."""
    is_hidden = packet.stream.codec_context.name in ("vp8", "libvpx") and not bytes(packet)[0] & 0x10
    return not packet.is_discard and not is_hidden
