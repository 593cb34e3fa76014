"""Films and photos come in, one table goes out: known frames, times and tracks, and rows that say what is damaged."""

from __future__ import annotations

import io
import sys
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from decoding import until
from film_runs import Shades, classified, passing, save, save_photo
from films import save_sound
from shade_faces import SureFinder
from tables import read
from threads_left import threads_left

from fer_fast import EMOTIONS, FerFastError, MissingExtraError, Prediction, classify_rows
from fer_fast.films.smoothing import Smoother
from fer_fast.types import StalledError

FRAMES = 50
BEGUN = ("fer-fast-film", "fer-fast-faces", "fer-fast-model")
COLUMNS = [
    *("path", "status", "error", "face", "x", "y", "width", "height", "score", "frame", "time", "track"),
    *("label", "confidence", *(f"p_{name}" for name in EMOTIONS)),
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A photo, a film of 25 seconds, in the last five of which nobody is seen, and another photo."""
    made = tmp_path_factory.mktemp("films") / "inputs"
    made.mkdir()
    save_photo(made / "a.png", [(120, 10, 10, 30)])
    save(made / "b.mkv", [passing(number, FRAMES) if number < 40 else [] for number in range(FRAMES)])
    save_photo(made / "c.png", [])
    (made / "notes.ts").write_text("export {}")
    return made


def of_film(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [row for row in rows if row["path"].endswith((".mkv", ".mp4"))]


def test_photos_and_films_are_in_one_table_in_the_order_of_the_inputs(folder: Path, tmp_path: Path) -> None:
    summary = classified(folder, tmp_path / "out.parquet")
    rows = read(tmp_path / "out.parquet")
    assert list(rows[0]) == COLUMNS
    assert [Path(row["path"]).name for row in rows] == ["a.png", *["b.mkv"] * 80, "c.png"]
    for row in (rows[0], rows[-1]):
        assert row["frame"] is row["time"] is row["track"] is None
    assert (rows[0]["status"], rows[-1]["status"]) == ("ok", "no_face")
    found = of_film(rows)
    assert [row["frame"] for row in found] == [number for number in range(40) for _ in range(2)]
    assert [row["time"] for row in found] == [number / 2 for number in range(40) for _ in range(2)]
    assert [row["face"] for row in found] == [0, 1] * 40, "the larger one first"
    assert {(row["width"], row["track"]) for row in found} == {(20, 0), (28, 1)}
    for row in found:
        (shade, x, y, _) = next(box for box in passing(row["frame"], FRAMES) if box[3] == row["width"])
        assert (row["x"], row["y"]) == (x, y) and row["p_neutral"] * 255 == pytest.approx(shade, abs=10)
    counts = (summary.photos, summary.films, summary.new_films, summary.frames, summary.faces, summary.no_face)
    assert counts == (2, 1, 1, FRAMES, 81, 1)


def test_rows_come_without_a_table(folder: Path) -> None:
    classifier = Shades()
    rows = list(classify_rows(folder, classifier, finder=SureFinder(160), every="5s"))
    assert [Path(row.path).name for row in rows] == ["a.png", *["b.mkv"] * 8, "c.png"]
    assert [row.cells[6:] for row in rows[1:-1:2]] == [(number, number / 2, 1) for number in (0, 10, 20, 30)]
    assert not classifier.closed
    begun = classify_rows(folder, classifier, finder=SureFinder(160))
    assert [next(begun).path, next(begun).path] == [str(folder / name) for name in ("a.png", "b.mkv")]
    begun.close()
    until(lambda: not threads_left(*BEGUN))
    classifier.close()


@pytest.mark.parametrize(
    ("part", "frames"),
    [
        ({"every": "3s"}, [0, 6, 12, 18, 24, 30, 36]),
        ({"every": "7f"}, [0, 7, 14, 21, 28, 35]),
        ({"every": "keyframes", "start": 4}, [10, 15, 20, 25, 30, 35]),
        ({"start": 18.5, "end": 20.5}, [37, 38, 39]),
        ({"start": 18.5, "end": 20.5, "empty_frames": True}, [37, 38, 39, 40]),
    ],
)
def test_a_part_of_a_film(part: dict[str, Any], frames: list[int], folder: Path, tmp_path: Path) -> None:
    classified(folder / "b.mkv", tmp_path / "out.csv", faces="largest", **part)
    rows = read(tmp_path / "out.csv")
    assert [int(row["frame"]) for row in rows] == frames
    assert [float(row["time"]) for row in rows] == [number / 2 for number in frames]
    assert [row["status"] for row in rows] == ["ok" if number < 40 else "no_face" for number in frames]


def test_averages_of_a_track_stand_beside_what_they_are_of(folder: Path, tmp_path: Path) -> None:
    classified(folder / "b.mkv", tmp_path / "out.jsonl", faces="largest", smooth=2.0)
    smoother = Smoother(2.0)
    for row in read(tmp_path / "out.jsonl"):
        own = np.array([row[f"p_{name}"] for name in EMOTIONS], np.float32)
        (average,) = smoother.update(row["time"], [row["track"]], [Prediction(EMOTIONS, own)])
        assert average is not None
        shown = [row[f"smooth_{name}"] for name in EMOTIONS]
        assert shown == pytest.approx(average.probabilities.tolist(), abs=2e-6)


def test_a_film_that_is_none_or_damaged_says_so_in_a_row(folder: Path, tmp_path: Path) -> None:
    content = (folder / "b.mkv").read_bytes()
    (tmp_path / "cut.mkv").write_bytes(content[: len(content) // 2])
    (tmp_path / "empty.mkv").touch()
    (tmp_path / "text.mkv").write_text("no film" * 100)
    save(tmp_path / "nobody.mkv", [[]] * 3)
    save_sound(tmp_path / "sound.m4a").rename(tmp_path / "sound.mp4")
    summary = classified(tmp_path, tmp_path / "out.csv")
    rows = read(tmp_path / "out.csv")
    whole = [row for row in rows if row["path"].endswith("cut.mkv")]
    last = whole.pop()
    assert (last["status"], last["frame"]) == ("corrupt", "") and last["error"].startswith("at ")
    assert [int(row["frame"]) for row in whole] == [number for number in range(len(whole) // 2) for _ in range(2)]
    assert 20 < len(whole) < 60 and float(last["error"].split()[1]) >= float(whole[-1]["time"])
    others = {Path(row["path"]).name: row["status"] for row in rows if not row["path"].endswith("cut.mkv")}
    assert others == {
        "empty.mkv": "empty",
        "nobody.mkv": "no_face",
        "sound.mp4": "unsupported",
        "text.mkv": "unsupported",
    }
    assert (summary.films, summary.failed, summary.faultless) == (5, 4, False)


def test_a_run_without_films_is_as_it_was(folder: Path, tmp_path: Path) -> None:
    classified([folder / "a.png", folder / "c.png"], tmp_path / "out.csv", faces="all")
    assert list(read(tmp_path / "out.csv")[0]) == [name for name in COLUMNS if name not in ("frame", "time", "track")]
    summary = classified(folder, tmp_path / "crops.csv", faces="none", finder=None)
    assert summary.skipped == {".mkv": 1, ".ts": 1} and summary.films == 0
    summary = classified(folder, tmp_path / "photos.csv", films=False, faces="all")
    assert summary.skipped == {".mkv": 1, ".ts": 1} and summary.photos == 2


@pytest.mark.parametrize(
    ("options", "error", "sentence"),
    [
        ({"faces": "none"}, ValueError, "faces are found in films such as .*b.mkv': faces must be all or largest"),
        ({"faces": "none", "films": True}, ValueError, "faces must be all or largest, not 'none'"),
        ({"every": "0.5"}, ValueError, "every must be as"),
        ({"start": 2, "end": 1}, ValueError, "end must be after start"),
        ({"smooth": -1}, ValueError, "smooth must be a number of 0 or more"),
        ({"empty_frames": 1}, TypeError, "empty_frames must be True or False, not 1"),
    ],
)
def test_what_cannot_be_is_refused_before_there_is_a_trace(
    options: dict[str, Any], error: type[Exception], sentence: str, folder: Path, tmp_path: Path
) -> None:
    finder = None if options.get("faces") == "none" else SureFinder(160)
    with pytest.raises(error, match=sentence):
        classified(folder / "b.mkv", tmp_path / "out.csv", **{"finder": finder, **options})
    assert not list(tmp_path.iterdir())


def test_options_of_films_need_films(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="every is for films, and there is none among the inputs"):
        classified(folder / "a.png", tmp_path / "out.csv", faces="all", every="5f")


def test_without_pyav_named_films_are_refused_and_found_ones_left_out(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setitem(sys.modules, "av", None)
    for named in (folder / "b.mkv", str(folder / "b*.mkv")):
        with pytest.raises(MissingExtraError, match=r"the film '.*b.mkv' needs av, .*'fer-fast\[video\]'"):
            classified(named, tmp_path / "out.csv")
    summary = classified(folder, tmp_path / "out.csv", faces="all")
    assert "1 film in the folders is left out, for want of pip install 'fer-fast[video]'" in caplog.text
    assert summary.photos == 2 and summary.skipped[".mkv"] == 1


def test_a_table_on_a_stream(folder: Path, tmp_path: Path) -> None:
    stream = io.BytesIO()
    classified(folder, stream, every="5f")
    classified(folder, tmp_path / "out.csv", every="5f")
    assert stream.getvalue() == (tmp_path / "out.csv").read_bytes()


def test_what_fails_ends_the_run_and_leaves_no_thread(folder: Path, tmp_path: Path) -> None:
    finder = SureFinder(160)
    finder.fails = FerFastError("no card")
    with pytest.raises(FerFastError, match="no card"):
        classified(folder / "b.mkv", tmp_path / "out.csv", finder=finder)
    with pytest.raises(FerFastError, match="the model failed on a batch of 4 images: out of"):
        classified(folder / "b.mkv", tmp_path / "out.csv", classifier=Shades(fail_at=3))
    until(lambda: not threads_left(*BEGUN))


def test_a_film_that_stands_still_ends_the_run(folder: Path, tmp_path: Path) -> None:
    finder, going_on = SureFinder(160), threading.Event()
    find_in = finder.find_in

    def stuck(pixels: Any) -> Any:
        if len(finder.seen) > 10:
            going_on.wait(60)
        return find_in(pixels)

    finder.find_in = stuck
    try:
        with pytest.raises(StalledError, match=r"the next frame has not come for 0\.5 seconds"):
            classified(folder / "b.mkv", tmp_path / "out.csv", finder=finder, stall_timeout=0.5)
    finally:
        going_on.set()
