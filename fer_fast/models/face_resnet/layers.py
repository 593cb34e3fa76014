"""A face-resnet's weights come in, its network is laid: `FaceResNet`, batch norms folded, without torch."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Generic

from fer_fast.models.face_resnet.config import FaceResNetConfig, UnitPlan
from fer_fast.models.layers import Layers, Value
from fer_fast.models.tensors import Shape, Tensors, batch_norm_shapes, layer_shapes


def face_resnet_shapes(config: FaceResNetConfig) -> Iterator[Shape]:
    """Those of `FaceResNet`, one at a time."""
    yield from map_shapes(config.channels, config.units())
    yield from layer_shapes("head", len(config.classes), config.widths[-1])


def map_shapes(channels: int, plans: Sequence[UnitPlan]) -> Iterator[Shape]:
    """Those of the stem and of units, which make maps of images of that many channels."""
    yield "stem.conv.weight", (plans[0].inputs, channels, 7, 7)
    yield from batch_norm_shapes("stem.norm", plans[0].inputs)
    for place, plan in enumerate(plans):
        for number, inputs in ((1, plan.inputs), (2, plan.outputs)):
            yield f"units.{place}.conv{number}.weight", (plan.outputs, inputs, 3, 3)
            yield from batch_norm_shapes(f"units.{place}.norm{number}", plan.outputs)


@dataclass(frozen=True)
class LaidFaceResNet(Generic[Value]):
    """The network as an engine lays it.

    Attributes:
        layers: the engine's.
        tensors: its weights.
        within: of what it is a part: where the names of its layers and weights begin, a dot included.
    """

    layers: Layers[Value]
    tensors: Tensors
    within: str = ""

    def logits(self, config: FaceResNetConfig, pixels: Value) -> Value:
        """Normalised pixels [batch, channels, size, size] to logits [batch, classes]."""
        *_, x = self.maps(config.units(), pixels)
        mean = self.layers.mean(self.layers.reshape(x, [0, config.widths[-1], -1]), 2)
        return self.layers.linear("head", mean, *self.tensors.layer("head"))

    def maps(self, plans: Sequence[UnitPlan], pixels: Value) -> Iterator[Value]:
        """Normalised pixels [batch, channels, size, size] to the map of each unit."""
        x = self.layers.relu(self._convolution("stem.conv", "stem.norm", pixels, stride=2))
        x = self.layers.max_pool(x, 3, stride=2)
        for place, plan in enumerate(plans):
            x = self._unit(f"units.{place}", plan, x)
            yield x

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
        name, norm = f"{self.within}{name}", f"{self.within}{norm}"
        return self.layers.convolution(name, x, *self.tensors.folded(name, norm), stride, padding)
