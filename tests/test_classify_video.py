"""Films whose faces are squares of one shade come in; each frame goes out with its time, its faces and tracks."""

from __future__ import annotations

import gc
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from decoding import until
from films import save_film
from PIL import Image
from shade_faces import ShadeFinder, SureFinder, draw
from shades import ShadeClassifier
from threads_left import threads_left

from fer_fast import DecodeError, FerFastError, MissingExtraError, Status, classify_video
from fer_fast.films import classify
from fer_fast.films.film import Film
from fer_fast.films.frame import Frame

SIZE = (160, 96)
TESTS = Path(__file__).resolve().parent
PHOTO = TESTS.parent / "examples" / "photos" / "eileen_collins.jpg"

#: A process forks while it reads a film: its child is told, and ends.
FORKS = """
import os, sys
from pathlib import Path
from shade_faces import ShadeFinder
from tiny_models import image_config, save_image_model
from fer_fast import Classifier, FerFastError, classify_video
from fer_fast.films.film import Film

film, folder = sys.argv[1], Path(sys.argv[2])
save_image_model(folder / "model.safetensors", image_config(framing="box"))
classifier = Classifier(folder / "model.safetensors", engine="openvino", device="cpu", workers=2, batch_size=2)
frames, faces = Film(film, threads=2).frames(), classify_video(film, classifier, finder=ShadeFinder(160))
assert next(frames).number == next(faces).frame == 0
child = os.fork()
for each, sentence in ((frames, "the film was opened before fork"), (faces, "the classifier was opened before fork")):
    try:
        next(each)
        assert child
    except FerFastError as error:
        assert not child and str(error).startswith(sentence), error
if child:
    assert os.waitpid(child, 0)[1] == 0
    assert len(list(faces)) == 28
"""


class Shades(ShadeClassifier):
    """Says of a face its shade."""

    framing = "box"


@pytest.fixture
def classifier() -> Iterator[Shades]:
    made = Shades()
    yield made
    assert not made.closed
    made.close()


@pytest.fixture(autouse=True)
def no_thread_is_left() -> Iterator[None]:
    yield
    until(lambda: not threads_left("fer-fast-faces", "fer-fast-model"))


def moving(number: int) -> list[tuple[int, int, int, int]]:
    """Two faces that pass by each other, the darker one on its way to the right."""
    return [(70, 2 + 3 * number, 8, 20), (220, 130 - 3 * number, 50, 28)]


def save(path: Path, frames: Sequence[Sequence[tuple[int, int, int, int]]], **options: Any) -> Path:
    """A film without losses, of 10 frames a second unless told otherwise."""
    pictures = [np.asarray(draw(SIZE, boxes)) for boxes in frames]
    return save_film(path, pictures, **{"rate": 10, "codec": "ffv1", "pix_fmt": "yuv444p", **options})


