"""An exported folder, served by Triton on the loopback: what it is asked, alone and by many at once, is right.

The server, its schedulers, ensembles, labels and protocol are Triton's own; see `triton_server.py` for the back ends.
"""

import io
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from tiny_models import faces, image_config, save_image_model
from triton_server import serving, stub

from fer_fast import Classifier
from fer_fast.export import export_model

CLIENT = Path(__file__).parents[1] / "examples" / "triton_client.py"
pytestmark = [pytest.mark.needs_torch, pytest.mark.needs_dali]
SIDE = 24


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    path = tmp_path_factory.mktemp("model") / "small.safetensors"
    save_image_model(path, image_config(image_size=SIDE))
    return path


@pytest.fixture(scope="module")
def classifier(model):
    with Classifier(model, engine="openvino", device="cpu", precision="fp32", batch_size=64) as classifier:
        yield classifier


@pytest.fixture(scope="module")
def address(model, tmp_path_factory):
    for module in ("onnxruntime", "grpc", "tritonclient"):
        pytest.importorskip(module)
    if not stub().is_file():
        pytest.skip("this Triton runs no back end by this Python")
    scratch = tmp_path_factory.mktemp("triton")
    export_model(model, "triton", scratch / "models", batch_size=8)
    with serving(scratch / "models", scratch / "backends") as address:
        yield address


@pytest.fixture(scope="module")
def ask(address):
    """Asks a model of the server for the answer to one array."""
    grpc = pytest.importorskip("tritonclient.grpc")
    client = grpc.InferenceServerClient(address)

    def ask(model, name, array, **options):
        given = grpc.InferInput(name, array.shape, "UINT8")
        given.set_data_from_numpy(array)
        wanted = grpc.InferRequestedOutput("probabilities", **options)
        return client.infer(model, [given], outputs=[wanted]).as_numpy("probabilities")

    yield ask
    client.close()


def png(pixels):
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, "PNG")
    return stream.getvalue()


def one(content):
    """A request's array: a batch of one encoded image."""
    return np.frombuffer(content, np.uint8)[None]


def test_pixels_get_the_classifiers_answers(ask, classifier):
    images = faces(8, SIDE, seed=3)
    np.testing.assert_allclose(ask("small", "images", images), classifier.predict_batch(images), atol=1e-4)


def test_many_at_once_get_each_their_own(ask, classifier):
    images = faces(64, SIDE, seed=4)
    wanted = classifier.predict_batch(images)
    with ThreadPoolExecutor(16) as pool:
        pixels = [*pool.map(lambda image: ask("small", "images", image[None]), images)]
        encoded = [*pool.map(lambda image: ask("small_encoded", "encoded", one(png(image))), images)]
    np.testing.assert_allclose(np.concatenate(pixels), wanted, atol=1e-4)
    np.testing.assert_allclose(np.concatenate(encoded), wanted, atol=1e-4)


def test_a_bad_image_fails_alone(ask, classifier):
    utils = pytest.importorskip("tritonclient.utils")
    images = faces(16, SIDE, seed=5)
    contents = [png(image) for image in images]
    contents[7] = b"no image"

    def answer(content):
        try:
            return ask("small_encoded", "encoded", one(content))[0]
        except utils.InferenceServerException as error:
            return error

    with ThreadPoolExecutor(16) as pool:
        found = [*pool.map(answer, contents)]
    refused = found.pop(7)
    assert isinstance(refused, utils.InferenceServerException) and ".py" not in refused.message()
    np.testing.assert_allclose(found, np.delete(classifier.predict_batch(images), 7, axis=0), atol=1e-4)


def test_images_of_one_request_are_filled_up_or_fail_together(ask, classifier):
    utils = pytest.importorskip("tritonclient.utils")
    images = faces(3, SIDE, seed=7)
    contents = [png(image) for image in images]

    def batch(contents):
        longest = max(map(len, contents))
        return np.stack([np.frombuffer(content.ljust(longest, b"\0"), np.uint8) for content in contents])

    found = ask("small_encoded", "encoded", batch(contents))
    np.testing.assert_allclose(found, classifier.predict_batch(images), atol=1e-4)
    with pytest.raises(utils.InferenceServerException):
        ask("small_encoded", "encoded", batch([*contents, b"no image"]))


def test_too_large_a_batch_is_refused(ask):
    utils = pytest.importorskip("tritonclient.utils")
    with pytest.raises(utils.InferenceServerException, match="batch-size must be <= 8"):
        ask("small", "images", faces(9, SIDE))


def test_the_example(address, classifier, tmp_path):
    images = faces(3, SIDE, seed=6)
    for number, image in enumerate(images):
        (tmp_path / f"{number}.png").write_bytes(png(image))
    (tmp_path / "bad.jpg").write_text("no image")
    names = ["0.png", "bad.jpg", "1.png", "2.png"]
    line = [sys.executable, CLIENT, address, "small_encoded", *names]
    said = subprocess.run(line, cwd=tmp_path, capture_output=True, text=True, check=True, timeout=300).stdout
    rows = [row.split(" ", 1) for row in said.splitlines() if not row.startswith(" ")]
    found = dict(row for row in rows if row[0] in names)
    assert [*found] == names and found.pop("bad.jpg").startswith("failed: ")
    for said, probabilities in zip(found.values(), classifier.predict_batch(images), strict=True):
        share, number, name = said.split(":")
        assert (int(number), name) == (probabilities.argmax(), classifier.classes[int(number)])
        assert float(share) == pytest.approx(probabilities.max(), abs=1e-4)
