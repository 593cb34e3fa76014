"""dlib's file of a face recognition network, written as dlib does, with drawn weights."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np

from fer_fast.models.face_resnet.config import FaceResNetConfig
from fer_fast.models.layers import Array


class DrawnLayer(NamedTuple):
    """A convolution and the affine layer behind it: filters [out, in, height, width], the others [out]."""

    filters: Array
    bias: Array
    gamma: Array
    beta: Array


def drawn_layers(config: FaceResNetConfig, seed: int = 0) -> list[DrawnLayer]:
    """Weights of the convolutions, stem first, then two a unit, for which one smooth picture is not like another."""
    random = np.random.default_rng(seed)
    shapes = [(config.widths[0], 3, 7)]
    for plan in config.units():
        shapes += [(plan.outputs, plan.inputs, 3), (plan.outputs, plan.outputs, 3)]
    layers = []
    for outputs, inputs, side in shapes:
        filters = random.normal(0, (2 / (inputs * side**2)) ** 0.5, (outputs, inputs, side, side))
        filters -= filters.mean(axis=(1, 2, 3), keepdims=True)  # a sum over all would drown what differs
        vectors = random.normal([[0], [1.2], [0]], 0.1, (3, outputs))
        layers.append(DrawnLayer(*(each.astype(np.float32) for each in (filters, *vectors))))
    return layers


def dlib_file(layers: list[DrawnLayer]) -> bytes:
    """The file's content; of settings there are some, as numbers without a meaning here."""
    settings = b"".join(map(_integer, (3, 3, 1, 1, 0, 1000, 0)))
    parts = [_integer(1), _text("loss_metric_2"), settings, _text("input_rgb_image_sized"), settings]
    for layer in layers:
        parts += [_text("con_4"), _tensor(layer.filters, layer.bias), settings, _text("relu_"), settings]
        parts += [_text("affine_"), _tensor(layer.gamma, layer.beta), settings]
    # The last layer's numbers belong to no layer that is read.
    parts += [_text("avg_pool_2"), settings, _text("fc_2"), _tensor(np.ones(12, np.float32)), settings]
    return b"".join(parts)


def write_dlib(path: Path, config: FaceResNetConfig, seed: int = 0) -> list[DrawnLayer]:
    """Writes a file and gives what is in it."""
    layers = drawn_layers(config, seed)
    path.write_bytes(dlib_file(layers))
    return layers


def _integer(value: int) -> bytes:
    digits = value.to_bytes(max(1, (value.bit_length() + 7) // 8), "little")
    return bytes([len(digits)]) + digits


def _text(text: str) -> bytes:
    return _integer(len(text)) + text.encode()


def _tensor(*parts: Array) -> bytes:
    numbers = np.concatenate([part.ravel() for part in parts])
    return b"".join(map(_integer, (2, len(numbers), 1, 1, 1))) + numbers.astype("<f4").tobytes()
