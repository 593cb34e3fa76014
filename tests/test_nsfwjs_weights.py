"""npm's nsfwjs as the start of an Inception classifier: read or refused, and, where the real one is, its function."""

from __future__ import annotations

import os
import re
import tarfile
from pathlib import Path

import numpy as np
import pytest
from nsfwjs_files import drawn_tensors, write_nsfwjs

from fer_fast.models.inception.config import InceptionConfig
from fer_fast.models.inception.layers import backbone_shapes
from fer_fast.models.inception.nsfwjs import read_nsfwjs
from fer_fast.models.inception.plan import convolutions

CONFIG = InceptionConfig(divisor=16)
#: The real archive, where somebody has it.
REAL = os.environ.get("FER_FAST_NSFWJS", "")


def test_all_of_the_backbone_is_read(tmp_path: Path) -> None:
    drawn = drawn_tensors(CONFIG)
    tensors = read_nsfwjs(write_nsfwjs(tmp_path / "package.tgz", drawn), CONFIG)
    assert {name: values.shape for name, values in tensors.items()} == dict(backbone_shapes(CONFIG))
    for number, plan in enumerate(convolutions(3, 16), 1):
        kernel = drawn[f"conv2d_{number}/kernel"].values.transpose(3, 2, 0, 1)  # [out, in, height, width]
        np.testing.assert_allclose(tensors[f"{plan.name}.conv.weight"], kernel, rtol=0, atol=1e-6)
        norm = f"batch_normalization_{number}"
        for ours, theirs in (("bias", "beta"), ("running_mean", "moving_mean"), ("running_var", "moving_variance")):
            wanted = drawn[f"{norm}/{theirs}"].values
            np.testing.assert_allclose(tensors[f"{plan.name}.bn.{ours}"], wanted, rtol=0, atol=1e-6)
        assert (tensors[f"{plan.name}.bn.weight"] == 1).all()  # the file's norms have no scale


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        ("no archive", "not a gzip file|could not be opened"),
        ("another archive", "model.min.js"),
        ("cut", "it ends in the middle of dense_1/kernel"),
        ("other widths", r"conv2d_1/kernel must have the shape \[3, 3, 3, 4\]"),
        ("no layer", r"conv2d_94/kernel must have the shape \[1, 1, 128, 12\]"),
        ("bytes left", r"its tensors take \d+ bytes, there are \d+"),
        ("missing", "there is no|No such file"),
    ],
)
def test_what_is_not_whole_is_refused(damage: str, said: str, tmp_path: Path) -> None:
    path, drawn, config = tmp_path / "package.tgz", drawn_tensors(CONFIG), CONFIG
    if damage == "no archive":
        path.write_bytes(b"no archive")
    elif damage == "another archive":
        tarfile.open(path, "w:gz").close()
    elif damage == "cut":
        write_nsfwjs(path, drawn, left_out=7)
    elif damage == "other widths":
        write_nsfwjs(path, drawn)
        config = InceptionConfig(divisor=8)
    elif damage == "no layer":
        write_nsfwjs(path, {name: values for name, values in drawn.items() if name != "conv2d_94/kernel"})
    elif damage == "bytes left":
        drawn["dense_1/bias-with a name of another kind"] = drawn["dense_1/kernel"]
        write_nsfwjs(path, drawn)
    with pytest.raises(ValueError, match=said) as refused:
        read_nsfwjs(path, config)
    assert re.match(r"start '.*package\.tgz' must be the npm package nsfwjs, whole", str(refused.value))


@pytest.mark.skipif(not REAL, reason="FER_FAST_NSFWJS names no nsfwjs-4.4.0.tgz")
@pytest.mark.needs_torch
def test_the_real_ones_maps_are_those_of_its_own_topology() -> None:
    """The script says the network layer by layer, in Keras' words: run by these, faces' last maps are the same."""
    import torch
    from keras_topology import Topology
    from tiny_models import faces

    from fer_fast.models.classifier import classifier_named

    architecture, config = classifier_named("inception"), InceptionConfig()
    network = architecture.network(config).eval()
    weights = {name: torch.from_numpy(values) for name, values in read_nsfwjs(Path(REAL), config).items()}
    architecture.begin(network, weights, torch.empty(0))
    images = torch.from_numpy(faces(2, 299))
    with torch.inference_mode():
        found = network.features(network.normalised(images))
        wanted = Topology(Path(REAL)).run(images.permute(0, 3, 1, 2) / 127.5 - 1, "mixed10")
    assert wanted.max() > 0.5
    torch.testing.assert_close(found, wanted, rtol=0, atol=1e-4)
