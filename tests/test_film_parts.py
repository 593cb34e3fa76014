"""Parts of a film: from a time on, up to one, and some frames of all; their numbers are those of the whole film."""

from __future__ import annotations

from fractions import Fraction
from itertools import chain, pairwise
from pathlib import Path
from typing import Any

import av
import pytest
from films import number_in, save_film

from fer_fast.films import reading
from fer_fast.films.film import Film

COUNT = 40
WRITTEN: dict[str, dict[str, Any]] = {
    "film.mp4": {},
    "film.mkv": {},
    "film.ts": {"sound": 0.2},
    "film.avi": {"codec": "mpeg4"},
    "between.avi": {},
    "vp8.webm": {"codec": "libvpx", "options": {"auto-alt-ref": "1", "lag-in-frames": "10", "b": "200k"}},
    "open.mp4": {"codec": "libx265"},
    "film.gif": {"codec": "gif", "pix_fmt": "rgb8"},
    "raw.h264": {},
    "late.mkv": {"stamps": range(250, 250 + COUNT)},
}


def numbers(path: Path, **options: Any) -> list[int]:
    found = []
    with Film(path, **options) as film:
        for frame in film.frames():
            assert number_in(frame.rgb()) == frame.number == round(25 * frame.time)
            found.append(frame.number)
        assert film.fault is None and film.lost == 0
    return found


@pytest.mark.parametrize("name", WRITTEN)
def test_stretches_make_up_the_film(name: str, tmp_path: Path) -> None:
    path = save_film(tmp_path / name, COUNT, **WRITTEN[name])
    times = [None, 0.02, 0.32, 0.36, 0.9, 1.441, None]
    stretches = [numbers(path, start=start, end=end) for start, end in pairwise(times)]
    assert [*map(len, stretches)] == [1, 7, 1, 14, 14, 3] and [*chain(*stretches)] == [*range(COUNT)]
    assert numbers(path, start=99) == [] == numbers(path, start=1.561, end=5)


@pytest.mark.parametrize("name", ["film.mp4", "film.ts", "film.mkv"])
def test_a_film_that_is_renewed_bit_by_bit_is_decoded_from_its_beginning(name: str, tmp_path: Path) -> None:
    refreshed = {"x264-params": "log-level=none:keyint=16:intra-refresh=1:scenecut=0:threads=1:bframes=0"}
    path = save_film(tmp_path / name, COUNT, options=refreshed)
    with av.open(str(path)) as container:
        assert [packet.is_keyframe for packet in container.demux(video=0)].count(True) > 1, "or so its container says"
    assert numbers(path, start=1) == [*range(25, COUNT)]
    assert numbers(path, every="keyframes") == [0]


@pytest.mark.parametrize("name", ["film.mp4", "film.ts", "film.mkv"])
def test_key_frames_that_earlier_shown_ones_are_predicted_from(name: str, tmp_path: Path) -> None:
    opened = {"x264-params": "log-level=none:keyint=8:min-keyint=1:open-gop=1:scenecut=0:threads=1:bframes=2:b-adapt=0"}
    path = save_film(tmp_path / name, COUNT, options=opened)
    keys = numbers(path, every="keyframes")
    assert len(keys) > 3 and keys[0] == 0
    for start in range(COUNT):
        assert numbers(path, start=start / 25) == [*range(start, COUNT)]


@pytest.mark.parametrize("name", ["film.mp4", "film.ts", "between.avi"])
def test_what_is_kept_while_reading_to_the_start_is_bounded(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = save_film(tmp_path / name, COUNT, **WRITTEN[name], key_every=COUNT)
    monkeypatch.setattr(reading, "_KEPT", 100)
    assert numbers(path, start=1.2) == [*range(30, COUNT)]


@pytest.mark.parametrize("name", ["film.mp4", "film.ts"])
def test_some_frames_of_all(name: str, tmp_path: Path) -> None:
    path = save_film(tmp_path / name, COUNT, **WRITTEN[name])
    assert numbers(path, every="7f") == [*range(0, COUNT, 7)]
    assert numbers(path, every="7f", start=0.5) == [14, 21, 28, 35], "counted from the film's beginning"
    assert numbers(path, every="1f") == numbers(path, every="0.001s") == [*range(COUNT)]
    assert numbers(path, every="0.2s") == [*range(0, COUNT, 5)]
    assert numbers(path, every="0.5s", start=0.5, end=1.1) == [13, 25]
    assert numbers(path, every="0.1s") == [0, 3, 5, 8, 10, 13, 15, 18, 20, 23, 25, 28, 30, 33, 35, 38]
    assert numbers(path, every="3s") == [0]


@pytest.mark.parametrize("name", ["film.mp4", "film.mkv", "film.ts", "between.avi", "vp8.webm", "open.mp4", "raw.h264"])
def test_key_frames_alone(name: str, tmp_path: Path) -> None:
    path = save_film(tmp_path / name, COUNT, **WRITTEN[name])
    assert numbers(path, every="keyframes") == [0, 8, 16, 24, 32]
    assert numbers(path, every="keyframes", start=0.33, end=1) == [16, 24]


def test_a_step_follows_the_times_of_a_variable_rate(tmp_path: Path) -> None:
    stamps = [0, 400, 499, 500, 501, 999, 1700, 1999, 2000]
    path = save_film(tmp_path / "film.mkv", len(stamps), stamps=stamps, unit=Fraction(1, 1000))
    with Film(path, every="0.5s") as film:
        assert [frame.number for frame in film.frames()] == [0, 3, 6, 8]


@pytest.mark.parametrize(
    ("options", "error", "said"),
    [
        ({"start": -1}, ValueError, "start must be seconds from the film's beginning, a number of 0 or more, not -1"),
        ({"end": float("nan")}, ValueError, "end must be seconds .* not nan"),
        ({"start": "1"}, TypeError, "start must be seconds .* not '1'"),
        ({"end": True}, TypeError, "end must be seconds .* not True"),
        ({"start": 2, "end": 2}, ValueError, "end must be after start, 2 s, by a millisecond or more, not 2 s"),
        ({"end": 0}, ValueError, "end must be after start, 0 s, "),
        (
            {"every": "0s"},
            ValueError,
            'every must be as "0.5s" or "5f", of a number above 0, or "keyframes", not \'0s\'',
        ),
        (
            {"start": 1e306},
            ValueError,
            "start must be seconds from the film's beginning, a number of 0 or more, not 1e",
        ),
        (
            {"end": 10**400},
            ValueError,
            "end must be seconds from the film's beginning, a number of 0 or more, not 1000",
        ),
        ({"every": "0f"}, ValueError, "not '0f'"),
        ({"every": "1.5f"}, ValueError, "not '1.5f'"),
        ({"every": "keys"}, ValueError, "not 'keys'"),
        ({"every": 5}, TypeError, 'every must be as "0.5s", "5f" or "keyframes", not 5'),
        ({"threads": 0}, ValueError, "threads must be at least 1, not 0"),
        ({"threads": 1.5}, TypeError, "threads must be an integer of 1 or more, not 1.5"),
    ],
)
def test_arguments_that_are_none_are_refused(options: Any, error: type[Exception], said: str, tmp_path: Path) -> None:
    with pytest.raises(error, match=said):
        Film(tmp_path / "none.mp4", **options)
