"""Images that come one by one: each is taken once, copied, answered in order, and few are held."""

from __future__ import annotations

import io
import threading
import weakref
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, nullcontext
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from decoding import until
from image_files import face
from PIL import Image, ImageSequence
from threads_left import threads_left
from tiny_models import faces, save_image_model

from fer_fast import predictions
from fer_fast.classifier import Classifier
from fer_fast.predictions import Predictions
from fer_fast.types import DecodeError, FerFastError, Prediction, Status

SIDE = 8
BATCH = 4
WORKERS = 2
#: Images that may be taken before an earlier one is answered: the engine has one stream.
AHEAD = 4 * BATCH


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("model") / "model.safetensors"
    save_image_model(path)
    return path


def opened(checkpoint: Path) -> Classifier:
    options: dict[str, Any] = {"engine": "openvino", "device": "cpu", "precision": "fp32", "decoder": "pillow"}
    with pytest.MonkeyPatch.context() as patch:  # a container with one processor's worth of time
        patch.setattr("fer_fast.machine.processors.cpu_quota", lambda _: 1)
        return Classifier(checkpoint, batch_size=BATCH, workers=WORKERS, **options)


@pytest.fixture(scope="module")
def classifier(checkpoint: Path) -> Iterator[Classifier]:
    with opened(checkpoint) as made:
        assert made.streams == 1
        yield made


@pytest.fixture(autouse=True)
def no_thread_is_left() -> Iterator[None]:
    yield
    assert not threads_left("fer-fast-model", "fer-fast-convert")


def rows(answers: Iterable[Prediction]) -> np.ndarray:
    return np.stack([answer.probabilities for answer in answers])


def reused_array(images: np.ndarray) -> Iterator[np.ndarray]:
    buffer = np.empty_like(images[0])
    for each in images:
        buffer[...] = each
        yield buffer
        buffer[...] = 0


def reused_grey(images: np.ndarray) -> Iterator[np.ndarray]:
    for each in reused_array(images):
        yield each[..., 1]


def reused_image(images: np.ndarray) -> Iterator[Image.Image]:
    buffer = Image.new("RGB", images.shape[2:0:-1])
    for each in images:
        buffer.paste(Image.fromarray(each))
        yield buffer
        buffer.paste("black", (0, 0, *buffer.size))


def encoded(image: np.ndarray) -> bytes:
    content = io.BytesIO()
    Image.fromarray(image).save(content, "bmp")  # one size for all
    return content.getvalue()


def reused_bytes(images: np.ndarray) -> Iterator[bytearray]:
    buffer = bytearray(encoded(images[0]))
    for each in images:
        buffer[:] = encoded(each)
        yield buffer
        buffer[:] = bytes(len(buffer))


def reused_view(images: np.ndarray) -> Iterator[memoryview]:
    for each in reused_bytes(images):
        yield memoryview(each)


def reused_file(images: np.ndarray) -> Iterator[io.BytesIO]:
    buffer = io.BytesIO()
    for each in images:
        buffer.seek(0)
        buffer.truncate()
        buffer.write(encoded(each))
        yield buffer


def unread_then_closed(images: np.ndarray) -> Iterator[Image.Image]:
    for each in images:
        with Image.open(io.BytesIO(encoded(each))) as image:
            yield image


@pytest.mark.parametrize(
    "producer",
    [reused_array, reused_grey, reused_image, reused_bytes, reused_view, reused_file, unread_then_closed],
)
@pytest.mark.parametrize("ahead", [None, 0])
def test_a_producer_may_change_its_buffer(
    classifier: Classifier, producer: Callable[[np.ndarray], Iterator[Any]], ahead: int | None
) -> None:
    images = faces(11, 30)
    kept = list(images[..., 1]) if producer is reused_grey else list(images)
    expected = rows(classifier.predict(kept))
    assert np.abs(expected[0] - expected[-1]).max() > 0.01, "different pictures must differ"
    np.testing.assert_allclose(rows(classifier.predict_iter(producer(images), ahead=ahead)), expected, atol=1e-5)
    np.testing.assert_array_equal(rows(classifier.predict(producer(images))), expected)


