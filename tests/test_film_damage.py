"""A film that was cut off or is damaged gives its good frames, and says where and why others are lost."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from films import number_in, save_film

from fer_fast.films.film import Film
from fer_fast.types import DecodeError, Status

COUNT = 48
#: Films, and whether their container says how many frames there should be.
CUT: dict[str, tuple[dict[str, Any], bool]] = {
    "first.mp4": ({"container_options": {"movflags": "faststart"}}, True),
    "last.mp4": ({}, True),
    "fragments.mp4": ({"container_options": {"movflags": "frag_keyframe+empty_moov"}}, False),
    "film.mkv": ({}, False),
    "sound.mkv": ({"sound": 0.0}, False),
    "film.avi": ({"codec": "mpeg4"}, True),
    "between.avi": ({}, True),
    "vp9.webm": ({"codec": "libvpx-vp9"}, False),
    "av1.mp4": ({"codec": "libsvtav1", "container_options": {"movflags": "faststart"}}, True),
}


def good(path: Path, **options: Any) -> tuple[list[int], Film]:
    """The numbers of the frames that are given: each shows its own, at its own time."""
    with Film(path, **options) as film:
        numbers = []
        for frame in film.frames():
            assert number_in(frame.rgb()) == frame.number == round(25 * frame.time)
            numbers.append(frame.number)
    return numbers, film


@pytest.mark.parametrize("name", CUT)
def test_a_film_that_was_cut_off_gives_what_is_there(name: str, tmp_path: Path) -> None:
    options, is_counted = CUT[name]
    path = save_film(tmp_path / name, COUNT, **options)
    content = path.read_bytes()
    given = [COUNT]
    for tenth in range(10, 0, -1):
        path.write_bytes(content[: len(content) * tenth // 11])
        lacking = len(content) - path.stat().st_size
        try:
            numbers, film = good(path)
        except DecodeError as error:
            assert error.status is Status.CORRUPT and error.stamp is not None
            assert str(error).startswith("the file ends ") and str(error).endswith(" bytes too soon")
            given.append(0)
            continue
        assert numbers == [*range(len(numbers))]
        assert film.fault is not None and film.fault.status is Status.CORRUPT and lacking
        assert str(film.fault).startswith("at ")
        assert film.lost + len(numbers) == COUNT if is_counted else film.lost + len(numbers) <= COUNT
        given.append(len(numbers))
    assert given == sorted(given, reverse=True) and (given[1] > 24 or name == "last.mp4")


@pytest.mark.parametrize("name", ["film.ts", "film.flv"])
def test_what_a_container_does_not_say_is_not_made_up(name: str, tmp_path: Path) -> None:
    path = save_film(tmp_path / name, COUNT)
    content = path.read_bytes()
    for tenth in range(5, 11):
        path.write_bytes(content[: len(content) * tenth // 11])
        with Film(path) as film:
            shown = [(number_in(frame.rgb()), round(25 * frame.time)) for frame in film.frames()]
        assert shown and all(number == at for number, at in shown)


@pytest.mark.parametrize("threads", [1, 2, 4])
@pytest.mark.parametrize("place", [10, 17, 22, 30])
def test_after_damage_frames_are_given_from_the_next_key_frame_on(place: int, threads: int, tmp_path: Path) -> None:
    import av

    path = save_film(tmp_path / "film.mp4", COUNT)
    with av.open(str(path)) as container:
        packets = {packet.pts: (packet.pos, packet.size) for packet in container.demux(video=0) if packet.size}
    at, size = packets[sorted(packets)[place]]
    assert at is not None
    content = bytearray(path.read_bytes())
    content[at : at + size] = np.random.default_rng(place).bytes(size)
    path.write_bytes(content)
    numbers, film = good(path, threads=threads)
    after = (place // 8 + 1) * 8
    assert {*range(after, COUNT)} <= {*numbers} <= {*range(COUNT)} - {place}
    assert {*range(place // 8 * 8 - 2)} <= {*numbers}, "all that is before, but for what may wait to be shown"
    assert film.lost == COUNT - len(numbers)
    assert film.fault is not None and abs(float(str(film.fault).split()[1]) - place / 25) < 0.33


def test_a_film_that_begins_between_key_frames_is_given_from_the_first_on(tmp_path: Path) -> None:
    path = save_film(tmp_path / "film.ts", COUNT)
    content = path.read_bytes()
    path.write_bytes(content[len(content) // 3 // 188 * 188 :])
    with Film(path) as film:
        shown = [number_in(frame.rgb()) for frame in film.frames()]
    assert shown == [*range(shown[0], COUNT)] and shown[0] in (16, 24)


def test_a_film_that_is_renewed_bit_by_bit_may_begin_anywhere(tmp_path: Path) -> None:
    """As what is recorded of a broadcast does: its first frames only make the picture whole."""
    refreshed = {"x264-params": "log-level=none:keyint=10:intra-refresh=1:scenecut=0:threads=1:bframes=0"}
    path = save_film(tmp_path / "film.mp4", 60, stamps=[number - 30 for number in range(60)], options=refreshed)
    with Film(path) as film:
        shown = [(number_in(frame.rgb()) - 30, frame.number) for frame in film.frames()]
    first = shown[0][1]
    assert shown == [(number, number) for number in range(first, 30)] and 0 < first <= 12
    assert film.lost == first and str(film.fault) == "at 0.000 s: a frame cannot be decoded"


def test_key_frames_that_are_said_to_be_shown_before_the_film_are_no_beginning(tmp_path: Path) -> None:
    """Damage in MP4's table of how much later frames are shown than decoded has put most of them ages earlier."""
    path = save_film(tmp_path / "film.mp4", 40, sound=0.0)
    content = bytearray(path.read_bytes())
    place = content.index(b"ctts") + 31
    content[place : place + 8] = bytes([28, 203, 26, 233, 185, 143, 73, 2])
    path.write_bytes(content)
    with Film(path) as film:
        shown = [number_in(frame.rgb()) for frame in film.frames()]
    assert shown and film.fault is not None and film.fault.status is Status.CORRUPT


