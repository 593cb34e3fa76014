"""A film is drawn again: every frame at its time, boxes where faces are, sound kept; nothing half under its name."""

from __future__ import annotations

import logging
import subprocess
import sys
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from films import number_in, numbered, save_film
from moving_faces import face

from fer_fast import DecodeError, FrameFaces, OutputRefusedError, Prediction, TrackedFace
from fer_fast.films import writing
from fer_fast.films.drawing import comment_of, draw_film, drawn_film
from fer_fast.films.film import Film
from fer_fast.reports.colours import UNSURE, colours_of
from fer_fast.types import EMOTIONS

SIZE = 192, 128
UNEVEN = [0, 40, 80, 200, 240, 1000, 1040, 1500]


def look(number: int, time: float, *places: tuple[float, float], size: float = 30) -> FrameFaces:
    """Happy faces about some places, of the tracks 0, 1..."""
    share = np.full(8, 0.05, np.float32)
    share[1] = 0.65
    prediction = Prediction(EMOTIONS, share)
    found = []
    for track, (x, y) in enumerate(places):
        each = face(x, y, size)
        found.append(TrackedFace(type(each)(*each_values(each), prediction), track))
    return FrameFaces(number, time, tuple(found))


def each_values(each: object) -> list[object]:
    return [getattr(each, name) for name in ("x", "y", "width", "height", "landmarks", "score")]


def grey(count: int) -> Iterator[np.ndarray]:
    for _ in range(count):
        yield np.full((SIZE[1], SIZE[0], 3), 90, np.uint8)


def of(path: Path) -> list[tuple[float, np.ndarray]]:
    with Film(path) as film:
        shown = [(frame.time, frame.rgb()) for frame in film.frames()]
        assert film.fault is None
    return shown


def left_of(pixels: np.ndarray, row: int) -> int:
    """Where a box' left side is in a row of a grey frame: the first pixel that is bright."""
    (found,) = np.nonzero(pixels[row].max(axis=1) > 140)
    assert found.size, "no box is seen"
    return int(found[0])


def folder_has(folder: Path, *names: str) -> None:
    assert sorted(path.name for path in folder.iterdir()) == sorted(names)


@pytest.mark.parametrize("suffix", [".mp4", ".mov", ".mkv"])
def test_every_frame_is_there_at_its_time_with_the_sound(suffix: str, tmp_path: Path) -> None:
    path = save_film(
        tmp_path / "film.mp4",
        [numbered(n, *SIZE) for n in range(8)],
        stamps=UNEVEN,
        unit=Fraction(1, 1000),
        sound=0.0,
    )
    out = tmp_path / f"drawn{suffix}"
    draw_film(path, out, [look(n, UNEVEN[n] / 1000, (96, 64), size=6) for n in range(8)], threads=2)
    shown = of(out)
    assert [time for time, _ in shown] == [stamp / 1000 for stamp in UNEVEN]
    for number, (_, pixels) in enumerate(shown):
        assert number_in(pixels[: SIZE[1]]) == number
        assert pixels.shape[0] > SIZE[1] and pixels.shape[1] >= SIZE[0] and not (pixels.shape[0] % 2)
    assert packets(out) == packets(path) != []
    folder_has(tmp_path, "film.mp4", out.name)


@pytest.mark.parametrize(("source", "suffix"), [("film.ts", ".mp4"), ("film.ts", ".mkv"), ("film.mkv", ".mp4")])
def test_sound_of_other_containers_is_copied_and_kept_in_time(source: str, suffix: str, tmp_path: Path) -> None:
    path = save_film(tmp_path / source, 24, rate=25, sound=0.2)
    draw_film(path, tmp_path / f"drawn{suffix}", [])
    first, last = (heard(each) for each in (path, tmp_path / f"drawn{suffix}"))
    assert last[0] == pytest.approx(first[0], abs=0.002) and abs(last[1] - first[1]) <= 1 and first[1] > 1
    assert [time for time, _ in of(tmp_path / f"drawn{suffix}")] == [time for time, _ in of(path)]


def heard(path: Path) -> tuple[float, int]:
    """When the sound begins, in seconds after the first picture, and how many pieces of it can be decoded."""
    import av

    with av.open(str(path)) as container:
        times = {"video": 9.0, "audio": 9.0}
        pieces = 0
        for each in container.decode(container.streams.video[0], container.streams.audio[0]):
            kind = "video" if isinstance(each, av.VideoFrame) else "audio"
            times[kind] = min(times[kind], each.time)
            pieces += kind == "audio"
    return times["audio"] - times["video"], pieces


def packets(path: Path) -> list[tuple[float, bytes]]:
    """The sound, as it is stored; each packet at its time in milliseconds."""
    import av

    with av.open(str(path)) as container:
        found = container.demux(container.streams.audio[0])
        stored = [(1000 * each.pts * each.time_base, bytes(each)) for each in found if each.size and each.pts >= 0]
    return [(round(float(time)), data) for time, data in stored]