@pytest.mark.parametrize("kind", ["GIF", "TIFF", "WEBP"])
def test_the_pictures_of_a_film_are_all_seen(classifier: Classifier, kind: str) -> None:
    content = io.BytesIO()
    first, *others = [face(seed=seed) for seed in range(9)]
    first.save(content, kind, save_all=True, append_images=others)
    with Image.open(content) as film:
        expected = rows(classifier.predict([picture.convert("RGB") for picture in ImageSequence.Iterator(film)]))
    with Image.open(content) as film:
        found = rows(classifier.predict(ImageSequence.Iterator(film)))
    assert len({row.tobytes() for row in expected}) == 9
    np.testing.assert_array_equal(found, expected)


class Camera:
    """Gives images, and knows how many were taken, and how many of them somebody still has."""

    def __init__(self, images: Iterable[Any], before: Callable[[int], None] = lambda taken: None) -> None:
        self.images, self.before, self.taken = images, before, 0
        self.living: weakref.WeakValueDictionary[int, Any] = weakref.WeakValueDictionary()
        self.most_living = 0

    def __iter__(self) -> Iterator[Any]:
        for each in self.images:
            self.before(self.taken)
            self.taken += 1
            image = each.copy() if isinstance(each, np.ndarray) else each
            if isinstance(each, np.ndarray):
                self.living[self.taken] = image
            self.most_living = max(self.most_living, len(self.living))
            yield image
            del image


@pytest.mark.parametrize("ahead", [0, 1, 2, 3, 5, 9, None])
@pytest.mark.parametrize("kind", ["arrays", "paths", "mixed"])
def test_no_more_are_taken_than_said(classifier: Classifier, tmp_path: Path, ahead: int | None, kind: str) -> None:
    pixels = faces(61, 12)
    images: list[Any] = list(pixels)
    for number in range(0 if kind != "arrays" else len(images), len(images), 1 if kind == "paths" else 3):
        images[number] = tmp_path / f"{number}.png"
        Image.fromarray(pixels[number]).save(images[number])
    camera = Camera(images)
    most = AHEAD if ahead is None else ahead + 1
    answers = []
    for answer in classifier.predict_iter(camera, ahead=ahead):
        assert camera.taken - len(answers) <= most
        answers.append(answer)
    np.testing.assert_allclose(rows(answers), rows(classifier.predict(list(pixels))), atol=1e-5)


def test_images_are_let_go(classifier: Classifier) -> None:
    camera = Camera(faces(150, 12))
    assert len(classifier.predict(camera)) == 150
    assert camera.most_living <= 2, "the one that is given, and the one before"


def test_few_images_are_held_at_their_full_size(classifier: Classifier, monkeypatch: pytest.MonkeyPatch) -> None:
    copied, most, done, go_on = 0, 0, 0, threading.Event()
    copy, convert = predictions.copy_of, predictions.pixels_of

    def counted(*arguments: Any) -> Any:
        nonlocal copied, most
        copied += 1
        most = max(most, copied - done)
        return copy(*arguments)

    def slow(*arguments: Any) -> Any:
        nonlocal done
        assert go_on.wait(20)
        done += 1  # before it is let go, so that too many are never missed
        return convert(*arguments)

    monkeypatch.setattr(predictions, "copy_of", counted)
    monkeypatch.setattr(predictions, "pixels_of", slow)
    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(classifier.predict, iter(faces(13, 12)))
        until(lambda: copied == WORKERS + 1)
        go_on.set()
        assert len(running.result(20)) == 13
    assert most == WORKERS + 1


def test_a_live_source_gets_each_answer_before_the_next_image(classifier: Classifier) -> None:
    events: list[str] = []
    camera = Camera(faces(6, 12), lambda taken: events.append(f"image {taken}"))
    for number, _ in enumerate(classifier.predict_iter(camera, ahead=0)):
        events.append(f"answer {number}")
    assert events == [f"{what} {number}" for number in range(6) for what in ("image", "answer")]