def test_a_film_keeps_reading_where_another_stream_begins_late(tmp_path: Path) -> None:
    """Sound of which the head of FLV says nothing, 300 s behind it: a tag of A-law."""
    path = save_film(tmp_path / "film.flv", 40, rate=Fraction(1, 10))
    content = path.read_bytes()
    place = 13
    while int.from_bytes(content[place + 4 : place + 7], "big") < 300_000:
        place += 15 + int.from_bytes(content[place + 1 : place + 4], "big")
    head = b"\x08" + (100).to_bytes(3, "big") + (300_000).to_bytes(3, "big") + bytes(4)
    path.write_bytes(content[:place] + head + b"\x72" + bytes(99) + (111).to_bytes(4, "big") + content[place:])
    with Film(path) as film:
        assert [number_in(frame.rgb()) for frame in film.frames()] == [*range(40)] and film.fault is None


def test_a_place_that_cannot_be_is_damage_and_nothing_is_printed(tmp_path: Path, capfd: Any) -> None:
    """A fragment whose frames are said to lie where no file reaches."""
    path = save_film(tmp_path / "film.mp4", COUNT, **CUT["fragments.mp4"][0])
    content = bytearray(path.read_bytes())
    place = content.rindex(b"tfhd") + 12
    content[place : place + 8] = (2**60).to_bytes(8, "big")
    path.write_bytes(content)
    numbers, film = good(path)
    assert numbers == [*range(40)] and film.fault is not None and film.fault.status is Status.CORRUPT
    assert capfd.readouterr() == ("", "")


def test_damage_that_leaves_nothing_is_told(tmp_path: Path) -> None:
    path = save_film(tmp_path / "film.mp4", 6)
    content = bytearray(path.read_bytes())
    begin = content.index(b"mdat") + 4
    end = content.index(b"moov") - 4
    content[begin:end] = bytes(end - begin)
    path.write_bytes(content)
    with pytest.raises(DecodeError) as raised:
        Film(path)
    assert raised.value.status is Status.CORRUPT and raised.value.stamp is not None


def test_damage_behind_the_end_is_not_looked_for(tmp_path: Path) -> None:
    path = save_film(tmp_path / "film.mkv", COUNT)
    path.write_bytes(path.read_bytes()[:-200])
    numbers, film = good(path, end=0.8)
    assert numbers == [*range(20)] and film.fault is None
    assert good(path)[1].fault is not None
