"""Films made by PyAV, of which every frame says its number: what a test needs to know exactly which ones it got."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    import av
    from av.container import OutputContainer

Pixels = npt.NDArray[np.uint8]

#: Bits of a frame's number, a row of cells above a row that has each the other way round.
BITS = 12
_DARK, _LIGHT = 60, 190


def numbered(number: int, width: int = 96, height: int = 64) -> Pixels:
    """A frame of grey cells: its number's bits, the lowest at the left; below them the opposite."""
    bits = (number >> np.arange(BITS)) & 1
    cells = np.where(np.stack((bits, 1 - bits)), _LIGHT, _DARK).astype(np.uint8)
    rows, columns = np.arange(height) * 2 // height, np.arange(width) * BITS // width
    return np.repeat(cells[rows][:, columns, None], 3, axis=2)


def number_in(pixels: Pixels) -> int:
    """The number of an upright frame that was made by `numbered`, whatever its size; of another it fails."""
    height, width, _ = pixels.shape
    columns = (np.arange(BITS) * 2 + 1) * width // (2 * BITS)
    upper, lower = (pixels[row, columns].mean(axis=1) for row in (height // 4, 3 * height // 4))
    assert (np.abs(upper - lower) > 60).all(), "no number is seen"
    return int(((upper > lower) << np.arange(BITS)).sum())


def save_film(
    path: Path,
    frames: int | Iterable[Pixels] = 24,
    *,
    rate: int | Fraction = 25,
    stamps: Sequence[int] | None = None,
    unit: Fraction | None = None,
    codec: str = "libx264",
    pix_fmt: str = "yuv420p",
    key_every: int = 8,
    rotation: int | None = None,
    aspect: Fraction | None = None,
    colours: dict[str, int] | None = None,
    options: dict[str, str] | None = None,
    container_options: dict[str, str] | None = None,
    sound: float | None = None,
    beside: Callable[[OutputContainer], None] | None = None,
    format: str | None = None,
) -> Path:
    """Writes a film; its container is the one that its name's ending means.

    Args:
        path: of the file.
        frames: uint8 [height, width, 3] each, or how many of `numbered`.
        rate: frames a second.
        stamps: of each frame, in `unit`; without them 0, 1, 2...
        unit: seconds; without it a frame's.
        codec, pix_fmt, options: of the encoder; of x264 and x265 one slice a frame, and B-frames unless told otherwise.
        key_every: frames from one key frame to the next.
        rotation: degrees by which a player turns it to the left.
        aspect: width of a pixel by its height.
        colours: of the encoder, as `colorspace` and `color_range`; the pixels are made so.
        container_options: of the muxer.
        sound: when a second of it begins, in seconds; None is without.
        beside: adds streams.
        format: of the container, where the name does not say it.

    Returns:
        The path.
    """
    import av

    pictures = map(numbered, range(frames)) if isinstance(frames, int) else frames
    unit = unit or 1 / Fraction(rate)
    with kept_schedule(), av.open(str(path), "w", format=format, options=container_options or {}) as out:
        stream: Any = out.add_stream(codec, rate=rate, options={**_quiet(codec, key_every), **(options or {})})
        stream.pix_fmt, stream.time_base, stream.codec_context.time_base = pix_fmt, unit, unit
        stream.codec_context.gop_size = key_every
        if beside is not None:
            beside(out)
        tones: Any = None if sound is None else out.add_stream("aac" if path.suffix != ".mkv" else "flac", rate=8000)
        for name, value in (colours or {}).items():
            setattr(stream.codec_context, name, value)
        if aspect is not None:
            stream.codec_context.sample_aspect_ratio = aspect
        if rotation is not None:
            stream.set_display_rotation(rotation)
        for place, pixels in enumerate(pictures):
            if place == 0:
                stream.height, stream.width = pixels.shape[:2]
            picture = encodable(pixels, pix_fmt, **(colours or {}))
            picture.pts, picture.time_base = stamps[place] if stamps else place, unit
            out.mux(stream.encode(picture))
        out.mux(stream.encode(None))
        if sound is not None:
            _add_sound(out, tones, sound)
    return path


@contextmanager
def kept_schedule() -> Iterator[None]:
    """Run by root, SVT-AV1 makes its caller a real-time thread, beside which nothing else came to run for minutes."""
    policy, parameter = os.sched_getscheduler(0), os.sched_getparam(0)
    try:
        yield
    finally:
        os.sched_setscheduler(0, policy, parameter)


def encodable(
    pixels: Pixels, pix_fmt: str, colorspace: int | None = None, color_range: int = 1, **told: int
) -> av.VideoFrame:
    """RGB as an encoder takes it; what else is told of its colours changes none."""
    import av

    picture = av.VideoFrame.from_ndarray(np.ascontiguousarray(pixels), "rgb24")
    made = picture.reformat(format=pix_fmt, dst_colorspace=colorspace or 5, dst_color_range=color_range, threads=1)
    for name, value in {"colorspace": colorspace or 2, "color_range": color_range, **told}.items():
        setattr(made, name, value)
    return made


def save_sound(path: Path, picture: Pixels | None = None) -> Path:
    """A second of sound alone; with a picture, a record with its cover."""
    import av

    with av.open(str(path), "w") as out:
        tones: Any = out.add_stream({".mp3": "libmp3lame", ".m4a": "aac"}[path.suffix], rate=8000)
        cover: Any = None
        if picture is not None:
            cover = out.add_stream("mjpeg", options={"strict": "unofficial"})
            cover.height, cover.width, cover.pix_fmt = *picture.shape[:2], "yuvj420p"
            cover.disposition = av.stream.Disposition.attached_pic
            cover.codec_context.time_base = Fraction(1, 25)
            out.mux(cover.encode(encodable(picture, "yuvj420p", color_range=2)))
            out.mux(cover.encode(None))
        _add_sound(out, tones, 0.0)
    return path


def _add_sound(out: OutputContainer, stream: Any, begin: float) -> None:
    import av

    rate = 8000
    for start in range(0, rate, 1000):
        tone = np.zeros((1, 1000), np.int16)
        samples = av.AudioFrame.from_ndarray(tone, "s16", "mono")
        samples.sample_rate, samples.pts, samples.time_base = rate, start + round(begin * rate), Fraction(1, rate)
        out.mux(stream.encode(samples))
    out.mux(stream.encode(None))


def _quiet(codec: str, key_every: int) -> dict[str, str]:
    """x264 and x265 print to the terminal, and place key frames where they like, unless told otherwise."""
    common = f"log-level=none:keyint={key_every}:min-keyint={key_every}:scenecut=0"
    own = {
        "libx264": f"{common}:threads=1:bframes=2:open-gop=0",
        "libx265": f"{common}:pools=none:frame-threads=1:bframes=2",
    }
    name = codec.removeprefix("lib")
    return {f"{name}-params": own[codec]} if codec in own else {}
