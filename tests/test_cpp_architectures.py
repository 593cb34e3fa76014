"""What is exported of other architectures than the fusion model answers in C++ as in Python."""

from __future__ import annotations

from pathlib import Path

import pytest
from cpp_programs import answers_of, assert_same, odd_images, python_answers
from small_inceptions import random_network as random_inception
from small_inceptions import small_config as small_inception
from test_cnn import random_network as random_cnn
from test_face_resnet import random_network, small_config
from tiny_models import random_model, tiny_config

from fer_fast.export import export_model
from fer_fast.models.classifier import classifier_named
from fer_fast.models.ensemble.combine import combine
from fer_fast.models.files.storage import save_model


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Small CNNs, an Inception, a grey face-resnet, and an ensemble of one in colour and a fusion model."""
    folder = tmp_path_factory.mktemp("models")
    for name in ("cnn-deep", "cnn-deep-hog"):
        save_model(random_cnn(classifier_named("cnn").presets[name]), folder / f"{name}.safetensors")
    save_model(random_inception(small_inception(image_size=75)), folder / "inception.safetensors")
    grey = small_config(colour="grey", mean=(0.4,), std=(0.3,))
    save_model(random_network(grey), folder / "grey.safetensors")
    save_model(random_network(small_config()), folder / "resnet.safetensors")
    save_model(random_model(tiny_config(sources=("image", "FM1"))), folder / "fusion.safetensors")
    combine([folder / "resnet.safetensors", folder / "fusion.safetensors"], folder / "ensemble.safetensors")
    return folder


@pytest.mark.parametrize("name", ["cnn-deep", "cnn-deep-hog", "grey", "ensemble", "inception"])
def test_cpp_answers_as_python(name: str, models: Path, consumer: Path, tmp_path: Path) -> None:
    given, plain = odd_images(9, 200, least=20)
    export_model(models / f"{name}.safetensors", "openvino", tmp_path / "model.xml", batch_size=16)
    found, said = answers_of(consumer / "classify", tmp_path / "model.xml", given, tmp_path)
    assert "engine=openvino\n" in said
    assert_same(found, python_answers(models / f"{name}.safetensors", plain))