def test_images_are_taken_while_the_model_works(classifier: Classifier, monkeypatch: pytest.MonkeyPatch) -> None:
    all_taken = threading.Event()
    camera = Camera(faces(99, 12), lambda taken: all_taken.set() if taken == AHEAD - 1 else None)
    infer = classifier._engine.infer

    def slow(pixels: Any) -> Any:
        assert all_taken.wait(20), "the first batch is answered before others are taken"
        return infer(pixels)

    monkeypatch.setattr(classifier._engine, "infer", slow)
    with closing(classifier.predict_iter(camera)) as answers:
        next(answers)
        assert camera.taken == AHEAD


def test_what_is_answered_is_given_before_another_image_is_taken(
    classifier: Classifier, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked, infer = threading.Event(), classifier._engine.infer

    def slow(pixels: Any) -> Any:
        assert asked.wait(20)
        return infer(pixels)

    def wait(taken: int) -> None:
        if taken == BATCH:  # the first batch is in the model, and done before this image comes
            asked.set()
            until(stream._flight[0].done)

    monkeypatch.setattr(classifier._engine, "infer", slow)
    camera = Camera(faces(99, 12), wait)
    stream = Predictions(camera, classifier._means(nullcontext))
    with closing(iter(stream)) as answers:
        assert len([next(answers) for _ in range(BATCH)]) == BATCH
        assert camera.taken == BATCH + 1


@pytest.mark.parametrize("fast", [True, False])
def test_batches_do_not_depend_on_who_is_faster(
    classifier: Classifier, monkeypatch: pytest.MonkeyPatch, fast: bool
) -> None:
    sizes: list[int] = []
    infer, gate = classifier._engine.infer, threading.Semaphore(0)

    def counted(pixels: Any) -> Any:
        if not fast:
            assert gate.acquire(timeout=20)
        sizes.append(len(pixels))
        return infer(pixels)

    def wait(taken: int) -> None:
        if fast:
            until(lambda: len(sizes) == taken // BATCH)
        elif taken == 9:
            gate.release(9)

    monkeypatch.setattr(classifier._engine, "infer", counted)
    assert len(classifier.predict(Camera(faces(10, 12), wait))) == 10
    assert sizes == [BATCH, BATCH, 2]


def test_a_single_image_starts_no_thread(classifier: Classifier, monkeypatch: pytest.MonkeyPatch) -> None:
    image = faces(1, 30)[0]
    expected = rows(classifier.predict([image]))
    monkeypatch.setattr(predictions.Threads, "_adjust_thread_count", lambda pool: pytest.fail("a thread is started"))
    np.testing.assert_array_equal(rows(classifier.predict([image])), expected)
    np.testing.assert_array_equal(rows(classifier.predict_iter(iter([image]), ahead=0)), expected)


def test_an_iterator_may_be_left(classifier: Classifier) -> None:
    images = faces(40, 12)
    for answer in classifier.predict_iter(iter(images)):
        assert answer == classifier.predict(images[:BATCH])[0]
        break
    classifier.predict_iter(iter(images))  # never begun
    answers = classifier.predict_iter(iter(images))
    next(answers)
    answers.close()
    with pytest.raises(StopIteration):
        next(answers)


@pytest.mark.parametrize("ahead", [None, 0, 2])
def test_what_the_producer_raises_comes_after_the_answers(classifier: Classifier, ahead: int | None) -> None:
    def broken() -> Iterator[np.ndarray]:
        yield from images
        raise LookupError("the camera is gone")

    images = faces(6, 12)
    answers = classifier.predict_iter(broken(), ahead=ahead)
    found = [next(answers) for _ in images]
    np.testing.assert_allclose(rows(found), rows(classifier.predict(images)), atol=1e-5)
    with pytest.raises(LookupError, match="the camera is gone"):
        next(answers)
    with pytest.raises(LookupError, match="the camera is gone"):
        classifier.predict(broken())


def test_an_interrupt_of_the_producer_goes_through(classifier: Classifier) -> None:
    def interrupted() -> Iterator[np.ndarray]:
        yield from faces(6, 12)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        list(classifier.predict_iter(interrupted()))


BROKEN = b"\x89PNG\r\n\x1a\n" + bytes(30)


@pytest.mark.parametrize("ahead", [None, 0, 2])
@pytest.mark.parametrize("place", [0, 5, 7])
@pytest.mark.parametrize(
    ("image", "error", "words"),
    [
        (BROKEN, DecodeError, r"^images\[{}\]: (?!images)"),
        (b"", DecodeError, r"^images\[{}\]: the file has no bytes"),
        (Path("/nowhere/face.png"), DecodeError, "^/nowhere/face.png: "),
        (np.zeros((8, 8), np.float64), TypeError, r"^images\[{}\]: an image array must be uint8, not float64"),
        (np.zeros((8, 8, 2), np.uint8), ValueError, r"^images\[{}\]: an image array must be"),
    ],
    ids=["broken", "empty", "absent", "float", "channels"],
)
@pytest.mark.parametrize("held", [True, False])
def test_one_image_at_fault_is_named_after_the_answers(
    classifier: Classifier, image: Any, error: type[Exception], words: str, place: int, ahead: int | None, held: bool
) -> None:
    images: list[Any] = list(faces(11, 12))
    expected = rows(classifier.predict(images))
    images[place] = image
    images[place + 1] = BROKEN  # the first is told
    answers = classifier.predict_iter(images if held else iter(images), ahead=ahead)
    found = [next(answers) for _ in range(place)]
    if found:
        np.testing.assert_allclose(rows(found), expected[:place], atol=1e-5)
    with pytest.raises(error, match=words.format(place)):
        next(answers)
    with pytest.raises(StopIteration):
        next(answers)


def test_an_engine_that_fails_is_told(classifier: Classifier, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(_: Any) -> Any:
        raise FerFastError("the card is gone")

    monkeypatch.setattr(classifier._engine, "infer", broken)
    for ahead in (None, 0):
        with pytest.raises(FerFastError, match="the card is gone"):
            list(classifier.predict_iter(faces(11, 12), ahead=ahead))


@pytest.mark.parametrize("ahead", [None, 0])
@pytest.mark.parametrize("kind", ["arrays", "paths"])
def test_closed_between_two_answers(checkpoint: Path, tmp_path: Path, kind: str, ahead: int | None) -> None:
    images: list[Any] = list(faces(60, 12))
    if kind == "paths":
        for number, pixels in enumerate(images):
            Image.fromarray(pixels).save(tmp_path / f"{number}.png")
        images = sorted(tmp_path.iterdir())
    with opened(checkpoint) as made:
        answers = made.predict_iter(images, ahead=ahead)
        next(answers)
        made.close()
        with pytest.raises(FerFastError, match="the classifier is closed"):
            next(answers)
        with pytest.raises(StopIteration):
            next(answers)
        with pytest.raises(FerFastError, match="the classifier is closed"):
            made.predict_iter(images)


def test_closed_by_the_producer(checkpoint: Path) -> None:
    made = opened(checkpoint)
    camera = Camera(faces(60, 12), lambda taken: made.close() if taken == 2 * BATCH + 1 else None)
    with pytest.raises(FerFastError, match="the classifier is closed"):
        list(made.predict_iter(camera))
    assert camera.taken <= 3 * BATCH


def test_closed_by_another_thread_while_the_producer_is_silent(checkpoint: Path) -> None:
    made = opened(checkpoint)
    silent, go_on = threading.Event(), threading.Event()

    def wait(taken: int) -> None:
        if taken == BATCH - 1:
            silent.set()
            assert go_on.wait(20)

    with ThreadPoolExecutor(2) as pool:
        running = pool.submit(list, made.predict_iter(Camera(faces(60, 12), wait)))
        assert silent.wait(20)
        pool.submit(made.close).result(20)  # a camera that gives nothing keeps nobody from closing
        go_on.set()
        with pytest.raises(FerFastError, match="the classifier is closed"):
            running.result(20)


def test_an_image_that_is_there_many_times_is_read_once(classifier: Classifier) -> None:
    content = io.BytesIO()
    face(160, 160).save(content, "jpeg")
    with Image.open(content) as image:
        image.draft("RGB", (80, 80))  # its owner's: it is loaded by Pillow
        reads: list[int] = []
        end = image.load_end
        image.load_end = lambda: (reads.append(threading.get_ident()), end())[1]  # type: ignore[method-assign]
        with ThreadPoolExecutor(3) as pool:
            found = [*pool.map(classifier.predict, [[image] * 23] * 3)]
    assert len(reads) == 1
    assert len({answer.probabilities.tobytes() for answer in found[0][: 5 * BATCH]}) == 1
    for each in found:
        np.testing.assert_allclose(rows(each), rows(found[0]), atol=1e-5)


@pytest.mark.parametrize(
    ("arguments", "error", "words"),
    [
        ({"ahead": -1}, ValueError, "ahead must be None or an integer of 0 or more, not -1"),
        ({"ahead": 1.5}, TypeError, "ahead must be None or an integer of 0 or more, not 1.5"),
        ({"ahead": True}, TypeError, "ahead must be None or an integer of 0 or more, not True"),
        ({"exif": None}, TypeError, "exif must be True or False, not None"),
        ({"exif": 0}, TypeError, "exif must be True or False, not 0"),
    ],
    ids=str,
)
def test_wrong_arguments_are_told_at_once(
    classifier: Classifier, arguments: dict[str, Any], error: type[Exception], words: str
) -> None:
    with pytest.raises(error, match=words):
        classifier.predict_iter([], **arguments)
    if "exif" in arguments:
        with pytest.raises(error, match=words):
            classifier.predict([], **arguments)


def test_images_that_were_turned_by_hand_are_not_turned_again(classifier: Classifier, tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    path = tmp_path / "photo.png"
    # Of the model's size: to turn and resize rounds otherwise than to resize and turn.
    Image.fromarray(faces(3, SIDE)[2]).save(path, exif=exif)
    upright = rows(classifier.predict([path]))[0]
    with Image.open(path) as image:
        lying = rows(classifier.predict([image.copy()], exif=False))[0]
        by_hand = image.transpose(Image.Transpose.ROTATE_270)
    assert by_hand.info.get("exif") and np.abs(upright - lying).max() > 0.01
    images = [by_hand, path, path.read_bytes(), path.open("rb"), np.asarray(by_hand)]
    for found in (classifier.predict(images, exif=False), classifier.predict_iter(iter(images), exif=False)):
        for row in rows(found):
            np.testing.assert_allclose(row, upright, atol=1e-5)
    images[3].close()
    assert np.abs(rows(classifier.predict([by_hand]))[0] - upright).max() > 0.01


def test_too_many_pixels_are_refused_of_every_kind(checkpoint: Path, tmp_path: Path) -> None:
    path = tmp_path / "face.png"
    face(40, 32).save(path)
    with Image.open(path) as unread, Image.open(path) as loaded, path.open("rb") as file:
        loaded.load()
        kinds = [path, path.read_bytes(), file, unread, loaded, np.asarray(loaded), np.asarray(loaded)[..., 0]]
        for most, fits in ((40 * 32, True), (40 * 32 - 1, False)):
            options: dict[str, Any] = {"engine": "openvino", "device": "cpu", "decoder": "pillow"}
            with Classifier(checkpoint, max_pixels=most, workers=1, **options) as strict:
                if fits:
                    assert len(strict.predict(kinds)) == len(kinds)
                    continue
                for image in kinds:
                    with pytest.raises(DecodeError, match="32 x 40 pixels are more than the limit of 1279") as caught:
                        strict.predict([image])
                    assert caught.value.status is Status.TOO_LARGE
