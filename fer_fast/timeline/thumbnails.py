"""A film and its tracks come in; pictures of their faces, not too many, go out."""

from __future__ import annotations

import io
from collections import defaultdict
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, NamedTuple

from PIL import Image

from fer_fast.films.film import Film
from fer_fast.timeline.seen import Track

if TYPE_CHECKING:
    from fer_fast.films.frame import Frame

#: A page has so many pictures at most, shared among its tracks by how often each was seen, but one at least.
MOST = 400
#: Pixels of a side, and JPEG's quality: noise, which needs most, takes 10 kB.
SIDE, _QUALITY = 112, 80
#: What is shown about a face's box, in its longer sides.
_MARGIN = 0.25
#: Seconds before the first picture: in another version of the film its frame may lie there.
_BEFORE = 1.0


class Thumbnail(NamedTuple):
    """A face at one time.

    Attributes:
        time: seconds.
        data: JPEG.
    """

    time: float
    data: bytes


def thumbnails_of(
    film: str, tracks: Sequence[Track], tell: Callable[[float], None] = lambda time: None
) -> dict[int, list[Thumbnail]]:
    """Cuts the faces out; the film is read once, up to the last of them.

    Of a track those looks are taken that are in the midst of so many even parts of all.

    Args:
        film: its path.
        tracks: of the film.
        tell: gets the time that reading has come to, seconds.

    Returns:
        Of each track, by number, its pictures by rising time. What damage took from the film is not there.

    Raises:
        ValueError: the film is another than the tracks are of.
        DecodeError: it is no film.
    """
    wanted: dict[int, list[tuple[Track, int]]] = defaultdict(list)
    total = sum(len(track.times) for track in tracks)
    for track in tracks:
        looks = len(track.times)
        number = min(looks, 1 + max(0, MOST - len(tracks)) * looks // total)
        for part in range(number):
            look = (2 * part + 1) * looks // (2 * number)
            wanted[track.frames[look]].append((track, look))
    found: dict[int, list[Thumbnail]] = {track.number: [] for track in tracks}
    start = min(track.times[look] for looks in wanted.values() for track, look in looks)
    with Film(film, start=max(0.0, start - _BEFORE)) as opened:
        for frame in opened.frames():
            for track, look in wanted.pop(frame.number, ()):
                _check(film, frame, opened.size, track, look)
                found[track.number].append(Thumbnail(frame.time, _cut(frame, track.box(look))))
            tell(frame.time)
            if not wanted:
                break
        if wanted and opened.fault is None:
            raise ValueError(f"{_other(film)}: it has no frame {min(wanted)}")
    return found


def _check(film: str, frame: Frame, size: tuple[int, int], track: Track, look: int) -> None:
    time = track.times[look]
    if round(1000 * time) != round(1000 * frame.time):
        raise ValueError(f"{_other(film)}: frame {frame.number} is at {frame.time:.3f} s, not {time:.3f} s")
    left, top, width, height = track.box(look)
    if left >= size[0] or top >= size[1] or left + width <= 0 or top + height <= 0:
        said = f"{size[0]} x {size[1]} pixels, and a face of frame {frame.number} lies outside"
        raise ValueError(f"{_other(film)}: it has {said}")


def _other(film: str) -> str:
    return f"the table is of another version of {film!r}"


def _cut(frame: Frame, box: tuple[float, float, float, float]) -> bytes:
    """A square about a face, within the frame as far as that has room for it."""
    picture = Image.fromarray(frame.rgb())
    left, top, width, height = box
    side = min((1 + 2 * _MARGIN) * max(width, height), *picture.size)
    x = min(max(left + (width - side) / 2, 0), picture.width - side)
    y = min(max(top + (height - side) / 2, 0), picture.height - side)
    cut = picture.resize((SIDE, SIDE), Image.Resampling.BICUBIC, (x, y, x + side, y + side), reducing_gap=2)
    stream = io.BytesIO()
    cut.save(stream, "JPEG", quality=_QUALITY)
    return stream.getvalue()
