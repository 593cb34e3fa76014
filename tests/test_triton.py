"""The folder for model servers: its structure by Triton's schema, its model by the runtimes, its decoding by DALI."""

import numpy as np
import openvino
import pytest
from hidden_modules import answers
from image_files import FILES, encoded, face, oriented
from PIL import features
from tiny_models import faces, image_config, save_image_model

from fer_fast import Classifier, cli
from fer_fast.decode import open_decoder
from fer_fast.export import BACKENDS, export_model
from fer_fast.export.graph import Graph
from fer_fast.export.triton import repository
from fer_fast.models.files.checkpoint import read_checkpoint
from fer_fast.types import DecodeError, OutputError

SIDE = 24
BACKEND_FILES = {"onnxruntime": "model.onnx", "openvino": "model.xml", "tensorrt": "model.plan"}
needs_onnx = pytest.param("onnxruntime", marks=pytest.mark.needs_torch)


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    path = tmp_path_factory.mktemp("model") / "small.safetensors"
    save_image_model(path, image_config(image_size=SIDE))
    return path


@pytest.fixture(scope="module")
def exported(model, tmp_path_factory):
    """The whole folder; its model is OpenVINO's, which needs no torch."""
    pytest.importorskip("nvidia.dali")
    folder = tmp_path_factory.mktemp("served") / "models"
    export_model(model, "triton", folder, backend="openvino", batch_size=5)
    return folder


def configuration(folder):
    """A model's config.pbtxt, read by Triton's own schema."""
    schema = pytest.importorskip("tritonclient.grpc.model_config_pb2")
    text_format = pytest.importorskip("google.protobuf.text_format")
    return text_format.Parse((folder / "config.pbtxt").read_text(), schema.ModelConfig())


def tensor(said):
    """Of an input or output its name, type and shape."""
    return said.name, said.data_type, tuple(said.dims)


def test_the_folder(exported):
    found = sorted(str(path.relative_to(exported)) for path in exported.rglob("*") if path.is_file())
    assert found == [
        *("small/1/model.bin", "small/1/model.xml", "small/config.pbtxt", "small/labels.txt"),
        *("small_decode/1/model.dali", "small_decode/config.pbtxt"),
        *("small_encoded/1/.keep", "small_encoded/config.pbtxt"),
    ]
    assert [path.name for path in exported.parent.iterdir()] == ["models"]


def test_models_are_joined_by_what_they_give_and_take(exported):
    said = {path.name: configuration(path) for path in exported.iterdir()}
    model, decoding, joined = (said[name] for name in ("small", "small_decode", "small_encoded"))
    assert {(each.name, each.max_batch_size) for each in said.values()} == {(name, 5) for name in said}
    assert (model.backend, decoding.backend, joined.platform) == ("openvino", "dali", "ensemble")
    (images,), (probabilities,), (encoded,) = model.input, model.output, decoding.input
    assert tensor(images)[0::2] == ("images", (SIDE, SIDE, 3)) and tensor(images) == tensor(decoding.output[0])
    assert tensor(joined.input[0]) == tensor(encoded) and tuple(encoded.dims) == (-1,)
    assert tensor(joined.output[0]) == tensor(probabilities) and tuple(probabilities.dims) == (8,)
    steps = joined.ensemble_scheduling.step
    assert [step.model_name for step in steps] == ["small_decode", "small"]
    assert [dict(step.input_map) for step in steps] == [{"encoded": "encoded"}, {"images": "images"}]
    assert [dict(step.output_map) for step in steps] == [{"images": "images"}, {"probabilities": "probabilities"}]
    assert model.HasField("dynamic_batching") and not decoding.HasField("dynamic_batching")


def test_labels_are_the_classes(exported):
    (probabilities,) = configuration(exported / "small").output
    labels = (exported / "small" / probabilities.label_filename).read_text().splitlines()
    assert labels == ["neutral", "happiness", "surprise", "sadness", "anger", "disgust", "fear", "contempt"]


