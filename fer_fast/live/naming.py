"""What a user calls a source comes in; the source goes out, or a sentence why there is none."""

from __future__ import annotations

import os
import stat
import sys
from typing import TYPE_CHECKING

from fer_fast.decode.limits import DEFAULT_MAX_PIXELS, check_count, number
from fer_fast.live.address import SCHEMES, Address
from fer_fast.live.camera import Camera
from fer_fast.live.played import PlayedFilm
from fer_fast.live.raw import PIXELS, RawFrames
from fer_fast.machine.disk import why_absent

if TYPE_CHECKING:
    from fer_fast.decode.pixels import Size
    from fer_fast.live.source import Source


def source_of(
    named: int | str | os.PathLike[str],
    *,
    size: Size | None = None,
    pixels: str | None = None,
    rate: float | None = None,
    timeout: float = 10.0,
    reconnect: float = 600.0,
) -> Source:
    """What is meant by the arguments of `watch`; nothing is opened yet.

    Raises:
        ValueError, TypeError: in words that name the argument, the rule and what came.
    """
    if isinstance(named, bool) or not isinstance(named, (int, str, os.PathLike)):
        raise TypeError(f"source must be a camera's number, an address, '-' or a film's path, not {named!r}")
    name = str(named) if isinstance(named, int) else os.fsdecode(named)
    timeout, reconnect = number("timeout", timeout), number("reconnect", reconnect)
    _check(size, pixels, rate)
    if name == "-":
        return _standard_input(size, pixels, rate)
    if pixels is not None:
        raise ValueError(f"pixels is for '-', uncompressed frames on standard input, not for source {name!r}")
    if name.isdecimal() or _is_device(name):
        return Camera(name, size, rate, timeout)
    for argument, value in (("size", size), ("rate", rate)):
        if value is not None:
            raise ValueError(f"{argument} is for cameras and '-', not for source {name!r}, which says it itself")
    scheme, is_address, _ = name.partition("://")
    if is_address:
        if scheme.lower() not in SCHEMES:
            raise ValueError(f"source must begin with {', '.join(f'{each}://' for each in SCHEMES)}, not {scheme}://")
        return Address(scheme.lower() + name[len(scheme) :], timeout, reconnect)
    if why := why_absent(name):
        raise ValueError(f"source {name!r} {why}")
    return PlayedFilm(name)


def _standard_input(size: Size | None, pixels: str | None, rate: float | None) -> RawFrames:
    if size is None:
        raise ValueError("source '-' is uncompressed frames on standard input: their size must be said")
    pixels = pixels or PIXELS[0]
    if pixels == "yuv420p" and (size[0] % 2 or size[1] % 2):
        raise ValueError(f"size must be even for pixels yuv420p, not {size[0]}x{size[1]}")
    if sys.stdin is None:
        raise ValueError("standard input is closed: there are no frames to read")
    descriptor = sys.stdin.fileno()
    if os.isatty(descriptor):
        raise ValueError("standard input is a terminal: source '-' is uncompressed frames from a pipe")
    return RawFrames(descriptor, size, pixels, rate)


def _check(size: Size | None, pixels: str | None, rate: float | None) -> None:
    if size is not None:
        if not isinstance(size, (tuple, list)) or len(size) != 2:
            raise TypeError(f"size must be a width and a height, not {size!r}")
        for side in size:
            check_count("size", side)
        if size[0] * size[1] > DEFAULT_MAX_PIXELS:
            raise ValueError(f"size must be at most {DEFAULT_MAX_PIXELS:,} pixels, not {size[0]}x{size[1]}")
    if pixels is not None and pixels not in PIXELS:
        raise ValueError(f"pixels must be one of {', '.join(PIXELS)}, not {pixels!r}")
    if rate is not None and not 0 < number("rate", rate) < float("inf"):
        raise ValueError(f"rate must be a number above 0, not {rate!r}")


def _is_device(name: str) -> bool:
    try:
        return stat.S_ISCHR(os.stat(name).st_mode)  # noqa: PTH116 (of an address, too, which is no path)
    except (OSError, ValueError):
        return False
