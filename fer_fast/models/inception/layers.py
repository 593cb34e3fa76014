"""An Inception classifier's weights come in, its network is laid: `Inception`, batch norms folded, without torch."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Generic

from fer_fast.models.inception.config import InceptionConfig
from fer_fast.models.inception.plan import EPSILON, POOLED, Branch, Convolution, blocks, convolutions, stem
from fer_fast.models.layers import Layers, Value
from fer_fast.models.tensors import Shape, Tensors, batch_norm_shapes, layer_shapes


def backbone_shapes(config: InceptionConfig) -> Iterator[Shape]:
    """Those of `InceptionV3`, one at a time."""
    for plan in convolutions(config.channels, config.divisor):
        yield f"{plan.name}.conv.weight", (plan.outputs, plan.inputs, *plan.kernel)
        yield from batch_norm_shapes(f"{plan.name}.bn", plan.outputs)


def inception_shapes(config: InceptionConfig) -> Iterator[Shape]:
    """Those of `Inception`, one at a time."""
    for name, shape in backbone_shapes(config):
        yield f"backbone.{name}", shape
    for place, (inputs, outputs, side) in enumerate(config.convolutions()):
        yield from layer_shapes(f"sub_deep.{place}", outputs, inputs, side, side)
    last = config.width
    for place, (inputs, last) in enumerate(config.dense_layers()):
        yield from layer_shapes(f"dense.{place}", last, inputs)
    yield from layer_shapes("head", len(config.classes), last)


@dataclass(frozen=True)
class LaidInception(Generic[Value]):
    """The network as an engine lays it."""

    layers: Layers[Value]
    tensors: Tensors

    def features(self, config: InceptionConfig, pixels: Value) -> Value:
        """Normalised pixels [batch, channels, size, size] to the last map."""
        x = pixels
        for plan in stem(config.channels, config.divisor):
            x = self._convolution("backbone", plan, x)
            if plan.name in POOLED:
                x = self.layers.max_pool(x, 3, stride=2)
        for name, branches in blocks(config.divisor):
            x = self.layers.concatenate([self._through(f"backbone.{name}", branch, x) for branch in branches], 1)
        return x

    def logits_of(self, config: InceptionConfig, features: Value) -> Value:
        """The last map to logits [batch, classes]."""
        x = self._told_from(config, features)
        for place in range(len(config.dense_layers())):
            x = self.layers.relu(self._linear(f"dense.{place}", x))
        return self._linear("head", x)

    def _told_from(self, config: InceptionConfig, features: Value) -> Value:
        """[batch, width]."""
        mean = self.layers.mean(self.layers.reshape(features, [0, config.width, -1]), 2)
        if config.head == "deepest":
            return mean
        x = features
        for place in range(len(config.convolutions())):
            name = f"sub_deep.{place}"
            x = self.layers.relu(self.layers.convolution(name, x, *self.tensors.layer(name)))
        x = self.layers.reshape(x, [0, config.width])
        if config.head == "sub-deep":
            return x
        if config.head == "sum":
            return self.layers.add(mean, x)
        return self.layers.maximum(mean, x)

    def _through(self, block: str, branch: Branch, x: Value) -> Value:
        if branch.pool == "mean":
            x = self.layers.average_pool(x, 3, stride=1, padding=1)
        elif branch.pool == "max":
            x = self.layers.max_pool(x, 3, stride=2)
        for plan in branch.chain:
            x = self._convolution(block, plan, x)
        if branch.fork:
            x = self.layers.concatenate([self._convolution(block, plan, x) for plan in branch.fork], 1)
        return x

    def _convolution(self, part: str, plan: Convolution, x: Value) -> Value:
        name = f"{part}.{plan.name}"
        kernel, bias = self.tensors.folded(f"{name}.conv", f"{name}.bn", EPSILON)
        return self.layers.relu(
            self.layers.convolution(f"{name}.conv", x, kernel, bias, stride=plan.stride, padding=plan.padding)
        )

    def _linear(self, name: str, x: Value) -> Value:
        return self.layers.linear(name, x, *self.tensors.layer(name))
