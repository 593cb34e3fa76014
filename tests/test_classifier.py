"""The one object that users hold: every kind of image, order, probabilities, threads, and clear refusals."""

from __future__ import annotations

import io
import pickle
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import pytest
from PIL import Image
from tiny_models import faces, image_config, image_logits, save_image_model, softmax

import fer_fast
from fer_fast.classifier import DEFAULT_BATCH_SIZE, Classifier
from fer_fast.models.files.checkpoint import read_checkpoint
from fer_fast.types import EMOTIONS, CheckpointError, DecodeError, FerFastError, Prediction, Row, Status

SIZE = 8
TEMPERATURE = 1.6
#: The fp32 engine against the fp32 reference: see TOLERANCES in test_engines.py.
CLOSE = {"rtol": 0, "atol": 1e-4}


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("model") / "model.safetensors"
    save_image_model(path, image_config(temperature=TEMPERATURE))
    return path


@pytest.fixture(scope="module")
def classifier(checkpoint: Path) -> Iterator[Classifier]:
    with Classifier(checkpoint, engine="openvino", device="cpu", precision="fp32", batch_size=4, workers=2) as opened:
        yield opened


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Pictures that are neither square nor of the model's size, without loss."""
    folder = tmp_path_factory.mktemp("photos")
    paths = [folder / f"{number}.png" for number in range(11)]
    for path, pixels in zip(paths, faces(len(paths), 40), strict=True):
        Image.fromarray(pixels[:31]).save(path)
    return paths


def rows(predictions: list[Prediction]) -> np.ndarray:
    return np.stack([prediction.probabilities for prediction in predictions])


def test_probabilities_are_the_references_with_temperature(classifier: Classifier, checkpoint: Path) -> None:
    pixels = faces(4, SIZE)
    model = read_checkpoint(checkpoint)
    logits = image_logits(model.config, model.tensors, pixels)
    found = classifier.predict_batch(pixels)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, softmax(logits / TEMPERATURE), **CLOSE)
    assert np.abs(found - softmax(logits)).max() > 0.05, "the temperature does not show"
    np.testing.assert_allclose(found.sum(axis=1), 1.0, rtol=1e-6)


def test_prediction_names_the_likeliest_class(classifier: Classifier) -> None:
    for prediction in classifier.predict(faces(9, 20)):
        assert prediction.classes == EMOTIONS == classifier.classes
        assert prediction.label == EMOTIONS[int(np.argmax(prediction.probabilities))]
        assert prediction.confidence == float(prediction.probabilities.max())


def test_extreme_logits_stay_finite(classifier: Classifier, monkeypatch: pytest.MonkeyPatch) -> None:
    logits = np.array([[1e4, -1e4, 0, 0, 0, 0, 0, 0]], np.float32)
    monkeypatch.setattr(classifier._engine, "infer", lambda _: logits)
    np.testing.assert_array_equal(classifier.predict_batch(faces(1, SIZE))[0], [1, 0, 0, 0, 0, 0, 0, 0])


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_a_value_that_is_not_a_number_is_no_answer(
    classifier: Classifier, monkeypatch: pytest.MonkeyPatch, value: float
) -> None:
    monkeypatch.setattr(classifier._engine, "infer", lambda _: np.array([[0, value, 0, 0, 0, 0, 0, 0]], np.float32))
    with pytest.raises(FerFastError, match="a value that is not a number; another precision may help"):
        classifier.predict(list(faces(1, SIZE)))


def test_every_kind_of_image_gives_the_same(classifier: Classifier, photos: list[Path]) -> None:
    expected = rows(classifier.predict(photos))
    assert np.abs(expected[0] - expected[1]).max() > 0.01, "different pictures must differ"
    arrays = [np.asarray(Image.open(path)) for path in photos]
    kinds: list[list[Any]] = [
        [str(path) for path in photos],
        [Image.open(path) for path in photos],  # not loaded before
        [Image.open(path).copy() for path in photos],
        arrays,
        [array[:, ::-1][:, ::-1] for array in arrays],  # strides
        [path.read_bytes() for path in photos],
        [bytearray(path.read_bytes()) for path in photos],
        [memoryview(path.read_bytes()) for path in photos],
        [io.BytesIO(path.read_bytes()) for path in photos],
    ]
    for kind in kinds:
        np.testing.assert_array_equal(rows(classifier.predict(kind)), expected)
    mixed = [kinds[number % len(kinds)][number] for number in range(len(photos))]
    np.testing.assert_array_equal(rows(classifier.predict(mixed)), expected)
    np.testing.assert_array_equal(rows(classifier.predict(iter(mixed))), expected)


