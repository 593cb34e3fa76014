"""Faces that move by known laws keep their numbers: each film's people are known, and so are their numbers."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from moving_faces import Look, Path, during, face, line, looks, regular, sway, switches

from fer_fast.films.tracks import Tracker

Numbers = list[list[int | None]]
#: Looks of 12 seconds: so many a second, or two fifths of 25 a second by chance.
TIMES = {
    "25": regular(25, 12),
    "12": regular(12, 12),
    "5": regular(5, 12),
    "uneven": [
        time for time, kept in zip(regular(25, 12), np.random.default_rng(4).random(300), strict=True) if kept < 0.4
    ],
}
every_rate = pytest.mark.parametrize("times", TIMES.values(), ids=TIMES.keys())


def followed(seen: list[Look], tracker: Tracker | None = None) -> Numbers:
    tracker = tracker or Tracker()
    return [tracker.update(look.time, look.faces) for look in seen]


def numbers(seen: list[Look], found: Numbers) -> dict[int, list[int]]:
    """Of each person its numbers, in order, each once."""
    had: dict[int, list[int]] = {}
    for look, tracks in zip(seen, found, strict=True):
        for person, track in zip(look.people, tracks, strict=True):
            if track is not None and track not in had.setdefault(person, []):
                had[person].append(track)
    return had


@every_rate
def test_faces_that_cross_keep_their_numbers(times: list[float]) -> None:
    """The smaller one is hidden meanwhile."""
    paths = [line(100, 300, 100, across=80), line(1100, 315, 90, across=-80)]
    seen = looks(paths, times, tremble=0.03, missed=0.03, seed=1)
    hidden = [look.time for look in seen if look.people == [0] and 6.1 < look.time < 6.4]
    assert hidden
    assert numbers(seen, followed(seen)) == {0: [0], 1: [1]}


def test_a_face_that_is_hidden_for_some_frames_keeps_its_number() -> None:
    paths = [sway(200, 200, 80, 0.3, 3), line(500, 200, 60, across=30), during(line(700, 300, 70), 0, 2.2)]
    seen = looks(paths, regular(25, 6), tremble=0.02)
    for look in seen:  # the second is not found from 1 to 1.8 seconds
        if 1 <= look.time < 1.8:
            place = look.people.index(1)
            del look.people[place], look.faces[place]
    assert numbers(seen, followed(seen)) == {0: [0], 1: [1], 2: [2]}


@pytest.mark.parametrize(("away", "same"), [(0.9, True), (1.0, True), (1.2, False)])
def test_a_track_ends_when_patience_does(away: float, same: bool) -> None:
    tracker = Tracker(patience=1.0)
    assert tracker.update(0, [face(100, 100, 50)]) == [0]
    for number in range(1, round(away * 10)):
        assert tracker.update(number / 10, []) == []
    assert tracker.update(away, [face(100, 100, 50)]) == [0 if same else 1]


@pytest.mark.parametrize(("last", "same"), [(1.0, True), (1.01, False)])
def test_it_ends_at_a_look_without_its_face(last: float, same: bool) -> None:
    tracker = Tracker(patience=1.0)
    tracker.update(0, [face(100, 100, 50)])
    tracker.update(last, [])
    assert tracker.update(1.1, [face(100, 100, 50)]) == [0 if same else 1]


def test_no_number_is_used_again() -> None:
    tracker = Tracker(patience=0)
    found = []
    for number in range(6):
        found += tracker.update(number, [face(100, 100, 50)] if number % 2 == 0 else [])
    assert found == [0, 1, 2]


@every_rate
def test_people_who_come_and_go_are_numbered_as_they_come(times: list[float]) -> None:
    paths: list[Path] = [
        during(line(-100 - 200 * (2 * n), 150 + 90 * n, 80 - 5 * n, across=200), 2 * n + 0.4, 2 * n + 6)
        for n in range(4)
    ]
    seen = looks(paths, times, tremble=0.03, missed=0.03, seed=2)
    assert numbers(seen, followed(seen)) == {person: [person] for person in range(4)}


@every_rate
@pytest.mark.parametrize("count", [2, 8])
def test_a_camera_that_shakes_changes_no_number(times: list[float], count: int) -> None:
    paths = [sway(150 + 260 * (n % 4), 200 + 280 * (n // 4), 90 - 5 * n, 0.4, 3 + 0.4 * n, n) for n in range(count)]
    seen = looks(paths, times, tremble=0.03, missed=0.05, shake=6, seed=count)
    assert set(map(len, numbers(seen, followed(seen)).values())) == {1}


def test_a_knock_against_the_camera_changes_no_number() -> None:
    paths = [line(200 + 180 * n, 200, 80) for n in range(5)]
    before, after = looks(paths, regular(25, 1)), looks([line(240 + 180 * n, 180, 80) for n in range(5)], [1.0, 1.04])
    seen = before + after
    assert numbers(seen, followed(seen)) == {person: [person] for person in range(5)}


def test_somebody_fast_is_followed_at_5_looks_a_second() -> None:
    """Boxes that do not touch from one look to the next."""
    seen = looks([line(-50, 300, 90, across=450), line(600, 100, 60)], regular(5, 3))
    assert numbers(seen, followed(seen)) == {0: [0], 1: [1]}


def test_somebody_who_comes_nearer_is_the_same() -> None:
    seen = looks(
        [line(300, 300, 30, 10, 0, grow=1.6), line(900, 300, 200, -10, 0, grow=0.7)], regular(5, 4), tremble=0.03
    )
    assert numbers(seen, followed(seen)) == {0: [0], 1: [1]}


@pytest.mark.parametrize("seconds", [1.0, 5.0, 20.0])
def test_people_who_sit_are_the_same_at_looks_far_apart(seconds: float) -> None:
    """Whatever the patience: nobody looked meanwhile."""
    paths = [sway(200 + 300 * n, 300, 80, 0.5, 3.7, n) for n in range(4)]
    seen = looks(paths, [seconds * number for number in range(20)], tremble=0.03)
    assert numbers(seen, followed(seen)) == {person: [person] for person in range(4)}


def test_a_face_of_another_size_is_another() -> None:
    tracker = Tracker()
    assert tracker.update(0.0, [face(100, 100, 50)]) == [0]
    assert tracker.update(0.04, [face(100, 100, 150)]) == [1]


def test_a_low_score_continues_a_track_and_begins_none() -> None:
    tracker = Tracker(score=0.6)
    assert tracker.update(0.0, [face(100, 100, 50, 0.59), face(300, 100, 50, 0.6)]) == [None, 0]
    assert tracker.update(0.04, [face(100, 100, 50, 0.59), face(301, 100, 50, 0.3)]) == [None, 0]
    assert tracker.update(0.08, []) == []
    assert tracker.update(0.12, [face(302, 100, 50, 0.3)]) == [0]
    assert tracker.update(0.16, [face(100, 100, 50, 0.9), face(303, 100, 50, 0.3)]) == [1, 0]


def test_a_high_score_comes_first() -> None:
    """Though the low one is where the track is expected."""
    tracker = Tracker()
    tracker.update(0.0, [face(300, 100, 50)])
    assert tracker.update(0.04, [face(300, 100, 50, 0.5), face(312, 100, 50, 0.8)]) == [None, 0]


def test_somebody_half_hidden_keeps_a_number_by_low_scores() -> None:
    """A pillar covers a part of the face, for longer than patience."""
    seen = looks([sway(300, 200, 80, 0.2, 3)], regular(25, 6), tremble=0.02)
    low = [look._replace(faces=[replace(look.faces[0], score=0.4)]) if 1 < look.time < 4 else look for look in seen]
    assert numbers(low, followed(low)) == {0: [0]}
    gone = [look._replace(faces=[], people=[]) if 1 < look.time < 4 else look for look in seen]
    assert numbers(gone, followed(gone)) == {0: [0, 1]}


def test_new_faces_are_numbered_from_the_left() -> None:
    tracker = Tracker()
    assert tracker.update(0, [face(500, 10, 50), face(100, 90, 50), face(300, 50, 60)]) == [2, 0, 1]


def test_frames_without_faces() -> None:
    tracker = Tracker()
    assert [tracker.update(number / 25, []) for number in range(3)] == [[], [], []]
    assert tracker.update(1, [face(100, 100, 50)]) == [0]


#: Of so many faces in random places, that sway and hide each other, how often another number is seen at most.
CROWDS = {2: 0, 5: 0, 10: 8, 30: 40}


@every_rate
@pytest.mark.parametrize("count", CROWDS)
def test_a_crowd_changes_few_numbers(times: list[float], count: int) -> None:
    rng = np.random.default_rng(count)
    paths = [
        sway(*rng.uniform((100, 100), (1180, 620)).tolist(), *rng.uniform((50, 0.2, 2, 0), (90, 1.5, 6, 6)).tolist())
        for _ in range(count)
    ]
    seen = looks(paths, times, tremble=0.03, missed=0.03, seed=count)
    found = followed(seen)
    assert switches(seen, found) <= CROWDS[count]
    for tracks in found:
        given = [track for track in tracks if track is not None]
        assert len(given) == len({*given})


CROWD = [sway(150 + 130 * (n % 6), 150 + 140 * (n // 6), 70 + n, 0.9, 2 + 0.3 * n, n) for n in range(18)]


def test_the_order_of_faces_never_matters() -> None:
    seen = looks(CROWD, TIMES["uneven"], tremble=0.05, missed=0.1, shake=8, seed=7)
    rng = np.random.default_rng(8)
    shuffled = []
    for look in seen:
        order = rng.permutation(len(look.faces)).tolist()
        shuffled.append(Look(look.time, [look.faces[n] for n in order], [look.people[n] for n in order]))
    assert by_face(seen) == by_face(shuffled)


def by_face(seen: list[Look]) -> list[dict[Any, int | None]]:
    return [dict(zip(look.faces, tracks, strict=True)) for look, tracks in zip(seen, followed(seen), strict=True)]


def test_it_goes_on_from_its_state_to_the_same_numbers() -> None:
    """From each frame on: what was read is exactly what was written."""
    seen = looks(CROWD, TIMES["uneven"], tremble=0.05, missed=0.1, shake=8, seed=9)
    whole = Tracker(score=0.7, patience=0.5)
    halved = Tracker.of(json.loads(json.dumps(whole.state())))
    for look in seen:
        assert halved.update(look.time, look.faces) == whole.update(look.time, look.faces)
        halved = Tracker.of(json.loads(json.dumps(halved.state())))
        assert halved.state() == whole.state()


def test_what_is_over_is_not_kept() -> None:
    tracker = Tracker()
    for number in range(1500):
        tracker.update(number / 25, [face(37 * number % 1000, 61 * number % 700, 30)])
    assert tracker.state()["next"] > 1000
    assert len(tracker.state()["tracks"]) <= 27


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"score": 1.1}, r"score must be a number from 0 to 1, not 1\.1"),
        ({"patience": -1}, "patience must be a number of 0 or more, not -1"),
        ({"patience": math.nan}, "patience must be a number of 0 or more, not nan"),
    ],
)
def test_refused_numbers(arguments: dict[str, float], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        Tracker(**arguments)


def test_refused_frames_change_nothing() -> None:
    tracker = Tracker()
    tracker.update(1.0, [face(100, 100, 50)])
    before = tracker.state()
    for time in (0.9, math.nan, math.inf):
        with pytest.raises(ValueError, match=r"time must be finite and not before the last, 1\.0, not "):
            tracker.update(time, [])
    for wrong in (face(math.nan, 1, 1), face(1, 1, 0), face(1, 1, math.inf)):
        with pytest.raises(
            ValueError, match="faces must have finite boxes and scores, of a width and a height above 0"
        ):
            tracker.update(1.04, [wrong])
    assert tracker.state() == before
    assert tracker.update(1.0, [face(101, 100, 50)]) == [0]  # one time twice, as some files have it


@pytest.mark.parametrize("state", [{}, {"score": 1.0}, None, [], "state"])
def test_refused_states(state: Any) -> None:
    with pytest.raises(ValueError, match=r"state must be what Tracker\.state gave, not"):
        Tracker.of(state)
    with pytest.raises(ValueError, match=r"Tracker\.state"):
        Tracker.of(Tracker().state() | {"tracks": [[0, 1.0, 2.0]]})