@pytest.mark.parametrize("backend", BACKENDS)
def test_each_back_end_finds_its_file(tmp_path, model, backend):
    suffixes = {"onnxruntime": [".onnx"], "openvino": [".xml", ".bin"], "tensorrt": [".engine", ".engine.txt"]}[backend]
    graph = Graph(read_checkpoint(model), BACKENDS[backend], "fp32", 7, 640)
    files = repository(graph, "a", backend, {suffix: suffix.encode() for suffix in suffixes}, decode=False)
    (tmp_path / "config.pbtxt").write_bytes(files["a/config.pbtxt"])
    said = configuration(tmp_path)
    assert (said.backend, said.default_model_filename) == (backend, BACKEND_FILES[backend])
    assert files[f"a/1/{said.default_model_filename}"] == suffixes[0].encode()
    assert len(files) == 2 + len(suffixes)


@pytest.mark.parametrize("backend", ["openvino", needs_onnx])
def test_the_model_answers_as_the_classifier(tmp_path, model, backend):
    export_model(model, "triton", tmp_path / "models", backend=backend, batch_size=5, decode=False)
    assert [path.name for path in (tmp_path / "models").iterdir()] == ["small"]
    file = tmp_path / "models" / "small" / "1" / BACKEND_FILES[backend]
    images = faces(5, SIDE, seed=3)
    with Classifier(model, engine="openvino", device="cpu", precision="fp32") as classifier:
        wanted = classifier.predict_batch(images)
    options = {"INFERENCE_PRECISION_HINT": "f32"}
    compiled = openvino.Core().compile_model(file, "CPU", options)  # as OpenVINO Model Server reads either
    for batch in (1, 5):
        np.testing.assert_allclose(compiled({"images": images[:batch]})["probabilities"], wanted[:batch], atol=1e-4)
    if backend == "onnxruntime":
        session = pytest.importorskip("onnxruntime").InferenceSession(str(file), providers=["CPUExecutionProvider"])
        np.testing.assert_allclose(session.run(["probabilities"], {"images": images})[0], wanted, atol=1e-4)
    with Classifier(file, precision="fp32") as classifier:
        np.testing.assert_allclose(classifier.predict_batch(images), wanted, atol=1e-4)


@pytest.fixture(scope="module")
def decoded(exported):
    """What the folder's decoding makes of one image, by DALI on the CPU; an exception where it makes nothing."""
    dali = pytest.importorskip("nvidia.dali")
    data = (exported / "small_decode" / "1" / "model.dali").read_bytes()

    def decoded(content):
        pipeline = dali.Pipeline.deserialize(data, num_threads=1, prefetch_queue_depth=1)
        pipeline.build()
        try:
            pipeline.feed_input("encoded", [np.frombuffer(content, np.uint8)])
            pipeline.schedule_run()
            (images,) = pipeline.share_outputs()
            return np.array(images.as_tensor())[0]
        except RuntimeError as error:
            return error

    return decoded


def largest_difference(ours, theirs):
    return np.abs(ours.astype(int) - theirs).max()


@pytest.fixture(scope="module")
def ours():
    with open_decoder("pillow", SIDE, 1) as decoder:
        yield decoder.decode_content


#: Grey levels that a file's pixels may differ by from those of `classify`.
MOST = {"png-one-bit": 8, "png-16-bit": 3}
#: What DALI does not take.
REFUSED = ("gif", "webp-lossless-alpha")


@pytest.mark.parametrize("name", [name for name in FILES if name not in REFUSED])
def test_files_look_as_they_do_here(decoded, ours, name):
    assert largest_difference(ours(encoded(name)), decoded(encoded(name))) <= MOST.get(name, 2)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "TIFF", "WEBP"])
def test_images_are_turned_as_exif_says(tmp_path, decoded, ours, kind):
    for orientation in range(1, 9):
        face(64, 48).save(tmp_path / "image", kind, exif=oriented(orientation))
        content = (tmp_path / "image").read_bytes()
        assert largest_difference(ours(content), decoded(content)) <= 2, orientation