@pytest.mark.parametrize("suffix", [".mp4", ".m4v", ".mov", ".mkv"])
def test_the_head_says_what_it_is_told_to(suffix: str, tmp_path: Path) -> None:
    path = save_film(tmp_path / "film.mkv", grey(2), codec="ffv1", pix_fmt="yuv444p")
    for comment in ("", "of two \u201cpictures\u201d, 2026"):
        draw_film(path, tmp_path / f"drawn{suffix}", [], comment=comment)
        assert comment_of(tmp_path / f"drawn{suffix}") == comment
    path.write_text("no film")
    assert comment_of(path) == ""
    with pytest.raises(FileNotFoundError):
        comment_of(tmp_path / "none.mp4")


def test_it_is_h264_that_every_player_shows_in_its_colours(tmp_path: Path) -> None:
    import av

    path = save_film(tmp_path / "film.mkv", grey(3), codec="ffv1", pix_fmt="yuv444p")
    draw_film(path, tmp_path / "drawn.mp4", [look(0, 0.0, (96, 64))])
    with av.open(str(tmp_path / "drawn.mp4")) as container:
        context = container.streams.video[0].codec_context
        assert (context.name, context.pix_fmt, context.colorspace, context.color_range) == ("h264", "yuv420p", 1, 1)
    pixels = of(tmp_path / "drawn.mp4")[0][1]
    assert np.abs(pixels[2:40, 2:40].astype(int) - 90).max() <= 3


def test_boxes_move_evenly_between_looks_and_stay_as_long_as_before(tmp_path: Path) -> None:
    path = save_film(tmp_path / "film.mkv", grey(14), rate=10, codec="ffv1", pix_fmt="yuv444p")
    draw_film(path, tmp_path / "drawn.mkv", [look(2, 0.2, (50, 90)), look(6, 0.6, (90, 90)), look(10, 1.0)])
    shown = [pixels for _, pixels in of(tmp_path / "drawn.mkv")]
    assert len(shown) == 14
    lefts = [left_of(pixels, 95) for pixels in shown[2:10]]
    assert lefts == pytest.approx([35, 45, 55, 65, 75, 75, 75, 75], abs=1.5)
    for number in (0, 1, 10, 11, 12, 13):
        assert np.abs(shown[number][: SIZE[1]].astype(int) - 90).max() <= 12, number
    draw_film(path, tmp_path / "short.mkv", [look(2, 0.2, (50, 90)), look(4, 0.4, (50, 90))])
    shown = [pixels for _, pixels in of(tmp_path / "short.mkv")]
    assert [left_of(pixels, 95) for pixels in shown[2:6]] == pytest.approx([35] * 4, abs=1.5)
    assert np.abs(shown[6][: SIZE[1]].astype(int) - 90).max() <= 12


def test_a_label_is_what_the_caller_says(tmp_path: Path) -> None:
    path = save_film(tmp_path / "film.mkv", grey(1), codec="ffv1", pix_fmt="yuv444p")
    for name, colour in (("happiness", colours_of(EMOTIONS)["happiness"]), ("", UNSURE)):
        draw_film(path, tmp_path / "drawn.mkv", [look(0, 0.0, (96, 80), size=60)], label=lambda each: name)  # noqa: B023
        pixels = of(tmp_path / "drawn.mkv")[0][1]
        assert np.abs(pixels[80, 64:68].astype(int) - colour).max(axis=1).min() < 40


def test_upright_and_not_larger_than_asked(tmp_path: Path) -> None:
    path = save_film(tmp_path / "film.mp4", [numbered(n, 192, 96) for n in range(3)], rotation=90)
    draw_film(path, tmp_path / "drawn.mp4", [look(0, 0.0, (40, 40))], longest=97)
    with Film(path) as film, Film(tmp_path / "drawn.mp4") as drawn:
        assert film.size == (96, 192) and drawn.size[1] > 97 and not {each % 2 for each in drawn.size} - {0}
        assert len([*drawn.frames()]) == 3


