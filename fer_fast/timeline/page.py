"""Who was seen in a film comes in; one page of it goes out: probabilities over time, and faces to look at."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from fer_fast.films.stretch import stretch_of
from fer_fast.machine.extras import need
from fer_fast.reports.colours import colours_of
from fer_fast.reports.render import data_block, render
from fer_fast.timeline.chart import Band, bands, clock, ribbon, ticks
from fer_fast.timeline.points import Points, Scale, points_of, scale_of
from fer_fast.timeline.seen import SeenFilm, Track, seen_in
from fer_fast.types import counted

#: Tracks that a page shows, those that were seen most often.
MOST_TRACKS = 40


@dataclass(frozen=True)
class Row:
    """A track as the page shows it.

    Attributes:
        number: of the track.
        said: when it was seen, and as what.
        ribbon: the label over time, as high as its confidence.
        bands: the probability of each class.
    """

    number: int
    said: Sequence[str]
    ribbon: Sequence[Band]
    bands: Sequence[Band]


def timeline_page(
    table: str,
    film: str,
    *,
    start: float | None = None,
    end: float | None = None,
    thumbnails: bool = True,
    tell: Callable[[float], None] = lambda time: None,
) -> str:
    """The page of one film.

    Args:
        table: csv, jsonl or parquet, as `fer-fast classify` makes it of films.
        film: its path; without thumbnails it need not be there.
        start, end: the part of the film that is shown, seconds, see `Film`.
        thumbnails: whether faces are cut out of it.
        tell: see `thumbnails_of`.

    Returns:
        HTML, in ASCII: nothing is loaded from elsewhere, and no other script runs than its own.

    Raises:
        ValueError: the table is none of films, has no face of this one in the part, or is of another version of it; or
            the part cannot be.
        TypeError: `start` or `end` is no number.
        DecodeError: thumbnails are wished for, and it is no film.
        MissingExtraError: it takes PyAV or pyarrow, which is not installed.
    """
    part = stretch_of(start, end, None)
    if thumbnails:
        need("a page with thumbnails", "video")
    seen = seen_in(table, film, part)
    tracks = _shown(seen)
    pictures: Mapping[int, Any] = {}
    if thumbnails:
        from fer_fast.timeline.thumbnails import thumbnails_of

        pictures = thumbnails_of(film, tracks, tell)
    scale = scale_of(tracks)
    points = {track.number: points_of(track, scale) for track in tracks}
    colours = {name: f"rgb{colour}" for name, colour in colours_of(seen.classes).items()}
    return render(
        "timeline",
        title=seen.cell.rpartition("/")[2],
        about=_about(seen, tracks, scale, pictures),
        warnings=seen.faults,
        legend=colours.items(),
        ticks=ticks(scale),
        rows=[_row(track, points[track.number], scale, colours) for track in tracks],
        first=round(1000 * scale.start),
        last=round(1000 * scale.end),
        step=max(1, round(2000 * scale.half)),
        data=data_block(_data(points, scale, colours, pictures)),
    )


def _shown(seen: SeenFilm) -> list[Track]:
    """The tracks that were seen most often, by their number."""
    longest = sorted(seen.tracks.values(), key=lambda track: -len(track.times))[:MOST_TRACKS]
    return sorted(longest, key=lambda track: track.number)


def _row(track: Track, points: Points, scale: Scale, colours: Mapping[str, str]) -> Row:
    mean = points.shares.mean(axis=0)
    label = [*colours][int(mean.argmax())]
    looks = counted(len(track.times), "look", "looks")
    said = [f"{clock(track.times[0])} to {clock(track.times[-1])}", f"{looks}, on average {label}"]
    return Row(track.number, said, ribbon(points, scale, colours), bands(points, scale, colours))


def _about(seen: SeenFilm, tracks: Sequence[Track], scale: Scale, pictures: Mapping[int, Any]) -> list[str]:
    many = counted(len(seen.tracks), "track", "tracks")
    what = "averages over the track" if seen.smoothed else "of each frame alone"
    about = [f"{many}, {clock(scale.start)} to {clock(scale.end)}. Probabilities are {what}."]
    if scale.width:
        about.append(f"A point is the mean of {scale.width:g} s: each look for itself would be too much for a page.")
    about.append(f"A gap: for more than {scale.gap:.2f} s the face was not found.")
    if len(tracks) < len(seen.tracks):
        left = sum(len(track.times) for track in seen.tracks.values()) - sum(len(track.times) for track in tracks)
        rest = f"{len(seen.tracks) - len(tracks)} more, of {counted(left, 'look', 'looks')}, are not shown"
        about.append(f"The {len(tracks)} tracks that were seen most: {rest}.")
    if seen.nameless:
        faces = counted(seen.nameless, "face that continues", "faces that continue")
        about.append(f"{faces} no track, for want of certainty, not shown.")
    if number := sum(map(len, pictures.values())):
        how = "spread evenly over the looks at each track; shown is the one that is nearest in time, with its time"
        about.append(f"{counted(number, 'picture', 'pictures')} of faces, {how}.")
    return about


def _data(
    points: Mapping[int, Points], scale: Scale, colours: Mapping[str, str], pictures: Mapping[int, Any]
) -> dict[str, Any]:
    """What the script shows of a time: whole milliseconds, and thousandths."""
    tracks = [
        {
            "number": number,
            "times": [round(1000 * time) for time in each.times.tolist()],
            "shares": [round(1000 * share) for share in each.shares.ravel().tolist()],
            "unsure": [place for place, unsure in enumerate(each.unsure.tolist()) if unsure],
            "faces": [
                [round(1000 * face.time), f"data:image/jpeg;base64,{b64encode(face.data).decode()}"]
                for face in pictures.get(number, ())
            ],
        }
        for number, each in points.items()
    ]
    return {"classes": [*colours.items()], "reach": round(1000 * max(scale.gap / 2, scale.half)), "tracks": tracks}
