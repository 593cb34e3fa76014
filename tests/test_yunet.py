"""YuNet's ONNX is read by its graph: what it was made of comes back; all else is refused in one sentence."""

import hashlib
import logging
import os
import random
from pathlib import Path

import numpy as np
import onnx
import openvino
import pytest
import torch
from tiny_models import faces
from yunet_files import NAMES, yunet_file

from fer_fast.models.files.checkpoint import read_checkpoint, read_either, read_finder
from fer_fast.models.files.onnx_file import metadata_of, parse_onnx
from fer_fast.models.files.paths import FINDERS, WEIGHTS, packaged_models
from fer_fast.models.files.storage import build_finder
from fer_fast.models.finder import yunet
from fer_fast.models.finder.network import FinderNetwork
from fer_fast.types import CheckpointError

SHARED = Path(os.environ.get("FER_FAST_SHARED", Path(__file__).parents[2] / "shared"))
YUNET = SHARED / "models/face_detection_yunet_2023mar.onnx"


@pytest.fixture(scope="module")
def tensors():
    torch.manual_seed(0)
    network = FinderNetwork()
    for weight in network.parameters():
        if weight.ndim == 4:  # as it begins, a network all but forgets its image on the way
            torch.nn.init.kaiming_normal_(weight, nonlinearity="relu")
    network.stem.weight.data /= 255
    return {name: value.numpy() for name, value in network.state_dict().items()}


@pytest.fixture(scope="module")
def file(tmp_path_factory, tensors):
    path = tmp_path_factory.mktemp("yunet") / "yunet.onnx"
    yunet_file(path, tensors)
    return path


def test_weights_come_back(file, tensors, caplog):
    with caplog.at_level(logging.WARNING):
        found = read_finder(file)
    assert set(found.tensors) == set(tensors)
    for name, tensor in tensors.items():
        np.testing.assert_array_equal(found.tensors[name], tensor, err_msg=name)
    assert f"unknown finder file {str(file)!a}, read as YuNet" in caplog.text
    assert found.config.origin.startswith("an unknown file, read as YuNet; SHA-256 ")
    assert read_either(file).digest == found.digest


def test_the_network_is_the_graph(file):
    """What OpenVINO computes of the file, in its own words, is what the network says of the same image."""
    image = faces(1, 64)
    outputs = openvino.Core().compile_model(file, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})(
        np.ascontiguousarray(image[..., ::-1].transpose(0, 3, 1, 2), np.float32)
    )
    wanted = [np.concatenate([outputs[f"{name}_{stride}"] for stride in (8, 16, 32)], axis=1) for name in NAMES]
    cells = build_finder(read_finder(file))(torch.from_numpy(image)).numpy()
    assert cells[0, :64].std(axis=0).min() > 0.02, "cells that hardly differ would prove nothing"
    np.testing.assert_allclose(cells[..., :1], np.sqrt(wanted[0] * wanted[1]), atol=1e-4)
    np.testing.assert_allclose(cells[..., 1:], np.concatenate(wanted[2:], axis=2), atol=1e-3)


def test_a_known_file_is_named(file, monkeypatch, caplog):
    digest = hashlib.sha256(file.read_bytes()).hexdigest()
    monkeypatch.setitem(yunet._KNOWN, digest, "YuNet 2042")
    assert read_finder(file).config.origin == "YuNet 2042"
    assert not caplog.text


def test_yunet_itself_is_what_is_packaged():
    if not YUNET.exists():
        pytest.skip("YuNet's own file is not there")
    found = read_finder(YUNET)
    assert found.config.origin == "YuNet 2023mar (opencv_zoo, MIT)"
    build_finder(found)


def change(file, path, alter):
    model = onnx.load(file)
    alter(model.graph)
    onnx.save(model, path)


def without_bias(graph):
    next(node for node in graph.node if node.op_type == "Conv").input.pop()


def another_kind(graph):
    next(node for node in graph.node if node.op_type == "Relu").op_type = "Tanh"


def without_output(graph):
    next(node for node in graph.node if "cls_16" in node.output).output[0] = "class"


def one_unit_more(graph):
    first, second = [node for node in graph.node if node.op_type == "Relu"][1:3]
    first.input[0] = second.output[0]