def test_grey_is_three_equal_channels(classifier: Classifier, tmp_path: Path) -> None:
    grey = faces(1, 30)[0, :, :, 0]
    Image.fromarray(grey).save(tmp_path / "grey.png")
    images = [grey, np.stack([grey] * 3, axis=2), Image.fromarray(grey), tmp_path / "grey.png"]
    found = rows(classifier.predict(images))
    for row in found[1:]:
        np.testing.assert_array_equal(row, found[0])


def test_order_is_kept_over_many_batches(classifier: Classifier) -> None:
    images = list(faces(23, 12))
    together = rows(classifier.predict(images))
    for number in (0, 3, 4, 22):
        np.testing.assert_allclose(together[number], rows(classifier.predict([images[number]]))[0], **CLOSE)
    backwards = rows(classifier.predict(images[::-1]))
    np.testing.assert_allclose(backwards[::-1], together, **CLOSE)


def test_no_images(classifier: Classifier) -> None:
    assert classifier.predict([]) == []


@pytest.mark.parametrize(
    ("images", "kind"),
    [
        ("face.png", "str"),
        (Path("face.png"), "PosixPath"),
        (np.zeros((8, 8, 3), np.uint8), "ndarray"),
        (Image.new("RGB", (8, 8)), "Image"),
        (None, "NoneType"),
        (b"\xff\xd8\xff", "bytes"),
        (bytearray(9), "bytearray"),
        (io.BytesIO(b"\xff\xd8\xff"), "BytesIO"),
    ],
    ids=["str", "path", "array", "image", "none", "bytes", "bytearray", "file"],
)
def test_one_image_instead_of_several(classifier: Classifier, images: Any, kind: str) -> None:
    for call in (classifier.predict, classifier.predict_iter):
        with pytest.raises(TypeError, match=f"images must be several images, such as a list, not one {kind}"):
            call(images)


@pytest.mark.parametrize(
    ("image", "error", "words"),
    [
        (np.zeros((8, 8, 3), np.float32), TypeError, "uint8, not float32"),
        (np.zeros((8, 8, 4), np.uint8), ValueError, r"\[height, width, 3\].*\[8, 8, 4\]"),
        (np.zeros((0, 8, 3), np.uint8), ValueError, r"\[0, 8, 3\]"),
        (np.zeros(8, np.uint8), ValueError, r"not \[8\]"),
        (17, TypeError, "not int"),
        (io.StringIO("face.png"), TypeError, "must be binary, not one whose read.. gives str"),
        (Image.new("RGB", (0, 8)), ValueError, "must have pixels, not be 0 x 8"),
        (b"face.png", DecodeError, "not a jpeg, png"),
        (bytearray(), DecodeError, "the file has no bytes"),
    ],
    ids=["float", "rgba", "empty", "flat", "number", "text", "no pixels", "bytes", "no bytes"],
)
def test_what_is_no_image(classifier: Classifier, image: Any, error: type[Exception], words: str) -> None:
    for images in ([np.zeros((8, 8, 3), np.uint8), image], iter([np.zeros((8, 8, 3), np.uint8), image])):
        with pytest.raises(error, match=rf"^images\[1\]: .*{words}"):
            classifier.predict(images)