@pytest.fixture(scope="module")
def film(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Thirty frames; nobody is in the last three."""
    path = tmp_path_factory.mktemp("film") / "film.mkv"
    return save(path, [moving(number) if number < 27 else [] for number in range(30)], key_every=5)


def finder(find_size: int = 160) -> ShadeFinder:
    return SureFinder(find_size)


def test_each_frame_has_its_faces_with_their_own_predictions(film: Path, classifier: Shades) -> None:
    frames = list(classify_video(film, classifier, finder=finder()))
    assert [frame.frame for frame in frames] == list(range(30))
    assert [frame.time for frame in frames] == [number / 10 for number in range(30)]
    assert [len(frame.faces) for frame in frames] == [2] * 27 + [0] * 3
    for frame in frames[:27]:
        for shade, x, y, side in moving(frame.frame):
            (each,) = (each for each in frame.faces if each.face.width == side)
            assert (each.face.x, each.face.y, each.face.height) == (x, y, side)
            assert each.face.prediction is not None
            assert each.face.prediction.probabilities[0] * 255 == pytest.approx(shade, abs=10)  # the edge is of both
            assert each.track is not None and each.smoothed is None


def test_a_track_is_the_same_face_in_all_frames(film: Path, classifier: Shades) -> None:
    tracks: dict[float, set[int | None]] = {20: set(), 28: set()}
    for frame in classify_video(film, classifier, finder=finder()):
        for each in frame.faces:
            tracks[each.face.width].add(each.track)
    assert sorted(map(list, tracks.values())) == [[0], [1]]


def test_batches_are_filled_across_frames(film: Path, classifier: Shades) -> None:
    assert len(list(classify_video(film, classifier, finder=finder()))) == 30
    assert sorted(classifier.sizes, reverse=True) == [4] * 13 + [2]
    classifier.sizes.clear()
    frames = list(classify_video(film, classifier, finder=finder(), faces="largest"))
    assert [len(frame.faces) for frame in frames] == [1] * 27 + [0] * 3
    assert sorted(classifier.sizes, reverse=True) == [4] * 6 + [3]


@pytest.mark.parametrize(
    ("part", "numbers"),
    [
        ({"every": "0.5s"}, [0, 5, 10, 15, 20, 25]),
        ({"every": "7f"}, [0, 7, 14, 21, 28]),
        ({"every": "keyframes"}, [0, 5, 10, 15, 20, 25]),
        ({"start": 1.0, "end": 1.3}, [10, 11, 12]),
        ({"start": 2.75, "threads": 1}, [28, 29]),
    ],
)
def test_a_part_of_a_film(part: dict[str, Any], numbers: list[int], film: Path, classifier: Shades) -> None:
    frames = list(classify_video(film, classifier, finder=finder(), **part))
    assert [frame.frame for frame in frames] == numbers
    assert [frame.time for frame in frames] == [number / 10 for number in numbers]
    for frame in frames:
        expected = moving(frame.frame) if frame.frame < 27 else []
        assert sorted(each.face.x for each in frame.faces) == sorted(x for _, x, _, _ in expected)


def test_times_are_the_films_own(tmp_path: Path, classifier: Shades) -> None:
    path = save(tmp_path / "uneven.mkv", [moving(0)] * 4, stamps=[0, 1, 7, 30])
    frames = classify_video(path, classifier, finder=finder())
    assert [frame.time for frame in frames] == [0.0, 0.1, 0.7, 3.0]


def test_times_that_go_back_lose_no_frame(film: Path, classifier: Shades, monkeypatch: pytest.MonkeyPatch) -> None:
    frames = Film.frames

    def damaged(self: Film) -> Iterator[Frame]:
        for frame in frames(self):
            frame.time = 0.3 if frame.number == 12 else frame.time
            yield frame

    monkeypatch.setattr(Film, "frames", damaged)
    found = list(classify_video(film, classifier, finder=finder(), smooth=1.0))
    assert [frame.time for frame in found][10:14] == [1.0, 1.1, 0.3, 1.3]
    assert {tuple(each.track for each in frame.faces) for frame in found[:27]} == {(1, 0)}, "the larger face first"


def test_broadcasts_that_were_joined_go_on_one_after_the_other(tmp_path: Path) -> None:
    part = save_film(tmp_path / "part.ts", 30).read_bytes()
    (tmp_path / "joined.ts").write_bytes(part * 2)
    with Film(tmp_path / "joined.ts") as joined:
        found = [(frame.number, frame.time) for frame in joined.frames()]
    assert found == [(number, number / 25) for number, _ in found]
    assert {*range(27), *range(31, 60)} <= {number for number, _ in found}, "those at the seam may be damaged"


def test_a_turned_film_has_upright_faces_in_pixels_of_the_whole_frame(tmp_path: Path, classifier: Shades) -> None:
    upright = np.asarray(draw(SIZE, [(70, 20, 30, 40)]))
    stored = np.rot90(upright, -1)  # a player turns it to the left
    path = save_film(tmp_path / "turned.mp4", [stored] * 3, codec="libx264", options={"crf": "8"}, rotation=90)
    for frame in classify_video(path, classifier, finder=finder(80)):
        (each,) = frame.faces
        assert (each.face.x, each.face.y, each.face.width) == pytest.approx((20, 30, 40), abs=4)
        assert each.face.prediction is not None
        assert each.face.prediction.probabilities[0] * 255 == pytest.approx(70, abs=3)


def test_predictions_are_averaged_along_a_track(tmp_path: Path, classifier: Shades) -> None:
    # One face whose shade changes in the middle, and the finder tells both as it tells each face: by its place alone.
    path = save(tmp_path / "film.mkv", [[(70 if number < 10 else 220, 40, 30, 30)] for number in range(20)])
    frames = list(classify_video(path, classifier, finder=finder(), smooth=1.0))
    own = [frame.faces[0].face.prediction.probabilities[0] for frame in frames]
    smoothed = [frame.faces[0].smoothed.probabilities[0] for frame in frames]
    assert [frame.faces[0].track for frame in frames] == [0] * 20
    assert [frame.faces[0].smoothed.classes for frame in frames] == [classifier.classes] * 20
    np.testing.assert_allclose(smoothed[:10], own[:10], atol=1e-6)
    assert own[9] == pytest.approx(70 / 255, abs=0.03) and own[10] == pytest.approx(220 / 255, abs=0.03)
    assert (np.diff(smoothed[9:]) > 0).all() and smoothed[10] < 0.5 < smoothed[19] < own[19] + 1e-6


def test_a_damaged_film_says_so_once_its_good_frames_are_given(tmp_path: Path, classifier: Shades) -> None:
    content = save(tmp_path / "whole.mkv", [moving(number) for number in range(27)]).read_bytes()
    (tmp_path / "cut.mkv").write_bytes(content[: len(content) // 2])
    frames = []
    with pytest.raises(DecodeError, match=r"cut\.mkv: at 1\.\d+ s: ") as caught:
        for frame in classify_video(tmp_path / "cut.mkv", classifier, finder=finder()):
            frames.append(frame.frame)
    assert caught.value.status is Status.CORRUPT
    assert frames == list(range(len(frames))) and 10 < len(frames) < 27


def test_what_is_no_film_is_told_by_name(tmp_path: Path, classifier: Shades) -> None:
    (tmp_path / "text.mp4").write_text("no film" * 100)
    for name, status in (("text.mp4", Status.UNSUPPORTED), ("gone.mp4", Status.UNREADABLE)):
        frames = classify_video(tmp_path / name, classifier, finder=finder())
        with pytest.raises(DecodeError, match=f"{name}: ") as caught:
            next(frames)
        assert caught.value.status is status


@pytest.mark.parametrize(
    ("arguments", "error", "sentence"),
    [
        ({"faces": "none"}, ValueError, "faces must be all or largest, not 'none'"),
        ({"finder": "finder"}, TypeError, "finder must be a FaceFinder, not 'finder'"),
        ({"every": "0.5"}, ValueError, "every must be as"),
        ({"start": 2, "end": 1}, ValueError, "end must be after start"),
        ({"smooth": -1}, ValueError, "smooth must be a number of 0 or more, not -1"),
        ({"patience": "1"}, TypeError, "patience must be a number of 0 or more, not '1'"),
        ({"threads": 0}, ValueError, "threads must be"),
    ],
)
def test_a_wrong_argument_is_refused_before_the_film_is_opened(
    arguments: dict[str, Any], error: type[Exception], sentence: str
) -> None:
    with pytest.raises(error, match=sentence):
        classify_video("gone.mp4", **arguments)


def test_without_pyav_the_extra_is_named_before_the_film_is_opened(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "av", None)
    with pytest.raises(MissingExtraError, match=r"a film needs av, .*: pip install 'fer-fast\[video\]'"):
        classify_video("gone.mp4")


def test_what_is_opened_here_is_closed_here(film: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[Any] = []

    class Own(Shades):
        def __init__(self) -> None:
            super().__init__()
            opened.extend((self, finder()))

        def own_finder(self) -> ShadeFinder:
            return opened[1]

        def __enter__(self) -> Own:
            return self

        def __exit__(self, *_: object) -> None:
            self.close()

    monkeypatch.setattr(classify, "Classifier", Own)
    assert len(list(classify_video(film))) == 30
    frames = classify_video(film)
    assert next(frames).frame == 0 and [each.closed for each in opened] == [True, False, False, False]
    frames.close()
    assert opened[2].closed


def test_a_loop_that_is_left_reads_no_further(film: Path, classifier: Shades) -> None:
    looking = finder()
    frames = classify_video(film, classifier, finder=looking)
    assert next(frames).frame == 0
    frames.close()
    assert len(looking.seen) < 30 and not looking.closed
    assert not threads_left("fer-fast-faces", "fer-fast-model")
    assert list(frames) == []


def test_what_fails_is_raised(film: Path, classifier: Shades) -> None:
    looking = finder()
    looking.fails = FerFastError("no card")
    with pytest.raises(FerFastError, match="no card"):
        list(classify_video(film, classifier, finder=looking))
    classifier.fail_at = classifier.calls + 2
    given = []
    with pytest.raises(RuntimeError, match=r"out of\nmemory"):
        for frame in classify_video(film, classifier, finder=finder()):
            given.append(frame.frame)
    assert given == [0, 1, 2, 3][: len(given)]


def test_ctrl_c_ends_it(film: Path, classifier: Shades, interruptible: None) -> None:
    looking = finder()
    seen, find_in = [], looking.find_in

    def interrupted(pixels: np.ndarray) -> np.ndarray:
        seen.append(pixels.shape)
        if len(seen) == 9:
            os.kill(os.getpid(), signal.SIGINT)
        return find_in(pixels)

    looking.find_in = interrupted  # type: ignore[method-assign]
    with pytest.raises(KeyboardInterrupt):
        for _ in classify_video(film, classifier, finder=looking):
            pass
    assert not threads_left("fer-fast-faces", "fer-fast-model")


@pytest.mark.parametrize("faces", [0, 1, 2])
def test_as_many_frames_are_held_in_a_long_film_as_in_a_short_one(
    faces: int, tmp_path: Path, classifier: Shades
) -> None:
    path = save(tmp_path / "long.mkv", [moving(number % 30)[:faces] for number in range(600)])
    most = 0
    for number, _ in enumerate(classify_video(path, classifier, finder=finder())):
        if number % 20 == 0:
            most = max(most, sum(type(each) is Frame for each in gc.get_objects()))
    assert number == 599 and 0 < most <= 2 * classifier.decoder.workers + 2


def test_a_forked_child_is_told_and_ends(film: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-W", "ignore", "-c", FORKS, str(film), str(tmp_path)]
    done = subprocess.run(command, cwd=TESTS, capture_output=True, text=True, timeout=120)
    assert (done.returncode, done.stderr) == (0, "")


def test_the_packaged_models_follow_a_face_through_a_film(tmp_path: Path) -> None:
    with Image.open(PHOTO) as opened:
        photo = opened.convert("RGB").resize((256, 256))
    pans = [np.asarray(photo.crop((3 * number, 0, 3 * number + 192, 256))) for number in range(20)]
    path = save_film(tmp_path / "pan.mp4", pans, rate=20)
    frames = list(classify_video(path, smooth=0.5))
    assert [frame.frame for frame in frames] == list(range(20))
    lefts = []
    for frame in frames:
        (each,) = frame.faces
        assert each.track == 0 and each.face.prediction is not None and each.smoothed is not None
        assert each.smoothed.probabilities.sum() == pytest.approx(1, abs=1e-5)
        lefts.append(each.face.x)
    assert lefts[0] - lefts[-1] == pytest.approx(3 * 19, abs=8)
