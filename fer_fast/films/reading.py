"""A film's packets come in; its good pictures go out, in the order that they are shown, and what was lost is told."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, NamedTuple

from fer_fast.films.clock import Clock, Count
from fer_fast.films.losses import Losses, damaged
from fer_fast.films.opening import film_fault
from fer_fast.films.packets import Packets, is_shown
from fer_fast.machine.forked import keep_in_children
from fer_fast.types import DecodeError, Status

if TYPE_CHECKING:
    import av
    from av.container import InputContainer
    from av.video.stream import VideoStream

    from fer_fast.films.packets import Packet

#: Bytes of packets that are kept until it shows whether they are needed.
_KEPT = 64 << 20
#: Frames that wait for the one after them, at most: as many as are between two others in H.264 and HEVC.
_BETWEEN = 16
#: Types of pictures, by FFmpeg's numbers: predicted from none; perhaps from a later one.
_I, _B = 1, 3


class Shown(NamedTuple):
    """A picture, which frame of the film it is, when it is shown, in milliseconds, and whether it is a key frame."""

    picture: av.VideoFrame
    number: int
    time: int
    key: bool


class NoKeyError(Exception):
    """Where decoding began is no key frame, though the container says so: each frame renews a part of the picture."""


class Reading:
    """One pass over a film.

    A frame is good if it was decoded without a fault, and so was all since the last key frame: what is predicted from a
    damaged frame is smeared.

    Args:
        container: of the film, at its beginning.
        stream: of its pictures.
        clock: of it.
        start: milliseconds; what is shown earlier is not asked for. To know the numbers of later frames it is read.
        skips: whether it is decoded only as far as later frames need it.
        keys: whether key frames suffice.
        lacking: bytes that are known to be cut off from the file's end.

    Attributes:
        losses: of frames from the start on.
    """

    def __init__(
        self,
        container: InputContainer,
        stream: VideoStream,
        clock: Clock,
        start: int,
        lacking: int,
        skips: bool = True,
        keys: bool = False,
    ) -> None:
        self._stream, self._clock = stream, clock
        self._start, self._lacking, self._skips, self._keys = start, lacking, skips, keys
        self.losses = Losses(start)
        self._packets = Packets(container, stream, clock, self.losses)
        self._count = Count()
        self._key_places: dict[int | None, int | None] = {}
        self._said_keys: set[int | None] = set()
        self._bad: set[int | None] = set()
        self._has_skipped = False
        self._is_broken = False
        # H.264's decoder gives no picture until it is whole, be that by a key frame or bit by bit.
        self._awaits_first = stream.codec_context.name == "h264"
        self._between: list[Shown] = []
        keep_in_children(self)

    def shown(self) -> Iterator[Shown]:
        """The good pictures from the start on; some earlier ones may come, too.

        Raises:
            NoKeyError: before the first, where the film has to be decoded from its beginning.
        """
        for packet in self._wanted(self._packets.read()):
            yield from self._good(self._decoded(packet))
        yield from self._good(self._certain(self._decoded(None)))
        yield from self._between
        self._miss(self._count.rest())
        self._packets.check_end(self._lacking)

    def _wanted(self, packets: Iterator[Packet]) -> Iterator[Packet]:
        """Those that are decoded: from the last key frame on that is not shown after the start."""
        kept: list[Packet] = []
        size = 0
        for packet in packets if self._skips else ():
            stamp = self._packets.stamp(packet)
            if stamp is not None and packet.is_keyframe and self._clock.milliseconds(stamp) <= self._start:
                for passed in kept:
                    self._counted(passed, decoded=False)
                self._has_skipped |= bool(kept)
                self._count.skip(stamp)
                kept, size = [], 0
            kept.append(packet)
            size += packet.size
            order = packet.pts if packet.dts is None else packet.dts
            if order is None or self._clock.milliseconds(order) > self._start or size > _KEPT:
                break
        yield from self._sent(kept)
        yield from self._sent(packets)

    def _sent(self, packets: Iterable[Packet]) -> Iterator[Packet]:
        for packet in packets:
            stamp = self._packets.stamp(packet)
            # Without time stamps only what is decoded can be counted.
            is_sent = packet.is_keyframe or not self._keys or stamp is None
            self._counted(packet, decoded=is_sent)
            if packet.is_corrupt:
                self._bad.add(stamp)
            if packet.is_keyframe:
                self._said_keys.add(stamp)
            if self._packets.has_places and packet.is_keyframe:
                self._key_places[packet.pts] = packet.dts
            if is_sent:
                yield packet

    def _counted(self, packet: Packet, decoded: bool) -> None:
        if is_shown(packet):
            self._count.packet(self._packets.stamp(packet), decoded)

    def _decoded(self, packet: Packet | None) -> list[av.VideoFrame]:
        import av

        try:
            if packet is not None and packet.has_sidedata("encryption_info"):
                raise DecodeError(Status.UNSUPPORTED, "is encrypted")
            return self._stream.decode(packet)
        except EOFError:  # after the last
            return []
        except (av.FFmpegError, MemoryError, ValueError, DecodeError) as error:
            stamp = None if packet is None else self._packets.stamp(packet)
            self._is_broken, self._awaits_first = True, False
            # What a decoder is asked for beyond `max_pixels` it calls an invalid argument.
            is_argument = isinstance(error, av.error.ArgumentError)
            found = damaged("a frame is damaged or too large") if is_argument else film_fault(error)
            self.losses.damage(found, self._clock.milliseconds(stamp, self._count.next))
            return []

    def _good(self, pictures: Iterable[av.VideoFrame]) -> Iterator[Shown]:
        for picture in pictures:
            stamp = self._stamp(picture)
            number, missing = self._count.picture(stamp)
            time = self._clock.milliseconds(stamp, number or 0)
            is_key = self._is_key(picture, stamp)
            if self._has_skipped and not is_key:
                raise NoKeyError
            self._has_skipped = False
            if not picture.interlaced_frame or self._is_broken:  # of two fields each may have a packet
                self._miss(missing)
            is_bad = picture.is_corrupt or stamp in self._bad
            if is_bad:
                self._is_broken, self._awaits_first = True, False
                self.losses.damage(damaged("a frame is damaged"), time)
                self.losses.lose(shown.time for shown in self._between)
                self._between = []
            if number is None:
                continue
            if self._is_broken and (is_bad or not (is_key or self._awaits_first)):
                self.losses.lose([time])
                continue
            self._is_broken = self._awaits_first = False
            yield from self._known(Shown(picture, number, time, is_key))

    def _stamp(self, picture: av.VideoFrame) -> int | None:
        if self._packets.has_places:
            return self._key_places.pop(picture.pts, self._count.first())
        return picture.dts if picture.pts is None else picture.pts

    def _is_key(self, picture: av.VideoFrame, stamp: int | None) -> bool:
        """Whether it and all that is shown later need none before it.

        H.264 has such frames that its decoder does not call keys, and containers call some so that are none.
        """
        is_said = stamp in self._said_keys
        self._said_keys.discard(stamp)
        return picture.key_frame or (is_said and picture.pict_type == _I)

    def _known(self, shown: Shown) -> Iterator[Shown]:
        """A picture once it is known to be good: one that is predicted from the next one, too, waits for that."""
        self._between.append(shown)
        if shown.picture.pict_type != _B:
            yield from self._between
            self._between = []
        elif len(self._between) > _BETWEEN:
            yield self._between.pop(0)

    def _certain(self, pictures: list[av.VideoFrame]) -> list[av.VideoFrame]:
        """The last pictures; of a file that was cut off those alone before which none can be lacking."""
        last = self._packets.last_decoded
        if not self._lacking or last is None:
            return pictures
        if self._packets.has_places:
            return []
        return [picture for picture in pictures if picture.pts is None or picture.pts <= last]

    def _miss(self, stamps: list[int]) -> None:
        """Packets were decoded, and gave no picture."""
        times = [time for time in map(self._clock.milliseconds, stamps) if time >= self._start]
        if times:
            self._is_broken = True
            self.losses.lose(times)
            self.losses.damage(damaged("a frame cannot be decoded"), times[0])