@pytest.mark.parametrize(
    ("pixels", "error", "words"),
    [
        (np.zeros((1, SIZE, SIZE, 3), np.float32), TypeError, "pixels must be a uint8 array, not float32"),
        ([[1, 2, 3]], TypeError, "pixels must be a uint8 array, not list"),
        (np.zeros((SIZE, SIZE, 3), np.uint8), ValueError, r"pixels must be \[1..4, 8, 8, 3\], not \[8, 8, 3\]"),
        (np.zeros((1, 3, SIZE, SIZE), np.uint8), ValueError, r"not \[1, 3, 8, 8\]"),
        (np.zeros((0, SIZE, SIZE, 3), np.uint8), ValueError, r"not \[0, 8, 8, 3\]"),
        (np.zeros((5, SIZE, SIZE, 3), np.uint8), ValueError, r"\[1..4, .*not \[5, 8, 8, 3\]"),
    ],
    ids=["float", "list", "one", "planar", "none", "too many"],
)
def test_wrong_batch(classifier: Classifier, pixels: Any, error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words):
        classifier.predict_batch(pixels)


def test_batch_of_any_layout(classifier: Classifier) -> None:
    pixels = faces(4, SIZE)
    expected = classifier.predict_batch(pixels)
    planar = np.ascontiguousarray(pixels.transpose(0, 3, 1, 2))
    np.testing.assert_array_equal(classifier.predict_batch(planar.transpose(0, 2, 3, 1)), expected)


def test_broken_file_is_named(classifier: Classifier, photos: list[Path], tmp_path: Path) -> None:
    broken = tmp_path / "broken.png"
    broken.write_bytes(photos[0].read_bytes()[:200])
    for path, status in ((broken, Status.CORRUPT), (tmp_path / "absent.png", Status.UNREADABLE)):
        with pytest.raises(DecodeError, match=path.name) as caught:
            classifier.predict([*photos, faces(1, 9)[0], path])
        assert caught.value.status is status
    assert len(classifier.predict(photos)) == len(photos), "it goes on after a broken file"


def test_too_large_files_are_not_decoded(checkpoint: Path, photos: list[Path]) -> None:
    with (
        Classifier(checkpoint, engine="openvino", device="cpu", max_pixels=100) as strict,
        pytest.raises(DecodeError) as caught,
    ):
        strict.predict(photos[:1])
    assert caught.value.status is Status.TOO_LARGE


def test_many_threads(classifier: Classifier, photos: list[Path]) -> None:
    expected = rows(classifier.predict(photos))

    def predict(number: int) -> np.ndarray:
        return rows(classifier.predict(photos[number % 11 :]))

    with ThreadPoolExecutor(6) as pool:
        results = list(pool.map(predict, range(22)))
    for number, found in enumerate(results):
        np.testing.assert_allclose(found, expected[number % 11 :], **CLOSE)


def test_describe_and_identity(classifier: Classifier, checkpoint: Path) -> None:
    said = classifier.describe()
    assert said["model"] == str(checkpoint)
    assert (said["image_size"], said["batch_size"], said["workers"]) == (SIZE, 4, 2)
    assert (said["engine"], said["precision"], said["decoder"]) == ("openvino", "fp32", "pillow")
    assert classifier.identity.endswith(" openvino fp32")
    with Classifier(checkpoint, engine="openvino", device="cpu", precision="bf16") as other:
        assert other.identity != classifier.identity
        assert other.identity.split()[0] == classifier.identity.split()[0]
        assert other.batch_size == DEFAULT_BATCH_SIZE


def test_closes_twice(checkpoint: Path) -> None:
    with Classifier(checkpoint, engine="openvino", device="cpu") as opened:
        opened.close()
    opened.close()