def test_what_dali_takes_otherwise(tmp_path, decoded, ours):
    """docs/scale.md says so of each."""
    jpeg = encoded("jpeg")
    hole = jpeg[:-300] + bytes(200) + jpeg[-100:]
    contents = [*map(encoded, REFUSED), jpeg[:-2]]
    if features.check("avif"):
        face().save(tmp_path / "image", "AVIF")
        contents.append((tmp_path / "image").read_bytes())
    for content in contents:
        assert isinstance(decoded(content), RuntimeError) and ours(content).shape == (SIDE, SIDE, 3)
    with pytest.raises(DecodeError, match="a hole of zeros"):
        ours(hole)
    assert decoded(hole).shape == (SIDE, SIDE, 3)
    for damaged in (b"no image", jpeg[: len(jpeg) // 2]):
        assert isinstance(decoded(damaged), RuntimeError)


def test_the_pipeline_says_nothing_of_this_machine(exported):
    data = (exported / "small_decode" / "1" / "model.dali").read_bytes()
    assert b"fn.decoders" in data and b".py" not in data and b"/" not in data


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"backend": "caffe"}, "backend must be one of onnxruntime, openvino, tensorrt, not 'caffe'"),
        ({"format": "openvino", "backend": "openvino"}, "backend and decode are for format triton, not openvino"),
        ({"format": "openvino", "decode": False}, "backend and decode are for format triton, not openvino"),
        ({"precision": "bf16"}, "precision of backend openvino must be one of fp32, fp16, int8, not 'bf16'"),
        ({"batch_size": 0}, "batch_size must be from 1 to 16384, not 0"),
        ({"cards": ("8.6",)}, "cards are for format tensorrt-rtx, not backend openvino"),
        ({"model": "finder"}, "model must be a classifier for format triton, not a face finder"),
        ({"out": "there"}, "the output 'there' is a folder that is not empty"),
        ({"out": "there/file"}, "the output 'there/file' is no folder"),
        ({"out": "nowhere/models"}, "the folder of the output 'nowhere/models' does not exist"),
        ({"out": "s3://bucket/models"}, "the output 's3://bucket/models' is no folder on a disk"),
    ],
)
def test_wrong_options(tmp_path, monkeypatch, model, options, words):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "there").mkdir()
    (tmp_path / "there" / "file").write_text("kept")
    given = {"model": model, "format": "triton", "out": "models", "backend": "openvino", **options}
    with pytest.raises(ValueError, match=words):  # of which OutputRefusedError is one
        export_model(**given)
    assert [path.name for path in tmp_path.rglob("*")] == ["there", "file"]


def test_a_name_that_is_none_in_a_url(tmp_path, model):
    path = tmp_path / "my model.safetensors"
    path.write_bytes(model.read_bytes())
    with pytest.raises(ValueError, match=r"name must be of letters, .* for format triton, not 'my model'"):
        export_model(path, "triton", tmp_path / "models", backend="openvino")


def test_an_empty_folder_and_what_a_killed_run_left(tmp_path, model):
    (tmp_path / "models").mkdir()
    (tmp_path / ".models.partial" / "half").mkdir(parents=True)
    files = export_model(model, "triton", tmp_path / "models", backend="openvino", decode=False)
    assert [path.name for path in tmp_path.iterdir()] == ["models"]
    assert sorted(files) == sorted(path for path in (tmp_path / "models").rglob("*") if path.is_file())


def test_a_full_disk_leaves_nothing(tmp_path, model, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("fer_fast.machine.disk.sync_file", full)
    with pytest.raises(OutputError, match=r"models' cannot be written: No space left on device"):
        export_model(model, "triton", tmp_path / "models", backend="openvino", decode=False)
    assert not list(tmp_path.iterdir())


def test_without_dali(tmp_path, model):
    line = f"export {model} --format triton --backend openvino -o {tmp_path / 'models'}"
    (refused, _, said), (done, *_) = answers([line, f"{line} --no-decode"], "nvidia")
    assert (refused, done) == (2, 0)
    assert "--no-decode) needs nvidia.dali, which is not installed: pip install 'fer-fast[cuda]'" in said
    assert [path.name for path in (tmp_path / "models").iterdir()] == ["small"]


def test_command(tmp_path, monkeypatch, capsys, model):
    monkeypatch.chdir(tmp_path)
    line = ["export", str(model), "--format", "triton", "--backend", "openvino", "--no-decode"]
    assert cli.run(line) == 0
    written = [line.partition(":")[0] for line in capsys.readouterr().out.splitlines()]
    names = ("1/model.xml", "1/model.bin", "labels.txt", "config.pbtxt")
    assert written == [str(tmp_path / "small" / "small" / name) for name in names]
    assert cli.run(line) == 2
    assert "the output 'small' is a folder that is not empty" in capsys.readouterr().err
    assert cli.run(["export", str(model), "--format", "onnx", "--no-decode"]) == 2
    assert "backend and decode are for format triton, not onnx" in capsys.readouterr().err
