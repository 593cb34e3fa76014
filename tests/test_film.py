"""Each frame of a film comes out upright, whole, with its number and its time, whatever the film is written as."""

from __future__ import annotations

import io
import os
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from films import encodable, number_in, numbered, save_film, save_sound
from PIL import Image

from fer_fast.films.film import Film, FilmStream
from fer_fast.films.upright import Upright
from fer_fast.types import DecodeError, FerFastError, Status

KEYS = [0, 8, 16]
WRITTEN: dict[str, dict[str, Any]] = {
    "h264.mp4": {},
    "h264.mkv": {},
    "h264.ts": {},
    "h264.flv": {},
    "h264.avi": {},
    "h265.mp4": {"codec": "libx265", "pix_fmt": "yuv420p10le"},
    "av1.mp4": {"codec": "libsvtav1"},
    "vp8.webm": {"codec": "libvpx", "options": {"auto-alt-ref": "1", "lag-in-frames": "10", "b": "200k"}},
    "vp9.webm": {"codec": "libvpx-vp9"},
    "mpeg4.avi": {"codec": "mpeg4"},
    "mpeg2.mpg": {"codec": "mpeg2video"},
    "mjpeg.avi": {"codec": "mjpeg", "pix_fmt": "yuvj420p", "key_every": 1},
    "raw.h264": {},
    "raw.hevc": {"codec": "libx265"},
    "raw.m2v": {"codec": "mpeg2video"},
    "sound.mp4": {"sound": 0.0},
    "sound.mkv": {"sound": 0.0},
    "fragments.mp4": {"container_options": {"movflags": "frag_keyframe+empty_moov"}},
}


def told(film: Film) -> list[tuple[int, float, bool]]:
    """Number, time and key of each frame; what it shows is its number."""
    frames = []
    for frame in film.frames():
        assert number_in(frame.rgb()) == frame.number
        frames.append((frame.number, frame.time, frame.key))
    assert film.fault is None and film.lost == 0
    return frames


@pytest.mark.parametrize("name", WRITTEN)
@pytest.mark.parametrize("threads", [1, 3])
def test_frames_have_their_numbers_and_times(name: str, threads: int, tmp_path: Path) -> None:
    path = save_film(tmp_path / name, **WRITTEN[name])
    with Film(path, threads=threads) as film:
        assert told(film) == [(number, number / 25, number in KEYS or name == "mjpeg.avi") for number in range(24)]
        assert (film.size, film.rate, film.interlaced, film.hdr) == ((96, 64), 25, False, None)
        assert len(told(film)) == 24, "again"


def test_a_film_whose_frames_are_all_keys(tmp_path: Path) -> None:
    with Film(save_film(tmp_path / "film.mov", 5, codec="prores_ks", pix_fmt="yuv422p10le")) as film:
        assert film.codec == "prores" and told(film) == [(number, number / 25, True) for number in range(5)]


def test_an_animated_picture_is_a_film(tmp_path: Path) -> None:
    with Film(save_film(tmp_path / "film.gif", 6, codec="gif", pix_fmt="rgb8")) as film:
        assert [(number, time) for number, time, _ in told(film)] == [(number, number / 25) for number in range(6)]


@pytest.mark.parametrize("name", ["film.mkv", "film.mp4"])
def test_a_variable_rate_keeps_its_times(name: str, tmp_path: Path) -> None:
    stamps = [0, 40, 47, 200, 201, 950, 1000, 4000, 4033, 4066]
    with Film(save_film(tmp_path / name, len(stamps), stamps=stamps, unit=Fraction(1, 1000))) as film:
        assert [round(1000 * time) for _, time, _ in told(film)] == stamps


def test_times_are_to_the_millisecond(tmp_path: Path) -> None:
    with Film(save_film(tmp_path / "film.mp4", 7, rate=Fraction(30000, 1001))) as film:
        assert [time for _, time, _ in told(film)] == [0.0, 0.033, 0.067, 0.1, 0.133, 0.167, 0.2]
        assert film.rate == pytest.approx(29.97, abs=0.001)


@pytest.mark.parametrize("name", ["film.ts", "film.mkv"])
def test_a_film_begins_at_0_wherever_its_time_stamps_do(name: str, tmp_path: Path) -> None:
    with Film(save_film(tmp_path / name, 12, stamps=range(250, 262))) as film:
        assert [time for _, time, _ in told(film)] == [number / 25 for number in range(12)]


