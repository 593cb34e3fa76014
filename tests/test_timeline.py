"""A table of films' faces becomes a page: each track's points and gaps, faces from the film, bounded, told in words."""

from __future__ import annotations

import base64
import csv
import hashlib
import html
import io
import json
import re
import sys
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from films import number_in, numbered, save_film
from PIL import Image

from fer_fast import MissingExtraError, Prediction, Row, Status
from fer_fast.cli.command import run
from fer_fast.table.formats import SUFFIXES, new_table, records_for
from fer_fast.table.reading import read_rows
from fer_fast.table.schema import Schema
from fer_fast.timeline import page as timeline
from fer_fast.timeline import thumbnails
from fer_fast.timeline.chart import bands, clock, ribbon, ticks
from fer_fast.timeline.page import timeline_page
from fer_fast.timeline.points import MOST_OF_TRACK, MOST_POINTS, points_of, scale_of
from fer_fast.timeline.seen import Track, seen_in
from fer_fast.types import Column

CLASSES = ("calm", "glad")
FACE = (Column("face", "integer"), *(Column(name, "number") for name in ("x", "y", "width", "height", "score")))
FILM = (Column("frame", "integer"), Column("time", "number"), Column("track", "integer"))
SMOOTH = tuple(Column(f"smooth_{name}", "number") for name in CLASSES)
SIZE = 192, 128


def seen(
    path: object,
    frame: int,
    track: int | None,
    calm: float = 0.25,
    time: float | None = None,
    smooth: float | None = None,
) -> Row:
    """A face in the midst of a frame, ten of which are a second."""
    box = (0, 48.0, 32.0, 96.0, 64.0, 0.9)
    smoothed = () if smooth is None else (smooth, 1 - smooth)
    prediction = Prediction(CLASSES, np.array([calm, 1 - calm], np.float32))
    return Row(
        str(path), Status.OK, "", prediction, (*box, frame, frame / 10 if time is None else time, track, *smoothed)
    )


def save(path: Path, rows: list[Row], own: tuple[Column, ...] = FACE + FILM) -> Path:
    schema = Schema(CLASSES, own)
    records = records_for(path.suffix, schema)
    with new_table(path, path.suffix, schema) as table:
        for row in rows:
            table.write(records.encode(row))
    return path


