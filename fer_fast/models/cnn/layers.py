"""A small CNN's weights come in, its network is laid: `CNN`, batch norms folded, without torch."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Generic

from fer_fast.models.cnn.config import CNNConfig
from fer_fast.models.cnn.hog import lay_hog
from fer_fast.models.layers import Layers, Value
from fer_fast.models.tensors import Shape, Tensors, batch_norm_shapes, layer_shapes


def cnn_shapes(config: CNNConfig) -> Iterator[Shape]:
    """Those of `CNN`, one at a time."""
    for place, (inputs, outputs) in enumerate(config.convolutions()):
        yield f"maps.{place}.conv.weight", (outputs, inputs, 3, 3)
        yield from batch_norm_shapes(f"maps.{place}.norm", outputs)
    for place, (inputs, outputs) in enumerate(config.dense_layers()):
        yield from layer_shapes(f"dense.{place}.linear", outputs, inputs)
    yield from layer_shapes("head", len(config.classes), config.dense[-1])


@dataclass(frozen=True)
class LaidCNN(Generic[Value]):
    """The network as an engine lays it."""

    layers: Layers[Value]
    tensors: Tensors

    def logits(self, config: CNNConfig, pixels: Value) -> Value:
        """Normalised pixels [batch, channels, size, size] to logits [batch, classes]."""
        x = pixels
        for place in range(len(config.widths)):
            name, norm = f"maps.{place}.conv", f"maps.{place}.norm"
            x = self.layers.convolution(name, x, *self.tensors.folded(name, norm), padding=1)
            x = self.layers.relu(self.layers.max_pool(x, 2, stride=2))
        x = self.layers.reshape(x, [0, -1])
        if config.hog:
            x = self.layers.concatenate([x, lay_hog(self.layers, pixels, config.image_size)], 1)
        for place in range(len(config.dense)):
            x = self.layers.relu(self._linear(f"dense.{place}.linear", x))
        return self._linear("head", x)

    def _linear(self, name: str, x: Value) -> Value:
        return self.layers.linear(name, x, *self.tensors.layer(name))