def test_pictures_that_follow_the_first_sound_are_later_than_0(tmp_path: Path) -> None:
    with Film(save_film(tmp_path / "film.mp4", 12, stamps=range(12, 24), sound=0.0)) as film:
        assert told(film)[0] == (0, 0.48, True)
    with Film(save_film(tmp_path / "later.mkv", 12, sound=0.5)) as film:
        assert told(film)[0] == (0, 0.0, True)


def test_what_an_edit_list_cuts_off_is_not_there(tmp_path: Path) -> None:
    kept = {"use_editlist": "1", "avoid_negative_ts": "disabled"}
    path = save_film(tmp_path / "film.mp4", 24, stamps=range(-10, 14), container_options=kept)
    with Film(path) as film:
        frames = [(frame.number, frame.time, number_in(frame.rgb())) for frame in film.frames()]
    assert frames == [(number, number / 25, number + 10) for number in range(14)] and film.fault is None


@pytest.mark.parametrize("degrees", [90, 180, -90])
def test_a_rotated_film_comes_upright(degrees: int, tmp_path: Path) -> None:
    stored = [np.rot90(numbered(number), -degrees // 90) for number in range(4)]
    with Film(save_film(tmp_path / "film.mp4", stored, rotation=degrees)) as film:
        assert film.size == (96, 64) and len(told(film)) == 4
        assert [number_in(frame.reduced(48)) for frame in film.frames()] == [0, 1, 2, 3]
        assert film.streams[0].size == ((96, 64) if degrees == 180 else (64, 96))


def test_all_eight_ways_to_turn_a_picture() -> None:
    stored = np.arange(2 * 3 * 3, dtype=np.uint8).reshape(2, 3, 3)
    for swaps in (False, True):
        size = (2, 3) if swaps else (3, 2)
        expected = stored.swapaxes(0, 1) if swaps else stored
        for mirrors in (False, True):
            for flips in (False, True):
                upright = Upright(size, swaps, mirrors, flips)
                turned = upright.turned(stored)
                assert upright.stored(size) == (3, 2) and turned.flags.c_contiguous
                assert (turned == expected[:: -1 if flips else 1, :: -1 if mirrors else 1]).all()
                left, top, right, bottom = upright.stored_box((0, 1, 1, 2))
                assert (upright.turned(stored[top:bottom, left:right]) == turned[1:2, :1]).all()


@pytest.mark.parametrize(("aspect", "size"), [(Fraction(4, 3), (128, 64)), (Fraction(1, 2), (96, 128))])
def test_pixels_that_are_not_square_are_made_so(aspect: Fraction, size: tuple[int, int], tmp_path: Path) -> None:
    with Film(save_film(tmp_path / "film.mp4", 3, aspect=aspect)) as film:
        assert film.size == size and len(told(film)) == 3
        assert {frame.rgb().shape for frame in film.frames()} == {(size[1], size[0], 3)}


def test_frames_that_no_machine_can_hold_are_refused(tmp_path: Path) -> None:
    """Whatever they are that large by: the container's word, the shape of a pixel, or a later picture's own size."""
    wide = save_film(tmp_path / "wide.mp4", [np.full((720, 1280, 3), 90, np.uint8)], aspect=Fraction(719))
    with pytest.raises(DecodeError, match="its frames, 920320 x 720 pixels, are larger than 178,956,970") as told_of:
        Film(wide)
    assert told_of.value.status is Status.TOO_LARGE
    path = tmp_path / "growing.mov"
    with av.open(str(path), "w") as out:
        stream: Any = out.add_stream("png", rate=25)
        stream.width, stream.height, stream.pix_fmt = 96, 64, "gray"
        for number, (width, height) in enumerate([(96, 64), (14_000, 13_000), (96, 64)]):
            png = io.BytesIO()
            Image.new("L", (width, height), 90).save(png, "PNG", compress_level=1)
            packet = av.Packet(png.getvalue())
            packet.stream, packet.is_keyframe, packet.time_base = stream, True, Fraction(1, 25)
            packet.pts = packet.dts = number
            out.mux(packet)
    with Film(path, threads=1) as film:
        assert [frame.number for frame in film.frames()] == [0, 2]
        assert film.lost == 1 and film.fault is not None
        assert (film.fault.status, str(film.fault)) == (Status.CORRUPT, "at 0.040 s: a frame is damaged or too large")


def test_a_frame_is_reduced_but_never_enlarged(tmp_path: Path) -> None:
    with Film(save_film(tmp_path / "film.mp4", [numbered(77, 300, 200)])) as film:
        (frame,) = film.frames()
    small = frame.reduced(150)
    assert small.shape == (100, 150, 3) and small.dtype == np.uint8 and number_in(small) == 77
    assert frame.rgb().shape == (200, 300, 3) and frame.rgb() is frame.rgb() is frame.reduced(300) is frame.reduced(900)
    averaged = frame.rgb().reshape(100, 2, 150, 2, 3).mean(axis=(1, 3))
    assert np.abs(small - averaged).mean() < 1.5
    with pytest.raises(ValueError, match="longest must be at least 1, not 0"):
        frame.reduced(0)


def test_of_two_streams_the_one_that_players_take_is_the_film(tmp_path: Path) -> None:
    def beside(out: Any) -> None:
        small = out.add_stream("mpeg4", rate=25)
        small.width, small.height, small.pix_fmt = 32, 32, "yuv420p"
        pictures.append(small)

    pictures: list[Any] = []
    path = save_film(tmp_path / "film.mkv", 6, beside=beside)
    with Film(path) as film:
        assert len(told(film)) == 6
        assert film.streams == (FilmStream(0, "h264", (96, 64), True), FilmStream(1, "mpeg4", (32, 32), False))


def test_a_stream_that_cannot_be_decoded_is_not_taken(tmp_path: Path) -> None:
    def beside(out: Any) -> None:
        small = out.add_stream("mjpeg", rate=25)
        small.width, small.height, small.pix_fmt = 32, 32, "yuvj420p"

    path = save_film(tmp_path / "film.mkv", 6, beside=beside)
    content = path.read_bytes()
    assert content.count(b"V_MPEG4/ISO/AVC") == 1
    path.write_bytes(content.replace(b"V_MPEG4/ISO/AVC", b"V_NOBODY/S/OWN_"))
    refused(path, Status.EMPTY, "the film has no frames")


@pytest.mark.parametrize("name", ["sound.mp3", "sound.m4a"])
def test_sound_is_no_film_nor_is_its_cover(name: str, tmp_path: Path) -> None:
    refused(save_sound(tmp_path / name), Status.UNSUPPORTED, "has sound, but no moving pictures")
    if name.endswith("mp3"):
        covered = save_sound(tmp_path / f"covered_{name}", numbered(1))
        with av.open(str(covered)) as container:
            assert len(container.streams.video) == 1
        refused(covered, Status.UNSUPPORTED, "has sound, but no moving pictures")


def refused(path: Path, status: Status, reason: str) -> None:
    with pytest.raises(DecodeError) as raised:
        Film(path)
    assert (raised.value.status, str(raised.value)) == (status, reason)


def test_what_is_no_film_says_why(tmp_path: Path) -> None:
    refused(tmp_path / "none.mp4", Status.UNREADABLE, "No such file or directory")
    refused(tmp_path, Status.UNREADABLE, "is a directory")
    (tmp_path / "empty.mp4").touch()
    refused(tmp_path / "empty.mp4", Status.EMPTY, "the file has no bytes")
    (tmp_path / "text.mp4").write_text("a letter to somebody\n" * 100)
    refused(tmp_path / "text.mp4", Status.UNSUPPORTED, "is no film, or of a format that is not read")
    for kind in ("jpeg", "png", "bmp"):
        Image.fromarray(numbered(3)).save(tmp_path / f"picture.{kind}")
        refused(tmp_path / f"picture.{kind}", Status.UNSUPPORTED, "is a picture, not a film")


def test_nothing_that_a_playlist_names_is_opened(tmp_path: Path) -> None:
    film = save_film(tmp_path / "film.ts", 4)
    (tmp_path / "list.m3u8").write_text(f"#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\n{film}\n#EXT-X-ENDLIST\n")
    (tmp_path / "list.ffconcat").write_text(f"ffconcat version 1.0\nfile {film.name}\n")
    for name in ("list.m3u8", "list.ffconcat"):
        refused(tmp_path / name, Status.UNSUPPORTED, "is no film, or of a format that is not read")


def test_an_encrypted_film_is_told(tmp_path: Path) -> None:
    keys = {"encryption_scheme": "cenc-aes-ctr", "encryption_key": "07" * 16, "encryption_kid": "01" * 16}
    path = save_film(tmp_path / "film.mp4", 4, container_options=keys)
    refused(path, Status.UNSUPPORTED, "at 0.000 s: is encrypted")


def test_a_film_that_is_made_leaves_its_thread_an_ordinary_one(tmp_path: Path) -> None:
    before = os.sched_getscheduler(0)
    save_film(tmp_path / "film.mp4", 3, codec="libsvtav1")
    assert os.sched_getscheduler(0) == before


def test_a_codec_that_is_not_known_is_told(tmp_path: Path) -> None:
    path = save_film(tmp_path / "film.mp4", 4)
    content = path.read_bytes()
    assert content.count(b"avc1") == 2, "a brand, and what is replaced"
    at = content.rindex(b"avc1")
    path.write_bytes(content[:at] + b"q9q9" + content[at + 4 :].replace(b"avcC", b"free"))
    refused(path, Status.UNSUPPORTED, "there is no decoder for its pictures")


def test_a_film_without_frames_is_empty(tmp_path: Path) -> None:
    with av.open(str(tmp_path / "film.avi"), "w") as out:
        stream: Any = out.add_stream("mpeg4", rate=25)
        stream.width, stream.height, stream.pix_fmt = 32, 32, "yuv420p"
        out.start_encoding()
    refused(tmp_path / "film.avi", Status.EMPTY, "the film has no frames")


def test_facts_are_told(tmp_path: Path) -> None:
    with Film(save_film(tmp_path / "film.mkv", 50, sound=0.0)) as film:
        assert film.duration == pytest.approx(2, abs=0.05) and film.rate == 25 and film.codec == "h264"
        status = (tmp_path / "film.mkv").stat()
        assert film.stamp == (status.st_size, status.st_mtime_ns)


@pytest.mark.parametrize(("transfer", "hdr"), [(1, None), (16, "pq"), (18, "hlg")])
def test_high_dynamic_range_is_told(transfer: int, hdr: str | None, tmp_path: Path) -> None:
    colours = {"color_trc": transfer, "color_primaries": 9, "colorspace": 9}
    path = save_film(tmp_path / "film.mp4", 3, codec="libx265", pix_fmt="yuv420p10le", colours=colours)
    with Film(path) as film:
        assert film.hdr == hdr and len(told(film)) == 3


def test_interlaced_pictures_are_told(tmp_path: Path) -> None:
    path = save_film(tmp_path / "film.ts", 12, codec="mpeg2video", options={"flags": "+ildct+ilme"})
    with Film(path) as film:
        assert film.interlaced and len(told(film)) == 12


def running() -> set[str]:
    """Threads of this process, Python's and others, by the system's numbers: those of other tests may end meanwhile."""
    return {task.name for task in Path("/proc/self/task").iterdir()}


def test_frames_outlive_their_film_and_no_thread_does(tmp_path: Path) -> None:
    path = save_film(tmp_path / "film.mp4", 24)
    before = running()
    with Film(path, threads=4) as film:
        frames = film.frames()
        kept = [next(frames) for _ in range(5)]
        begun = running() - before
        assert begun, "decoding has threads"
        frames.close()
        assert not begun & running() and film.fault is None
    assert [number_in(frame.rgb()) for frame in kept] == [0, 1, 2, 3, 4]
    with pytest.raises(FerFastError, match="the film is closed"):
        next(film.frames())


def test_a_long_film_takes_no_more_memory_than_a_short_one(tmp_path: Path) -> None:
    grey = np.full((32, 32, 3), 128, np.uint8)
    path = save_film(tmp_path / "film.mkv", (grey for _ in range(20_000)), codec="mpeg4", key_every=100)
    held = {}
    with Film(path, threads=1) as film:
        for frame in film.frames():
            frame.reduced(16)
            if frame.number in (2_000, 19_999):
                held[frame.number] = int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    assert held[19_999] - held[2_000] < 4 << 20, "20,000 frames of 1.5 kB are 30 MB"


def test_a_frame_of_another_size_is_made_as_large_as_the_first(tmp_path: Path) -> None:
    path = tmp_path / "film.mjpeg"
    pieces = []
    for number, (width, height) in enumerate([(96, 64), (192, 128), (96, 64)]):
        codec: Any = av.CodecContext.create("mjpeg", "w")
        codec.width, codec.height, codec.pix_fmt, codec.time_base = width, height, "yuvj420p", Fraction(1, 25)
        picture = encodable(numbered(number, width, height), "yuvj420p", color_range=2)
        pieces += [bytes(packet) for packet in [*codec.encode(picture), *codec.encode(None)]]
    path.write_bytes(b"".join(pieces))
    with Film(path) as film:
        assert [(number_in(frame.rgb()), frame.rgb().shape) for frame in film.frames()] == [
            (number, (64, 96, 3)) for number in range(3)
        ]