class Page(HTMLParser):
    """What is in a page: its elements with their attributes, its texts, and what its script reads."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[str] = []
        self.feed(text)
        self.data: Any = json.loads(re.search(r'<script type="application/json" id="data">(.*?)</script>', text)[1])  # type: ignore[index]

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.texts.append(data)

    @property
    def said(self) -> str:
        return " ".join(" ".join(self.texts).split())


@pytest.fixture(scope="module")
def film(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("film") / "film.mp4"
    return save_film(path, [numbered(n, *SIZE) for n in range(40)], rate=10)


def rows_of(film: object) -> list[Row]:
    """Track 0 all the time but for a second; track 1 in the last; a face without a track."""
    there = [n for n in range(40) if not 15 <= n < 25]
    rows = [seen(film, n, 0, calm=n / 40) for n in there] + [seen(film, n, 1) for n in range(30, 40)]
    return [*rows, seen(film, 39, None)]


@pytest.mark.parametrize(
    ("part", "times"),
    [
        (["--from", "0:01"], [[*range(1000, 1500, 100), *range(2500, 4000, 100)], [*range(3000, 4000, 100)]]),
        (["--to", "3"], [[*range(0, 1500, 100), *range(2500, 3000, 100)]]),
        (["--from", "0.95", "--to", "1.1"], [[1000]]),
    ],
)
def test_a_part_of_a_film(part: list[str], times: list[list[int]], film: Path, tmp_path: Path) -> None:
    table, out = save(tmp_path / "faces.csv", rows_of(film)), tmp_path / "page.html"
    assert run(["timeline", str(table), str(film), "-o", str(out), *part, "-q"]) == 0
    page = Page(out.read_text())
    assert [track["times"] for track in page.data["tracks"]] == times
    assert all(each["faces"] for each in page.data["tracks"])
    assert ("1 face that continues no track" in page.said) == ("--to" not in part)


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_any_table_gives_the_same_page_of_a_film(suffix: str, film: Path, tmp_path: Path) -> None:
    photo = Row("photo.jpg", Status.CORRUPT, "is damaged")
    other = [seen("other.mp4", n, 0) for n in range(3)]
    table = save(tmp_path / f"faces{suffix}", [photo, *rows_of(film), *other, Row("other.mp4", Status.CORRUPT, "cut")])
    page = Page(timeline_page(str(table), str(film)))
    first, second = page.data["tracks"]
    assert [first["number"], second["number"]] == [0, 1] and page.data["classes"][1][0] == "glad"
    assert first["times"] == [100 * n for n in range(40) if not 15 <= n < 25]
    assert first["shares"][:4] == [0, 1000, 25, 975] and second["shares"] == [250, 750] * 10
    assert "2 tracks, 0:00 to 0:04. Probabilities are of each frame alone." in page.said
    assert "1 face that continues no track" in page.said and "other.mp4" not in page.said and "cut" not in page.said
    for each in page.data["tracks"]:
        for time, uri in each["faces"]:
            with Image.open(io.BytesIO(base64.b64decode(uri.removeprefix("data:image/jpeg;base64,")))) as picture:
                assert picture.size == (thumbnails.SIDE,) * 2 and time in each["times"]


def test_faces_are_of_their_frames(film: Path, tmp_path: Path) -> None:
    whole = Row(str(film), Status.OK, "", Prediction(CLASSES, np.array([1, 0], np.float32)))
    rows = [
        Row(whole.path, whole.status, "", whole.prediction, (0, 34.0, 2.0, 124.0, 84.0, 1.0, n, n / 10, 0))
        for n in (3, 11)
    ]
    table = save(tmp_path / "faces.csv", rows)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(thumbnails, "_MARGIN", 0.0)
        (track,) = Page(timeline_page(str(table), str(film))).data["tracks"]
    with Image.open(io.BytesIO(base64.b64decode(track["faces"][1][1].partition(",")[2]))) as picture:
        shown = np.asarray(picture.convert("RGB").resize((124, 124)))
    expected = numbered(11, *SIZE)[0:124, 34:158]
    assert [time for time, _ in track["faces"]] == [300, 1100]
    assert np.abs(shown.astype(int) - expected).mean() < 12
    assert number_in(numbered(11, *SIZE)) == 11


def test_a_page_loads_nothing_and_runs_its_own_script_alone(film: Path, tmp_path: Path) -> None:
    name = '<script>alert("1")<b>&.mp4'
    rows = [seen(name, n, 0) for n in range(4)] + [Row(name, Status.CORRUPT, "</script><b>")]
    text = timeline_page(str(save(tmp_path / "faces.csv", rows)), str(tmp_path / name), thumbnails=False)
    page = Page(text)
    policy = next(dict(attrs)["content"] for tag, attrs in page.elements if attrs.get("http-equiv"))
    (script,) = re.findall(r"<script>(.*?)</script>", text, re.DOTALL)
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    assert policy and policy.startswith("default-src 'none'; ") and f"script-src 'sha256-{digest}'" in policy
    assert [attrs for tag, attrs in page.elements if {"src", "href", "style", "onclick"} & {*attrs}] == []
    assert [tag for tag, _ in page.elements if tag in ("link", "iframe", "b")] == ["b"]  # where the time is shown
    assert html.unescape(text).count(name) >= 2 and text.isascii() and "corrupt: </script><b>" in page.said
    assert page.data["tracks"][0]["faces"] == []


def test_averages_are_shown_where_the_table_has_them(film: Path, tmp_path: Path) -> None:
    table = save(
        tmp_path / "faces.parquet", [seen(film, n, 0, 0.1, smooth=0.6) for n in range(5)], FACE + FILM + SMOOTH
    )
    page = Page(timeline_page(str(table), str(film), thumbnails=False))
    assert page.data["tracks"][0]["shares"] == [600, 400] * 5
    assert "averages over the track" in page.said
    never = save(tmp_path / "never.jsonl", [seen(film, n, 0, 0.1, smooth=0.0) for n in range(5)], FACE + FILM + SMOOTH)
    page = Page(timeline_page(str(never), str(film), thumbnails=False))
    assert page.data["tracks"][0]["shares"] == [0, 1000] * 5, "an average of 0 is one"


def track_of(times: Any, calm: Any = 0.25, number: int = 0, unsure: bool = False) -> Track:
    made = Track(number)
    for place, time in enumerate(times):
        made.frames.append(place)
        made.times.append(time)
        made.boxes.extend((0.0, 0.0, 1.0, 1.0))
        share = calm[place] if isinstance(calm, list) else calm
        made.shares.extend((share, 1 - share))
        made.unsure.append(unsure)
    return made


def test_a_gap_is_where_two_looks_did_not_find_the_face() -> None:
    track = track_of([0.0, 0.1, 0.2, 0.4, 0.5, 0.8, 0.9])
    scale = scale_of([track])
    assert (scale.width, scale.start) == (0, 0) and scale.step == pytest.approx(0.1) and scale.end == pytest.approx(1.0)
    assert points_of(track, scale).stretches() == [slice(0, 5), slice(5, 7)]


def test_points_of_a_long_film_are_means_and_not_many() -> None:
    times = [n / 25 for n in range(25 * 3600)]
    track = track_of(times, [float(n % 50 < 25) for n in range(len(times))])
    scale = scale_of([track])
    points = points_of(track, scale)
    assert scale.width == 5 and len(points.times) == 720 and len(points.begins) == 1
    assert points.shares[0] == pytest.approx([75 / 125, 50 / 125]) and points.times[0] == pytest.approx(2.48)
    tracks = [track_of([start + n / 10 for n in range(9000)], number=start) for start in range(40)]
    counts = [len(points_of(each, scale_of(tracks)).times) for each in tracks]
    assert sum(counts) <= MOST_POINTS and max(counts) <= MOST_OF_TRACK and min(counts) > 100


def test_a_flickering_face_gives_no_endless_gaps() -> None:
    track = track_of([time for n in range(20_000) for time in (n, n + 0.04)])
    scale = scale_of([track])
    points = points_of(track, scale)
    assert len(points.times) <= MOST_OF_TRACK and len(points.begins) == 1


def test_outlines_stand_at_their_times_and_shares() -> None:
    track = track_of([0.0, 1.0, 2.0, 8.0, 9.0], [0.5, 1.0, 0.75, 0.25, 0.25])
    scale = scale_of([track])  # 0 to 10 s, a look a second
    points = points_of(track, scale)
    colours = {"calm": "rgb(1, 2, 3)", "glad": "rgb(4, 5, 6)"}
    last, first = bands(points, scale, colours)
    assert (first.name, last.name, first.colour) == ("calm", "glad", "rgb(1, 2, 3)")
    assert first.path.startswith("M0 1000L0 500L0 500L400 0L800 250L1000 250V1000z")
    assert first.path.endswith("M3000 1000L3000 750L3200 750L3600 750L3800 750V1000z")
    assert last.path.startswith("M0 1000L0 0L0 0L400 0L")
    named = {band.name: band.path for band in ribbon(points, scale, colours)}
    assert named["calm"] == "M0 1000V500H200V1000zM200 1000V0H600V1000zM600 1000V250H1000V1000z"
    assert named["glad"].startswith("M3000 1000V250H3400V1000z")
    unsure = track_of([0.0, 1.0], unsure=True)
    assert [band.name for band in ribbon(points_of(unsure, scale_of([unsure])), scale, colours)] == ["unsure"]
    assert [tick.said for tick in ticks(scale)] == ["0:00", "0:02", "0:04", "0:06", "0:08", "0:10"]
    (none, *ages) = ticks(scale_of([track_of([0.0, 0.1, 1e12])]))
    assert none.said == "0:00" and 5 <= len(ages) <= 9, "of a damaged film's table times may be ages apart"
    assert [clock(time) for time in (0.04, 59.96, 61.5, 3723)] == ["0:00", "1:00", "1:01.5", "1:02:03"]


def test_only_the_tracks_that_were_seen_most_are_shown(tmp_path: Path) -> None:
    rows = [seen("film.mp4", n, track) for n in range(3) for track in range(45) if track >= 10 or n == 0]
    rows.sort(key=lambda row: row.cells[6])
    page = Page(timeline_page(str(save(tmp_path / "faces.csv", rows)), "film.mp4", thumbnails=False))
    assert len(page.data["tracks"]) == timeline.MOST_TRACKS == 40
    assert "The 40 tracks that were seen most: 5 more, of 5 looks, are not shown." in page.said


def test_pictures_are_bounded_whatever_they_show(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    noise = (random.integers(0, 256, (128, 192, 3), np.uint8) for _ in range(12))
    path = save_film(tmp_path / "film.mkv", noise, rate=10, codec="ffv1", pix_fmt="yuv444p")
    tracks = [track_of([n / 10 for n in range(12)], number=number) for number in range(40)]
    for track in tracks:
        track.boxes[:] = type(track.boxes)("f", (48.0, 32.0, 96.0, 64.0) * 12)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(thumbnails, "MOST", 100)
        found = thumbnails.thumbnails_of(str(path), tracks)
    pictures = [face for each in found.values() for face in each]
    assert 40 <= len(pictures) <= 100 and min(map(len, found.values())) >= 1
    assert thumbnails.MOST * max(len(face.data) for face in pictures) * 4 / 3 < 8e6


@pytest.mark.parametrize(
    ("rows", "film", "said"),
    [
        ([seen("a/x.mp4", 0, 0), seen("y.mp4", 0, 0)], "z.mp4", "does not have 'z.mp4', but 'a/x.mp4', 'y.mp4'"),
        ([seen("a/x.mp4", 0, 0), seen("b/x.mp4", 0, 0)], "x.mp4", "has several films of the name of 'x.mp4'"),
        ([seen("x.mp4", 0, None)], "x.mp4", "has no face in 'x.mp4': no face of a track"),
        ([Row("x.mp4", Status.CORRUPT, "is cut")], "x.mp4", "has no face in 'x.mp4': corrupt: is cut"),
        ([seen("x.mp4", 5, 0), seen("x.mp4", 4, 0)], "x.mp4", "the times of track 0 must not go back, from 0.5 to 0.4"),
        ([], "x.mp4", "has no film, and so not 'x.mp4'"),
    ],
)
def test_what_a_table_lacks_is_one_sentence(rows: list[Row], film: str, said: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=re.escape(said)):
        seen_in(str(save(tmp_path / "faces.csv", rows)), film)


@pytest.mark.parametrize(
    ("column", "cell", "said"),
    [
        ("p_calm", "inf", "p_calm must be a number, from 0 to 1, not 'inf'"),
        ("p_calm", "nan", "p_calm must be a number, from 0 to 1, not 'nan'"),
        ("p_glad", "1.5", "p_glad must be a number, from 0 to 1, not '1.5'"),
        ("p_glad", "-0.5", "p_glad must be a number, from 0 to 1, not '-0.5'"),
        ("p_glad", "", "p_glad must be a number, from 0 to 1, not None"),
        ("x", "nan", "x must be a number, finite, not 'nan'"),
        ("width", "1e400", "width must be a number, finite, not '1e400'"),
        ("height", "", "height must be a number, finite, not None"),
        ("label", "sad", "the label 'sad' has no column p_sad"),
    ],
)
def test_no_page_is_drawn_of_a_row_that_was_made_wrong(column: str, cell: str, said: str, tmp_path: Path) -> None:
    table = save(tmp_path / "faces.csv", [seen("x.mp4", 0, 0), seen("x.mp4", 1, 0)])
    names, *rows = csv.reader(io.StringIO(table.read_text(), newline=""))
    rows[1][names.index(column)] = cell
    with table.open("w", newline="") as file:
        csv.writer(file).writerows([names, *rows])
    with pytest.raises(ValueError, match=re.escape(f"a row of 'x.mp4' in the table is damaged: {said}")):
        seen_in(str(table), "x.mp4")


def test_a_table_whose_probabilities_are_called_otherwise_is_refused(tmp_path: Path) -> None:
    table = save(tmp_path / "faces.csv", [seen("x.mp4", 0, 0)])
    table.write_text(table.read_text().replace("p_", "share_"))
    with pytest.raises(ValueError, match="is no table of faces: it lacks the columns p_<class>"):
        seen_in(str(table), "x.mp4")


def test_a_table_that_was_made_elsewhere_is_known_by_the_films_name(film: Path, tmp_path: Path) -> None:
    table = save(tmp_path / "faces.csv", [seen("/gone/film.mp4", 0, 0)])
    assert seen_in(str(table), str(film)).cell == "/gone/film.mp4"
    table = save(tmp_path / "faces.csv", [seen("/gone/film.mp4", 0, 0), seen(film, 0, 7)])
    assert [*seen_in(str(table), str(film)).tracks] == [7]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"time": 0.35}, "frame 3 is at 0.300 s, not 0.350 s"),
        ({"frame": 90, "time": 9.0}, "it has no frame 90"),
        ({"x": 400.0}, "it has 192 x 128 pixels, and a face of frame 3 lies outside"),
    ],
)
def test_another_version_of_the_film_is_told(change: dict[str, float], said: str, film: Path, tmp_path: Path) -> None:
    names = ("face", "x", "y", "width", "height", "score", "frame", "time", "track")
    row = seen(film, 3, 0)
    cells = tuple(change.get(name, cell) for name, cell in zip(names, row.cells, strict=True))
    table = save(tmp_path / "faces.csv", [Row(row.path, row.status, "", row.prediction, cells)])
    with pytest.raises(ValueError, match=re.escape(said)) as told:
        timeline_page(str(table), str(film))
    assert str(told.value).startswith(f"the table is of another version of '{film}': ")


def test_what_a_damaged_film_has_no_more_is_left_out(film: Path, tmp_path: Path) -> None:
    path = save_film(tmp_path / "film.mkv", [numbered(n, *SIZE) for n in range(40)], rate=10, key_every=5)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    table = save(tmp_path / "faces.csv", [seen(path, n, 0) for n in range(40)])
    (track,) = Page(timeline_page(str(table), str(path))).data["tracks"]
    assert len(track["times"]) == 40 and 0 < len(track["faces"]) < 40


def test_tables_are_read_as_they_were_written_or_refused(tmp_path: Path) -> None:
    rows = [seen("x.mp4", 1, 0), Row('a,"b"\n.jpg', Status.CORRUPT, "why, so")]
    read = [list(read_rows(str(save(tmp_path / f"t{suffix}", rows)))[1]) for suffix in SUFFIXES]
    read_paths = ["x.mp4", 'a,"b"\n.jpg']
    assert [[row["path"] for row in each] for each in read] == [read_paths] * 3
    assert [[float(row["x"] or 0) for row in each] for each in read] == [[48, 0]] * 3
    marked = tmp_path / "marked.csv"  # as spreadsheets save it
    marked.write_bytes(b"\xef\xbb\xbf" + (tmp_path / "t.csv").read_bytes())
    assert [row["path"] for row in read_rows(str(marked), ["path"])[1]] == read_paths
    (tmp_path / "bad.csv").write_text("path,x\na\n")
    (tmp_path / "bad.jsonl").write_text('{"path": "a"}\n[1]\n')
    (tmp_path / "bad.parquet").write_text("no parquet")
    (tmp_path / "latin.csv").write_bytes(b"path\n\xff\n")
    (tmp_path / "deep.jsonl").write_text("[" * 200_000)
    for name in ("deep.jsonl", "bad.csv", "bad.jsonl", "bad.parquet", "latin.csv"):
        with pytest.raises(ValueError, match=f"{name}' is damaged: "):
            list(read_rows(str(tmp_path / name))[1])
    for name, said in (("none.csv", "there is no table"), ("t.txt", "must end in .csv, .jsonl, .parquet")):
        with pytest.raises(ValueError, match=said):
            read_rows(str(tmp_path / name))
    (tmp_path / "bad.csv").write_text((tmp_path / "t.csv").read_text().replace(",0.1,", ",inf,"))
    with pytest.raises(ValueError, match=r"a row of 'x\.mp4' in the table is damaged"):
        seen_in(str(tmp_path / "bad.csv"), "x.mp4")
    with pytest.raises(ValueError, match="lacks the columns z"):
        read_rows(str(tmp_path / "t.csv"), ["path", "z"])


def test_the_command(film: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: Any) -> None:
    monkeypatch.chdir(tmp_path)
    save(tmp_path / "faces.csv", rows_of(film))
    assert run(["timeline", "faces.csv", str(film)]) == 0
    assert capsys.readouterr().err.startswith("film_timeline.html: ")
    assert Page((tmp_path / "film_timeline.html").read_text()).data["tracks"][1]["faces"]
    assert run(["timeline", "faces.csv", "film.mp4", "--no-thumbnails", "-o", "small.html", "-q"]) == 0
    save(tmp_path / "photos.csv", [], FACE)
    (tmp_path / "film.mp4").write_text("no film")
    for words, said in [
        (["photos.csv", "film.mp4"], "is none of films' faces: it lacks the columns frame, time, track"),
        (["faces.csv", "film.mp4", "-o", "page.txt"], "must end in .html"),
        (["faces.csv", "film.mp4", "-o", "faces.html/page.html"], "does not exist"),
        (["faces.csv", "film.mp4", "--from", "2", "--to", "1"], "--to must be after --from, 2 s, not 1 s"),
        (["faces.csv", "film.mp4", "--from", "1:00"], "no face of a track in the part that is asked for"),
    ]:
        assert run(["timeline", *words]) == 2
        assert said in capsys.readouterr().err
    assert run(["timeline", "faces.csv", "film.mp4"]) == 1
    assert "'film.mp4' is unsupported: is no film" in capsys.readouterr().err
    monkeypatch.setitem(sys.modules, "av", None)
    with pytest.raises(MissingExtraError, match=r"a page with thumbnails needs av, .* pip install 'fer-fast\[video\]'"):
        timeline_page("faces.csv", str(film))
    assert timeline_page("faces.csv", str(film), thumbnails=False)