@pytest.mark.parametrize(
    ("alter", "words"),
    [
        (without_bias, "a convolution has no constant kernel and bias"),
        (another_kind, "it has a node 'Tanh' among its convolutions"),
        (without_output, "it has 0 convolutions before cls_16, not 23"),
        (one_unit_more, r"it has \d+ convolutions before cls_8, not 19"),  # a ring
    ],
)
def test_another_graph_is_refused(tmp_path, file, alter, words):
    change(file, tmp_path / "other.onnx", alter)
    with pytest.raises(CheckpointError, match=f"other.onnx' is not YuNet as ONNX: {words}"):
        read_finder(tmp_path / "other.onnx")


def test_other_shapes_are_refused(tmp_path, tensors):
    changed = tensors | {"stem.bias": np.zeros(8, np.float32), "stem.weight": tensors["stem.weight"][:8]}
    yunet_file(tmp_path / "narrow.onnx", changed)
    words = r"tensor 'stem.weight' must have the shape \[16, 3, 3, 3\], not \[8, 3, 3, 3\]"
    with pytest.raises(CheckpointError, match=words):
        build_finder(read_finder(tmp_path / "narrow.onnx"))


def test_what_is_no_onnx_is_refused(tmp_path, file, monkeypatch):
    path = tmp_path / "finder.onnx"
    for content in (b"", b"no model", b"\x3a\x80", file.read_bytes()[:10_000], file.read_bytes()[:-1]):
        path.write_bytes(content)
        with pytest.raises(CheckpointError, match=r"finder.onnx' is not YuNet as ONNX: "):
            read_finder(path)
    monkeypatch.setattr(yunet, "_MOST_BYTES", 1000)
    with pytest.raises(CheckpointError, match="it has more than 1,000 bytes"):
        read_finder(file)
    with pytest.raises(CheckpointError, match=r"there is no file 'nowhere.onnx'"):
        read_finder("nowhere.onnx")


def field(number, content):
    """A field of protobuf, at most 2 ** 21 bytes of content."""
    length = len(content)
    return bytes([number << 3 | 2, length & 127 | 128, length >> 7 & 127 | 128, length >> 14]) + content


@pytest.mark.parametrize(
    ("graph", "words"),
    [
        (field(1, b"") * 20_000, "it has a message of more than 10,000 fields"),
        (field(1, field(4, b"K" * 100_000)), "it has a name of 100,000 bytes"),
        (field(1, field(4, b"\xff")), "it has a name that is no text"),
        (field(5, b"\x10\x01" + field(1, b"\x7f" * 500_000)), "tensor '' has 500000 dimensions, more than 8"),
    ],
)
def test_a_file_made_to_cost_time_is_refused_at_once(tmp_path, graph, words):
    (tmp_path / "long.onnx").write_bytes(field(7, graph))
    with pytest.raises(CheckpointError, match=rf"long.onnx' is not YuNet as ONNX: {words}$"):
        read_finder(tmp_path / "long.onnx")


def test_an_entry_of_metadata_is_read_no_further_than_its_value():
    entry = field(1, b"key") + field(2, b"value")
    endless = field(14, entry + b"\xff")  # no field begins so
    assert metadata_of(endless + field(14, field(1, b"another")), "key") == b"value"


def test_damage_is_refused_or_read_but_ends_nothing(file):
    content, chance = file.read_bytes(), random.Random(0)
    structure = [at for at in range(len(content) - 4) if content[at : at + 4].isalpha()]
    refused = 0
    for _ in range(60):
        damaged = bytearray(content)
        for _ in range(3):
            damaged[max(0, chance.choice(structure) + chance.randrange(-12, 12))] = chance.randrange(256)
        try:
            yunet._weights(yunet._Chains(parse_onnx(bytes(damaged))))
        except ValueError:
            refused += 1
    assert refused > 20


def test_what_can_be_exported_is_named():
    with pytest.raises(CheckpointError, match=r"model must be a .safetensors or .onnx file or one of: .*\bfinder\b"):
        read_either("nowhere")


def test_a_classifier_is_no_finder_and_a_finder_no_classifier(tmp_path):
    with pytest.raises(CheckpointError, match="is a face finder, not a classifier of expressions"):
        read_checkpoint(FINDERS / "finder.safetensors")
    weights = WEIGHTS / f"{packaged_models()[0]}.safetensors"
    with pytest.raises(CheckpointError, match="is a classifier of expressions, not a face finder"):
        read_finder(weights)
    (tmp_path / "finder.txt").write_text("a finder")
    with pytest.raises(CheckpointError, match=r"finder.txt' cannot be read"):
        read_finder(tmp_path / "finder.txt")