def test_closing_lets_calls_end_and_refuses_later_ones(
    checkpoint: Path, photos: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    opened = Classifier(checkpoint, engine="openvino", device="cpu", precision="fp32", batch_size=2, workers=1)
    expected = rows(opened.predict(photos))
    inside, go_on = threading.Event(), threading.Event()
    infer = opened._engine.infer

    def slow(pixels: Any) -> Any:
        inside.set()
        assert go_on.wait(20)
        return infer(pixels)

    monkeypatch.setattr(opened._engine, "infer", slow)
    with ThreadPoolExecutor(2) as pool:
        running = pool.submit(opened.predict, photos)  # of its batches most are not begun yet
        assert inside.wait(20)
        closing = pool.submit(opened.close)
        while not opened._closed:
            time.sleep(0.001)
        for call in (lambda: opened.predict(photos), lambda: opened.predict_batch(faces(1, SIZE))):
            with pytest.raises(FerFastError, match="the classifier is closed"):
                call()
        go_on.set()
        np.testing.assert_allclose(rows(running.result(20)), expected, **CLOSE)
        closing.result(20)
    opened.close()


def test_pickled_it_opens_where_it_is_unpickled(
    checkpoint: Path, photos: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(checkpoint.parent)
    options: dict[str, Any] = {
        "engine": "openvino",
        "device": "cpu",
        "precision": "fp32",
        "batch_size": 3,
        "workers": 1,
    }
    with Classifier(checkpoint.name, **options, max_pixels=5000) as opened:
        expected = rows(opened.predict(photos))
        pickled = pickle.dumps(opened)
    code = (
        "import pickle, sys; opened = pickle.load(sys.stdin.buffer); "
        "predictions = opened.predict(sys.argv[1:]); "
        "sys.stdout.buffer.write(pickle.dumps((predictions, opened.describe(), opened.decoder.limits.max_pixels)))"
    )
    command = [sys.executable, "-c", code, *map(str, photos)]
    done = subprocess.run(command, input=pickled, capture_output=True, cwd=tmp_path, check=True)
    predictions, said, max_pixels = pickle.loads(done.stdout)
    np.testing.assert_allclose(rows(predictions), expected, **CLOSE)
    assert (said["engine"], said["precision"], said["batch_size"], said["workers"]) == ("openvino", "fp32", 3, 1)
    assert max_pixels == 5000
    with Classifier("tiny", engine="openvino", device="cpu") as packaged:
        assert pickle.loads(pickle.dumps(packaged)).model == "tiny"


def test_predictions_are_values(classifier: Classifier) -> None:
    one, other = classifier.predict(faces(2, SIZE))
    again = Prediction(EMOTIONS, one.probabilities.copy())
    assert one == again == pickle.loads(pickle.dumps(one)) and hash(one) == hash(again)
    assert one != other and one != Prediction(EMOTIONS[::-1], one.probabilities) and one != "happiness"
    assert len({one, again, other}) == 2
    row = Row("a.png", Status.OK, prediction=one)
    assert row == Row("a.png", Status.OK, prediction=again) and hash(row) == hash(pickle.loads(pickle.dumps(row)))
    assert row != Row("a.png", Status.OK, prediction=other)


@pytest.mark.parametrize(
    ("arguments", "error", "words"),
    [
        ({"model": "no-such-model"}, CheckpointError, "no-such-model"),
        ({"engine": "caffe"}, ValueError, "engine must be one of auto, openvino, torch"),
        ({"device": "tpu"}, ValueError, "device must be one of auto, cpu, cuda"),
        ({"precision": "int3"}, ValueError, "precision must be one of auto, fp32"),
        ({"batch_size": 0}, ValueError, "batch_size must be at least 1, not 0"),
        ({"batch_size": "2"}, TypeError, "batch_size must be an integer of 1 or more, not '2'"),
        ({"max_memory": "2G"}, TypeError, "max_memory must be an integer of 1 or more, not '2G'"),
        ({"workers": 0}, ValueError, "workers must be at least 1, not 0"),
        ({"decoder": "opencv"}, ValueError, "decoder must be one of auto, pillow, dali, nvimagecodec"),
        ({"max_pixels": 0}, ValueError, "max_pixels must be at least 1, not 0"),
    ],
    ids=str,
)
def test_wrong_argument(checkpoint: Path, arguments: dict[str, Any], error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words):
        Classifier(**{"model": checkpoint, **arguments})


def test_device_that_fails_is_told(classifier: Classifier, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken() -> Any:
        raise RuntimeError("out of memory")

    monkeypatch.setattr(classifier._engine.graph._requests, "get", broken)
    with pytest.raises(FerFastError, match="OpenVINO failed on the CPU: out of memory"):
        classifier.predict([faces(1, SIZE)[0]])


def test_public_name() -> None:
    assert fer_fast.Classifier is Classifier


def test_a_prediction_leaves_strangers_the_word():
    prediction = Prediction(("a", "b"), np.array([0.25, 0.75], np.float32))
    assert prediction == mock.ANY and prediction != "a"
