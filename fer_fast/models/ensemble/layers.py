"""An ensemble's weights come in, its network is laid: each member by its own architecture, and the mean of them."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from fer_fast.models.classifier import classifier_of
from fer_fast.models.ensemble.config import EnsembleConfig
from fer_fast.models.layers import Layers, Value
from fer_fast.models.resizing import resize_matrix
from fer_fast.models.tensors import Shape, Tensors

#: What is added to a mean of probabilities before its logarithm: where all are 0 it has none, in fp16 as well.
LEAST = 1e-7


def member_name(place: int) -> str:
    """What a member's layers and tensors are called before their own names."""
    return f"members.{place}"


def ensemble_shapes(config: EnsembleConfig) -> Iterator[Shape]:
    """Those of `Ensemble`, one at a time."""
    yield "bias", (len(config.classes),)
    for place, member in enumerate(config.members):
        for name, shape in classifier_of(member).shapes(member):
            yield f"{member_name(place)}.{name}", shape


def lay_mean(config: EnsembleConfig, tensors: Tensors, layers: Layers[Value], pixels: Value) -> Value:
    """Pixels [batch, 3, size, size] of 0 to 255 to logits [batch, classes]."""
    mean: Value | None = None
    for place, (member, share) in enumerate(zip(config.members, config.shares, strict=True)):
        own = pixels
        if member.image_size != config.image_size:
            rows = resize_matrix(config.image_size, member.image_size)
            own = layers.product(layers.product(rows, pixels), rows.T)
        with layers.within(member_name(place)):
            logits = classifier_of(member).lay_views(member, tensors.within(member_name(place)), layers, own)
        answer = layers.softmax(layers.multiply(logits, np.array([[1 / member.temperature]])))
        counted = layers.multiply(answer, np.array([[share]]))
        mean = counted if mean is None else layers.add(mean, counted)
    assert mean is not None, "a configuration has members"
    return layers.add(layers.log(layers.add(mean, np.array([[LEAST]]))), tensors["bias"].reshape(1, -1))
