"""`find_every`: faces between two looks are where they would have been found, and who comes or goes is looked for."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from film_runs import Boxes, Shades, classified, passing, save
from shade_faces import SureFinder
from tables import read

from fer_fast import FerFastError, FrameFaces, classify_video
from fer_fast.cli.command import run

SIZE = (160, 96)


def looked_at(path: Path, finder: SureFinder | None = None, **options: Any) -> list[FrameFaces]:
    classifier = Shades()
    before = threading.active_count()
    try:
        return [*classify_video(path, classifier, finder=finder or SureFinder(160), **options)]
    finally:
        classifier.close()
        assert threading.active_count() <= before, "threads are left"


def even(number: int) -> Boxes:
    """A face that moves two pixels a frame, and one that stays."""
    return [(70, 10 + 2 * number, 8, 20), (220, 100, 50, 28)]


def values(frames: list[FrameFaces]) -> np.ndarray:
    """Boxes, landmarks, tracks and shades of two faces a frame."""
    return np.array(
        [
            [
                (each.face.x, each.face.y, each.face.width, *np.ravel(each.face.landmarks), each.track)
                for each in frame.faces
            ]
            for frame in frames
        ]
    )


@pytest.mark.parametrize("every", [2, 3, 5, 10])
def test_faces_between_two_looks_are_where_they_would_be_found(every: int, tmp_path: Path) -> None:
    path = save(tmp_path / "film.mkv", [even(number) for number in range(31)], rate=25)
    whole = looked_at(path)
    finder = SureFinder(160)
    some = looked_at(path, finder, find_every=every)
    assert [(each.frame, each.time) for each in some] == [(each.frame, each.time) for each in whole]
    assert values(some) == pytest.approx(values(whole), abs=0.01)
    for one, other in zip(some, whole, strict=True):
        for face, same in zip(one.faces, other.faces, strict=True):
            assert face.face.prediction is not None and same.face.prediction is not None
            assert face.face.prediction.probabilities == pytest.approx(same.face.prediction.probabilities, abs=0.06)
    assert len(finder.seen) == -(-31 // every) + (31 - 1) % every


def test_between_looks_at_which_somebody_came_or_went_all_are_looked_at(tmp_path: Path) -> None:
    frames = [even(number)[:1] if 10 <= number < 14 else even(number) for number in range(25)]
    path = save(tmp_path / "film.mkv", frames, rate=25)
    finder = SureFinder(160)
    some, whole = looked_at(path, finder, find_every=4), looked_at(path)
    assert [len(each.faces) for each in some] == [len(each) for each in frames]
    tracks = [[[each.track for each in frame.faces] for frame in seen] for seen in (some, whole)]
    assert tracks[0] == tracks[1]
    assert len(finder.seen) == 7 + 2 * 3  # between 8 and 12, and between 12 and 16


def test_who_comes_and_goes_between_two_looks_is_not_found_and_nobody_else_is_made_up(tmp_path: Path) -> None:
    frames = [[(220, 100, 50, 28)] if number in (5, 6) else [] for number in range(17)]
    path = save(tmp_path / "film.mkv", frames, rate=25)
    finder = SureFinder(160)
    assert [len(each.faces) for each in looked_at(path, finder, find_every=4)] == [0] * 17 and len(finder.seen) == 5
    assert [len(each.faces) for each in looked_at(path, find_every=3)] == [len(each) for each in frames]


@pytest.mark.parametrize("part", [{}, {"every": "3f"}, {"every": "2s", "start": 3.2}, {"end": 19.0}])
def test_a_table_has_what_frames_have_whatever_its_sections(part: dict[str, Any], tmp_path: Path) -> None:
    path = save(tmp_path / "film.mkv", [passing(number, 90) for number in range(90)])
    classified(path, tmp_path / "out.csv", find_every=4, **part)
    rows = [(int(row["frame"]), round(float(row["x"]), 6)) for row in read(tmp_path / "out.csv")]
    some = looked_at(path, find_every=4, **part)
    assert rows == [(frame.frame, round(each.face.x, 6)) for frame in some for each in frame.faces]
    assert len(rows) == 2 * len(looked_at(path, **part))


def test_what_a_finder_raises_comes_behind_the_frames_before(tmp_path: Path) -> None:
    path = save(tmp_path / "film.mkv", [even(number) for number in range(20)], rate=25)

    class Failing(SureFinder):
        def find_in(self, pixels: Any) -> Any:
            if len(self.seen) == 3:
                raise FerFastError("the finder fails")
            return super().find_in(pixels)

    classifier, seen = Shades(workers=1), []
    with pytest.raises(FerFastError, match="the finder fails"):
        for frame in classify_video(path, classifier, finder=Failing(160), find_every=4):
            seen.append(frame.frame)
    assert seen == [*range(9)]
    classifier.close()


@pytest.mark.parametrize(
    ("number", "kind", "said"),
    [
        (0, ValueError, "find_every must be from 1 to 10, not 0"),
        (11, ValueError, "find_every must be from 1 to 10, not 11"),
        (2.0, TypeError, "find_every must be an integer from 1 to 10, not 2.0"),
        (True, TypeError, "not True"),
        ("2", TypeError, "not '2'"),
    ],
)
def test_what_is_no_step_is_refused(number: Any, kind: type[Exception], said: str, tmp_path: Path) -> None:
    with pytest.raises(kind, match=said):
        classify_video("film.mkv", find_every=number)
    with pytest.raises(kind, match=said):
        classified(tmp_path, tmp_path / "out.csv", find_every=number)


def test_the_command_has_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "a.png").touch()
    for words, said in [
        (["--find-every", "11"], "find_every must be from 1 to 10, not 11"),
        (["--find-every", "2"], "--find-every is for films, and there is none among the inputs"),
    ]:
        assert run(["classify", str(tmp_path / "a.png"), "-o", str(tmp_path / "out.csv"), *words]) == 2
        assert said in capsys.readouterr().err
