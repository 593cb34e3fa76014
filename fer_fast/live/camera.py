"""The number of a camera, or its device, comes in; its frames go out."""

from __future__ import annotations

import errno
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from fer_fast.live.received import Received
from fer_fast.live.source import Arrivals, Came
from fer_fast.types import FerFastError, one_line

if TYPE_CHECKING:
    from av.container import InputContainer

    from fer_fast.decode.pixels import Size

_REASONS = {
    errno.EBUSY: "another program has it",
    errno.EACCES: "this user may not read it",
    errno.EPERM: "this user may not read it",
    errno.ENOENT: "it is not there",
    errno.ENODEV: "it is not there",
    errno.ENOTTY: "it is no camera",
}


class Camera:
    """A `Source`: a camera of this machine.

    Args:
        device: its number, from 0; on Linux its device, such as /dev/video0, too.
        size: width and height that are asked for; the camera may give others.
        rate: frames a second that are asked for.
        timeout: seconds within which it has to give a frame.

    Raises:
        ValueError: there is no such camera, or none can be read on this system.
    """

    def __init__(self, device: str, size: Size | None, rate: float | None, timeout: float) -> None:
        self.name, self.silence = f"camera {device}", timeout or None
        self._format, self._device = _driver(device)
        self._options = {"video_size": f"{size[0]}x{size[1]}"} if size else {}
        self._options |= {"framerate": f"{rate:g}"} if rate else {}

    def frames(self, stopping: threading.Event) -> Iterator[Came]:
        """See `Source.frames`."""
        import av

        arrivals = Arrivals()
        with self._open() as container:
            try:
                received = Received(container)
                for picture in received.pictures(stopping):
                    yield arrivals.came(picture, key=picture.key_frame, aspect=received.aspect)
            except av.FFmpegError as error:
                raise FerFastError(f"{self.name} was lost: {_reason(error)}") from None
        if not stopping.is_set():
            raise FerFastError(f"{self.name} was lost: it gives no more frames")

    def _open(self) -> InputContainer:
        import av

        try:
            return av.open(self._device, "r", format=self._format, options=self._options)
        except (av.FFmpegError, OSError) as error:
            raise FerFastError(f"{self.name} cannot be opened: {_reason(error)}") from None


def _driver(device: str) -> tuple[str, str]:
    """FFmpeg's name of what reads cameras here, and what it calls this one."""
    if sys.platform == "darwin":
        return "avfoundation", device
    if sys.platform != "linux":
        raise ValueError(f"source {device!r} is a camera, and cameras are read on Linux and macOS alone")
    path = Path(f"/dev/video{device}") if device.isdecimal() else Path(device)
    if not path.exists():
        raise ValueError(f"source {device!r} is no camera that is there: there is no {str(path)!r}")
    return "v4l2", str(path)


def _reason(error: BaseException) -> str:
    number, said = getattr(error, "errno", None), getattr(error, "strerror", None)
    return _REASONS.get(number or 0) or said or one_line(error)
