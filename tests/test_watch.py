"""Sources of which the newest frame counts: what was passed over is counted, and what breaks off is told."""

from __future__ import annotations

import gc
import itertools
import os
import re
import sys
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from decoding import until
from films import encodable, number_in, numbered, save_film
from threads_left import threads_left
from watched import SIZE, Shades, SureFinder, standard_input, until_it_fails, with_face

from fer_fast import DecodeError, FerFastError, MissingExtraError, watch
from fer_fast.films.frame import Frame
from fer_fast.films.stretch import stretch_of
from fer_fast.live import camera
from fer_fast.live.latency import Latencies
from fer_fast.live.newest import Newest
from fer_fast.live.played import PlayedFilm
from fer_fast.live.source import Came


@pytest.fixture
def classifier() -> Iterator[Shades]:
    made = Shades()
    yield made
    made.close()


@pytest.fixture(autouse=True)
def no_thread_is_left() -> Iterator[None]:
    yield
    until(lambda: not threads_left("fer-fast-source"))


def test_each_frame_has_its_faces_its_time_and_its_tracks(classifier: Shades) -> None:
    begun = datetime.now(UTC)
    with standard_input() as pipe, watch("-", classifier, finder=SureFinder(160), size=SIZE, rate=20) as watching:
        for number in range(8):
            os.write(pipe, with_face(number, 70 if number < 4 else 220).tobytes())
            seen = next(watching)
            assert (seen.frame, seen.time, seen.size) == (number, number / 20, SIZE)
            (each,) = seen.faces
            assert (each.face.x, each.face.y, each.face.width, each.track) == (4 + 2 * number, 30, 30, 0)
            assert each.face.prediction is not None
            assert each.face.prediction.probabilities[0] == pytest.approx((70 if number < 4 else 220) / 255, abs=0.03)
            np.testing.assert_array_equal(seen.image.rgb(), with_face(number, 70 if number < 4 else 220))
            assert begun <= seen.at <= datetime.now(UTC)
        os.write(pipe, np.zeros((SIZE[1], SIZE[0], 3), np.uint8).tobytes())
        assert next(watching).faces == ()
        os.close(pipe)
        assert list(watching) == [] and (watching.came, watching.looked, watching.dropped) == (9, 9, 0)


def test_times_are_when_frames_came(classifier: Shades) -> None:
    with standard_input() as pipe, watch("-", classifier, finder=SureFinder(160), size=SIZE) as watching:
        seen = []
        for number in range(3):
            os.write(pipe, with_face(number).tobytes())
            seen.append(next(watching))
    assert seen[0].time == 0
    for before, after in itertools.pairwise(seen):
        gone = timedelta(seconds=after.time - before.time)
        assert timedelta(0) < gone and abs(after.at - before.at - gone) < timedelta(milliseconds=50)


def test_who_is_slow_gets_the_newest_frame_and_holds_no_other() -> None:
    entered, go_on = threading.Event(), threading.Event()

    class Slow(Shades):
        def predict_batch(self, pixels: Any) -> Any:
            entered.set()
            assert go_on.wait(60)
            return super().predict_batch(pixels)

    def feed(pipe: int) -> None:
        os.write(pipe, with_face(0).tobytes())
        assert entered.wait(60)
        for number in range(1, 301):
            os.write(pipe, with_face(number).tobytes())
        until(lambda: watching.came == 301)
        living.append(sum(type(each) is Frame and id(each) not in earlier for each in gc.get_objects()))
        os.close(pipe)
        go_on.set()

    living: list[int] = []
    gc.collect()
    others = [each for each in gc.get_objects() if type(each) is Frame]  # of other tests, held by what these raised
    earlier = set(map(id, others))
    classifier = Slow()
    with standard_input() as pipe, watch("-", classifier, finder=SureFinder(160), size=SIZE) as watching:
        threading.Thread(target=feed, args=(pipe,), daemon=True).start()
        frames = [seen.frame for seen in watching]
    classifier.close()
    assert frames == [0, 300], "the last one is looked at though the source has ended"
    assert (watching.came, watching.looked, watching.dropped) == (301, 2, 299)
    assert living == [2], "one that is looked at, and the newest"


