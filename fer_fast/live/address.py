"""The address of a stream comes in; its frames go out, again after it broke off and came back."""

from __future__ import annotations

import errno
import logging
import threading
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from fer_fast.films.opening import film_fault, lenient
from fer_fast.live.played import Pace
from fer_fast.live.received import Received
from fer_fast.live.source import Arrivals, Came
from fer_fast.types import DecodeError, FerFastError, Status

if TYPE_CHECKING:
    from av.container import InputContainer

#: What may be watched, how it travels, and what it may be. Playlists are nothing of it: they could name any other
#: address. So nothing is opened but what a user names, and what that address itself refers on to.
_HTTP = ("http,https,httpproxy,tcp,tls", "mpegts,mpeg,mpjpeg,mjpeg,flv,matroska,webm,mov,mp4,avi,ogg,asf,h264,hevc")
_RTSP = ("rtp,srtp,udp,tcp,tls", "rtsp")
_KINDS = {"http": _HTTP, "https": _HTTP, "rtsp": _RTSP, "rtsps": _RTSP}
SCHEMES = tuple(_KINDS)
#: Microseconds and bytes of a stream from which it is found out what it is; FFmpeg's own are 5 s and 5 MB.
_PROBED = {"analyzeduration": "1000000", "probesize": "1000000", "rtsp_flags": "prefer_tcp"}
#: Seconds before another try: twice as long each time, up to the last.
_FIRST_WAIT, _LAST_WAIT = 0.5, 30.0

_log = logging.getLogger(__name__)


class Address:
    """A `Source`: a stream of RTSP or HTTP.

    Args:
        url: of it.
        timeout: seconds within which it has to answer; 0 waits for ever.
        reconnect: seconds for which it is tried again once it has broken off; 0 never tries.
    """

    silence: float | None = None

    def __init__(self, url: str, timeout: float, reconnect: float) -> None:
        parts = urlsplit(url)
        # Passwords are before the host, or behind the question mark.
        self.name = f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"
        self._url, self._timeout, self._reconnect = url, timeout or None, reconnect
        protocols, formats = _KINDS[parts.scheme]
        self._options = {**_PROBED, "protocol_whitelist": protocols, "format_whitelist": formats}

    def frames(self, stopping: threading.Event) -> Iterator[Came]:
        """See `Source.frames`; numbers and times go on after a gap.

        Raises:
            FerFastError: it was never there, or did not come again in time.
        """
        arrivals, outage = Arrivals(), _Outage(self.name, self._reconnect)
        while not stopping.is_set():
            is_film = False
            try:
                with self._open() as container:
                    is_film = (container.size or 0) > 0  # None, or below 0, where nobody says it
                    for came in self._received(container, arrivals, is_film, stopping):
                        outage.over()
                        yield came
                if is_film or stopping.is_set():
                    return
                reason = "it ended"
            except DecodeError as error:
                reason = str(error)
            if not outage.has_come:
                raise FerFastError(f"{self.name} cannot be watched: {reason}")
            if is_film:  # which would begin anew
                raise FerFastError(f"{self.name} broke off ({reason})")
            outage.wait(reason, stopping)

    def _received(
        self, container: InputContainer, arrivals: Arrivals, is_film: bool, stopping: threading.Event
    ) -> Iterator[Came]:
        """Of a film on a server each frame when it is due: it comes faster than it is shown."""
        import av

        pace = Pace()
        try:
            received = Received(container)
            for picture in received.pictures(stopping):
                if is_film and picture.time is not None:
                    pace.wait(picture.time, stopping)
                yield arrivals.came(picture, key=picture.key_frame, aspect=received.aspect)
        except (av.FFmpegError, OSError) as error:
            if error.errno == errno.EIO and not is_film:  # HTTP's end, where no server said when that would be
                return
            raise self._fault(error, "it has given nothing for") from None

    def _open(self) -> InputContainer:
        import av

        begun = time.monotonic()
        try:
            opened: InputContainer = av.open(self._url, "r", options=self._options, timeout=self._timeout, **lenient())
            return opened
        except (av.FFmpegError, OSError) as error:
            is_late = self._timeout is not None and time.monotonic() - begun >= self._timeout
            raise self._fault(error, "it has not answered for", is_late) from None

    def _fault(self, error: Exception, waited: str, is_late: bool = False) -> DecodeError:
        """Some protocols turn what breaks a wait off into a fault of their own."""
        import av

        if is_late or isinstance(error, av.error.ExitError):
            return DecodeError(Status.UNREADABLE, f"{waited} {self._timeout:g} s", again=True)
        if getattr(error, "errno", None) == errno.EINVAL:  # what FFmpeg says of formats that are not among ours
            return DecodeError(Status.UNSUPPORTED, "it is a playlist, or of another format that is not watched")
        return film_fault(error)


class _Outage:
    """From when a stream breaks off until it is back.

    Args:
        name: of the stream.
        most: seconds until it is given up.

    Attributes:
        has_come: whether there was ever a frame.
    """

    def __init__(self, name: str, most: float) -> None:
        self._name, self._most = name, most
        self._since: float | None = None
        self._pause = _FIRST_WAIT
        self.has_come = False

    def over(self) -> None:
        """A frame has come."""
        self.has_come = True
        if self._since is not None:
            _log.warning("%s is back after %.1f s", self._name, time.monotonic() - self._since)
        self._since, self._pause = None, _FIRST_WAIT

    def wait(self, reason: str, stopping: threading.Event) -> None:
        """Waits before the next try.

        Raises:
            FerFastError: there is none.
        """
        now = time.monotonic()
        if self._since is None:
            self._since = now
            if self._most:
                _log.warning("%s broke off (%s): it is tried again for %g s", self._name, reason, self._most)
        left = self._since + self._most - now
        if left <= 0:
            again = f", and did not come again within {self._most:g} s" if self._most else ""
            raise FerFastError(f"{self._name} broke off ({reason}){again}")
        stopping.wait(min(self._pause, left))
        self._pause = min(2 * self._pause, _LAST_WAIT)
