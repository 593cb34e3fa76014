"""A face-resnet's weights come in, its network is laid: `FaceResNet`, batch norms folded, without torch."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Generic

from fer_fast.models.face_resnet.config import FaceResNetConfig, UnitPlan
from fer_fast.models.layers import Layers, Value
from fer_fast.models.tensors import Shape, Tensors, batch_norm_shapes, layer_shapes


def face_resnet_shapes(config: FaceResNetConfig) -> Iterator[Shape]:
    """Those of `FaceResNet`, one at a time."""
    yield "stem.conv.weight", (config.widths[0], config.channels, 7, 7)
    yield from batch_norm_shapes("stem.norm", config.widths[0])
    for place, plan in enumerate(config.units()):
        for number, inputs in ((1, plan.inputs), (2, plan.outputs)):
            yield f"units.{place}.conv{number}.weight", (plan.outputs, inputs, 3, 3)
            yield from batch_norm_shapes(f"units.{place}.norm{number}", plan.outputs)
    yield from layer_shapes("head", len(config.classes), config.widths[-1])


@dataclass(frozen=True)
class LaidFaceResNet(Generic[Value]):
    """The network as an engine lays it."""

    layers: Layers[Value]
    tensors: Tensors

    def logits(self, config: FaceResNetConfig, pixels: Value) -> Value:
        """Normalised pixels [batch, channels, size, size] to logits [batch, classes]."""
        x = self.layers.relu(self._convolution("stem.conv", "stem.norm", pixels, stride=2))
        x = self.layers.max_pool(x, 3, stride=2)
        for place, plan in enumerate(config.units()):
            x = self._unit(f"units.{place}", plan, x)
        mean = self.layers.mean(self.layers.reshape(x, [0, config.widths[-1], -1]), 2)
        return self.layers.linear("head", mean, *self.tensors.layer("head"))

    def _unit(self, name: str, plan: UnitPlan, x: Value) -> Value:
        shortcut = self.layers.average_pool(x, 2, stride=2) if plan.halves else x
        if added := plan.outputs - plan.inputs:
            shortcut = self.layers.padded(shortcut, channels=added)
        stride, padding = (2, 0) if plan.halves else (1, 1)
        x = self.layers.relu(self._convolution(f"{name}.conv1", f"{name}.norm1", x, stride, padding))
        x = self._convolution(f"{name}.conv2", f"{name}.norm2", x, padding=1)
        if missing := plan.missing:
            x = self.layers.padded(x, height=missing, width=missing)
        return self.layers.relu(self.layers.add(x, shortcut))

    def _convolution(self, name: str, norm: str, x: Value, stride: int = 1, padding: int = 0) -> Value:
        return self.layers.convolution(name, x, *self.tensors.folded(name, norm), stride, padding)