@pytest.mark.parametrize(("every", "frames"), [("3f", [0, 3, 6, 9]), ("0.2s", [0, 4, 8]), ("keyframes", [*range(10)])])
def test_some_frames_alone(every: str, frames: list[int], classifier: Shades) -> None:
    with standard_input() as pipe, watch("-", classifier, finder=SureFinder(160), size=SIZE, every=every, rate=20) as w:
        seen = []
        for number in range(10):
            os.write(pipe, with_face(number).tobytes())
            until(lambda number=number: w.came == number + 1)  # type: ignore[misc]
            if w.wait(0):
                seen.append(next(w).frame)
    assert seen == frames and w.dropped == 0


@pytest.mark.parametrize("pixels", ["rgb24", "bgr24", "gray", "yuv420p"])
def test_pixels_lie_as_it_is_said(pixels: str, classifier: Shades) -> None:
    frame = numbered(1234).copy()
    frame[..., 0] //= 2
    stored: Any = {"rgb24": frame, "bgr24": frame[..., ::-1], "gray": frame[..., 1]}.get(pixels)
    raw = encodable(frame, "yuv420p").to_ndarray() if pixels == "yuv420p" else stored
    with standard_input() as pipe, watch("-", classifier, finder=SureFinder(160), size=(96, 64), pixels=pixels) as w:
        os.write(pipe, raw.tobytes())
        rgb = next(w).image.rgb()
    assert number_in(rgb) == 1234
    if pixels in ("rgb24", "bgr24"):
        np.testing.assert_array_equal(rgb, frame)
    elif pixels == "yuv420p":
        np.testing.assert_allclose(rgb[16, 4].astype(int), frame[16, 4].astype(int), atol=4)


def test_an_input_that_ends_within_a_frame_is_told(classifier: Shades) -> None:
    with standard_input() as pipe, watch("-", classifier, finder=SureFinder(160), size=SIZE) as watching:
        os.write(pipe, with_face(0).tobytes() + b"half")
        os.close(pipe)
        assert next(watching).frame == 0
        with pytest.raises(DecodeError, match=r"ends after 4 of the 46,080 bytes of a frame: are its size and"):
            next(watching)
        assert list(watching) == []


def test_a_film_is_played_in_its_own_time(tmp_path: Path, classifier: Shades) -> None:
    path = save_film(tmp_path / "film.mkv", [with_face(number) for number in range(6)], rate=5, codec="ffv1")
    with watch(path, classifier, finder=SureFinder(160)) as watching:
        seen = list(watching)
    assert [(each.frame, each.time) for each in seen] == [(number, number / 5) for number in range(6)]
    assert all(b.clock - a.clock > 0.1 for a, b in itertools.pairwise(seen)), "not as fast as it is decoded"


def test_a_frame_that_is_due_in_ages_is_waited_for(tmp_path: Path) -> None:
    """As a damaged film may have one: as long as the clock can wait."""
    path = save_film(tmp_path / "film.mkv", 3, stamps=[0, 40, 2**60], unit=Fraction(1, 1000))
    stopping = threading.Event()
    frames = PlayedFilm(str(path)).frames(stopping)
    assert [next(frames).frame.number, next(frames).frame.number] == [0, 1]
    ended = threading.Timer(0.2, stopping.set)
    ended.start()
    assert next(frames, None) is None
    ended.join()


def test_a_damaged_film_is_told_of(tmp_path: Path, classifier: Shades) -> None:
    content = save_film(tmp_path / "whole.mkv", 100, rate=200).read_bytes()
    (tmp_path / "cut.mkv").write_bytes(content[: len(content) // 2])
    seen, sentence = until_it_fails(watch(tmp_path / "cut.mkv", classifier, finder=SureFinder(160)))
    assert seen and re.match(r".*/cut\.mkv: at 0\.\d+ s: ", sentence)


def test_a_camera_is_asked_for_a_size_and_a_rate(
    tmp_path: Path, classifier: Shades, monkeypatch: pytest.MonkeyPatch
) -> None:
    film = save_film(tmp_path / "film.mkv", 3)
    asked = []
    opened = av.open

    def open_(device: str, mode: str, format: str, options: dict[str, str]) -> Any:
        asked.append((device, mode, format, options))
        return opened(str(film))

    monkeypatch.setattr(camera, "_driver", lambda device: ("driver", f"device {device}"))
    monkeypatch.setattr(av, "open", open_)
    watching = watch(3, classifier, finder=SureFinder(160), size=(640, 480), rate=30)
    seen, sentence = until_it_fails(watching)
    assert sentence == "camera 3 was lost: it gives no more frames"
    assert [number_in(each.image.rgb()) for each in seen] == [each.frame for each in seen]
    assert watching.came == 3
    assert asked == [("device 3", "r", "driver", {"video_size": "640x480", "framerate": "30"})]


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (16, "another program has it"),
        (13, "this user may not read it"),
        (25, "it is no camera"),
        (5, "Input/output er"),
    ],
)
def test_a_camera_that_cannot_be_opened(
    error: int, reason: str, classifier: Shades, monkeypatch: pytest.MonkeyPatch
) -> None:
    def open_(*_: Any, **__: Any) -> Any:
        av.error.err_check(-error)

    monkeypatch.setattr(camera, "_driver", lambda device: ("driver", device))
    monkeypatch.setattr(av, "open", open_)
    seen, sentence = until_it_fails(watch(0, classifier, finder=SureFinder(160)))
    assert not seen and sentence.startswith(f"camera 0 cannot be opened: {reason}")