def test_what_a_container_cannot_hold_is_left_out_and_told(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = save_film(tmp_path / "film.mkv", 5, sound=0.0, beside=lambda out: out.add_stream("wavpack", rate=8000))
    with caplog.at_level(logging.WARNING):
        draw_film(path, tmp_path / "drawn.mp4", [])
    assert "is without its sound, wavpack: mp4 cannot hold it" in caplog.text and len(of(tmp_path / "drawn.mp4")) == 5


def test_without_h264_another_codec_is_taken_and_told(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = save_film(tmp_path / "film.mp4", [numbered(n, *SIZE) for n in range(4)])
    monkeypatch.setattr(writing, "_encodes", lambda name: name == "mpeg4")
    with caplog.at_level(logging.WARNING):
        draw_film(path, tmp_path / "drawn.mp4", [])
    assert "is encoded as mpeg4: PyAV has no encoder for H.264" in caplog.text
    assert [number_in(pixels[: SIZE[1]]) for _, pixels in of(tmp_path / "drawn.mp4")] == [0, 1, 2, 3]


def test_a_damaged_film_is_drawn_as_far_as_it_goes_and_told(tmp_path: Path) -> None:
    path = save_film(tmp_path / "film.mkv", grey(30), key_every=5)
    path.write_bytes(path.read_bytes()[: path.stat().st_size * 2 // 3])
    with Film(path) as film:
        numbers = [frame.number for frame in film.frames()]
        assert film.fault is not None

    def looks() -> Iterator[FrameFaces]:
        yield look(0, 0.0, (96, 64))
        raise film.fault or AssertionError

    with pytest.raises(DecodeError, match="at "):
        draw_film(path, tmp_path / "drawn.mp4", looks())
    assert len(of(tmp_path / "drawn.mp4")) == len(numbers) < 30
    folder_has(tmp_path, "film.mkv", "drawn.mp4")


@pytest.mark.parametrize("kind", [DecodeError("failed", "the disk", again=True), KeyboardInterrupt(), ValueError()])
def test_what_is_raised_meanwhile_leaves_what_was_there(kind: BaseException, tmp_path: Path) -> None:
    path = save_film(tmp_path / "film.mp4", 40)
    (tmp_path / "drawn.mp4").write_text("old")
    with pytest.raises(type(kind)), drawn_film(path, tmp_path / "drawn.mp4") as drawing:
        drawing.add(look(30, 1.2))
        raise kind
    assert (tmp_path / "drawn.mp4").read_text() == "old"
    folder_has(tmp_path, "film.mp4", "drawn.mp4")


#: Where files may have so many bytes only; what is drawn is noise, which needs more.
FULL = """
import resource, signal, sys
from fer_fast import OutputError
from fer_fast.films.drawing import draw_film
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[3]), resource.RLIM_INFINITY))
try:
    draw_film(sys.argv[1], sys.argv[2], [])
except OutputError as error:
    print(error)
"""


@pytest.mark.parametrize("room", [0, 40, 4096, 150_000])
def test_a_full_disk_is_told_and_leaves_nothing(room: int, tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    path = save_film(tmp_path / "film.mkv", (random.integers(0, 256, (96, 128, 3), np.uint8) for _ in range(40)))
    command = [sys.executable, "-c", FULL, str(path), str(tmp_path / "drawn.mp4"), str(room)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.endswith("drawn.mp4' cannot be written: File too large\n")
    folder_has(tmp_path, "film.mkv")


def test_what_is_refused(tmp_path: Path) -> None:
    path = save_film(tmp_path / "film.mp4", 4)
    (tmp_path / "text.mp4").write_text("no film")
    for source, out, kind, message in [
        (path, tmp_path / "drawn.webm", OutputRefusedError, "must end in .mp4, .m4v, .mov, .mkv"),
        (path, path, OutputRefusedError, "is the film itself"),
        (path, tmp_path / "nowhere" / "drawn.mp4", OutputRefusedError, "does not exist"),
        (tmp_path / "text.mp4", tmp_path / "drawn.mp4", DecodeError, "is no film"),
        (tmp_path / "gone.mp4", tmp_path / "drawn.mp4", DecodeError, "No such file"),
    ]:
        with pytest.raises(kind, match=message):
            draw_film(source, out, [])
    for looks, message in [
        ([look(2, 0.08), look(2, 0.08)], "frames must rise, not come to 2 after 2"),
        ([look(9, 0.36)], "it has no frame 9"),
    ]:
        with pytest.raises(ValueError, match=message):
            draw_film(path, tmp_path / "drawn.mp4", looks)
    with pytest.raises(ValueError, match="classes must be those of the predictions"):
        draw_film(path, tmp_path / "drawn.mp4", [look(0, 0.0, (40, 40))], classes=("a", "b"))
    with pytest.raises(ValueError, match="longest must be at least 1"):
        draw_film(path, tmp_path / "drawn.mp4", [], longest=0)
    folder_has(tmp_path, "film.mp4", "text.mp4")


def test_memory_does_not_grow_with_the_film(tmp_path: Path) -> None:
    """Of the frames that a longer film has more, less than half would fit into what it takes more."""
    peaks = []
    for count in (60, 360):
        path = save_film(tmp_path / f"{count}.mp4", (np.full((240, 320, 3), 90, np.uint8) for _ in range(count)))
        peaks.append(peak(path, tmp_path / "drawn.mp4"))
    assert peaks[1] - peaks[0] < 30 << 20  # of 300 frames of 230 kB


def peak(path: Path, out: Path) -> int:
    program = (
        "import resource, sys; from fer_fast.films.drawing import draw_film\n"
        "draw_film(sys.argv[1], sys.argv[2], [], threads=1)\n"
        "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)"
    )
    command = [sys.executable, "-c", program, str(path), str(out)]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=120)
    return int(done.stdout) << 10