class Silent:
    """A source that gives one frame, and nothing more."""

    name, silence = "camera 7", 0.2

    def frames(self, stopping: threading.Event) -> Iterator[Came]:
        picture: Any = None
        yield Came(Frame(0, 0.0, True, picture, picture), (1, 1), 0.0, datetime.now(UTC))
        stopping.wait(60)


def test_a_camera_that_falls_silent_is_lost() -> None:
    newest = Newest(Silent(), stretch_of(None, None, None).chosen())
    came = newest.take()
    assert came is not None and came.frame.number == 0
    with pytest.raises(FerFastError, match=r"camera 7 has given no frame for 0\.2 s"):
        newest.take()
    newest.close()


def test_a_forked_child_is_told(classifier: Shades) -> None:
    with standard_input() as pipe, watch("-", classifier, finder=SureFinder(160), size=SIZE) as watching:
        child = os.fork()
        if not child:
            try:
                next(watching)
            except FerFastError as error:
                os._exit("before fork" not in str(error))
            os._exit(2)
        assert os.waitpid(child, 0)[1] == 0
        os.write(pipe, with_face(0).tobytes())
        assert next(watching).frame == 0


@pytest.mark.parametrize(
    ("source", "arguments", "sentence"),
    [
        ("gone.mp4", {}, "source 'gone.mp4' does not exist"),
        (99, {}, "source '99' is no camera that is there: there is no '/dev/video99'"),
        ("ftp://host/x", {}, "source must begin with http://, https://, rtsp://, rtsps://, not ftp://"),
        ("-", {}, "source '-' is uncompressed frames on standard input: their size must be said"),
        ("-", {"size": (0, 2)}, "size must be"),
        ("-", {"size": (3, 2), "pixels": "yuv420p"}, "size must be even for pixels yuv420p, not 3x2"),
        ("-", {"size": (4, 2), "pixels": "rgba"}, "pixels must be one of rgb24, bgr24, gray, yuv420p, not 'rgba'"),
        ("-", {"size": (4, 2), "rate": 0}, "rate must be a number above 0, not 0"),
        ("http://host/", {"size": (4, 2)}, "size is for cameras and '-', not for source 'http://host/'"),
        (0, {"pixels": "gray"}, "pixels is for '-'"),
        (0, {"timeout": -1}, "timeout must be a number of 0 or more, not -1"),
        (0, {"reconnect": -1}, "reconnect must be a number of 0 or more, not -1"),
        (0, {"every": "often"}, "every must be as"),
    ],
)
def test_what_cannot_be_watched_is_refused_at_once(source: Any, arguments: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        watch(source, **arguments)


def test_what_is_no_source_is_refused() -> None:
    with pytest.raises(TypeError, match=r"source must be a camera's number, an address, '-' or .*, not 0\.5"):
        watch(0.5)  # type: ignore[arg-type]


def test_without_pyav_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "av", None)
    with pytest.raises(MissingExtraError, match=r"needs av, .*: pip install 'fer-fast\[video\]'"):
        watch(0)


def test_latencies_are_told_to_one_per_cent() -> None:
    latencies = Latencies()
    assert latencies.quantile(0.5) is None
    for milliseconds in range(1, 1001):
        latencies.add(milliseconds / 1000)
    assert latencies.quantile(0.5) == pytest.approx(0.5, rel=0.011)
    assert latencies.quantile(0.95) == pytest.approx(0.95, rel=0.011)
    assert latencies.quantile(1.0) == pytest.approx(1.0, rel=0.011)
