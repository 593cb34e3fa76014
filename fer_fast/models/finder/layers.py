"""A face finder's checkpoint comes in, its network is laid: `FinderNetwork`, without torch."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Generic

from fer_fast.models.files.checkpoint import FinderCheckpoint
from fer_fast.models.finder.config import HEADS, STRIDES
from fer_fast.models.layers import Layers, Value
from fer_fast.models.tensors import Shape, Tensors, check_tensors, layer_shapes

#: Input and output channels of the units before the first scale, by their place in `FinderNetwork.early`; between them
#: and behind them maps are halved, at the places that are left out.
_EARLY = {0: (16, 16), 2: (16, 16), 3: (16, 32), 4: (32, 32), 5: (32, 64)}
_HALVED = (1, 6)
_COLUMNS = sum(width for _, width in HEADS)


def finder_shapes() -> Iterator[Shape]:
    """Names and shapes of a finder's tensors, those of `FinderNetwork`."""
    yield from layer_shapes("stem", 16, 3, 3, 3)
    for place, (inputs, outputs) in _EARLY.items():
        yield from _unit_shapes(f"early.{place}", inputs, outputs)
    for scale in range(len(STRIDES)):
        for name in (f"stages.{scale}.0", f"stages.{scale}.1", f"laterals.{scale}"):
            yield from _unit_shapes(name, 64, 64)
        yield from _unit_shapes(f"heads.{scale}", 64, _COLUMNS)


def _unit_shapes(name: str, inputs: int, outputs: int) -> Iterator[Shape]:
    yield from layer_shapes(f"{name}.pointwise", outputs, inputs, 1, 1)
    yield from layer_shapes(f"{name}.depthwise", outputs, 1, 3, 3)


def lay_cells(checkpoint: FinderCheckpoint, layers: Layers[Value], images: Value) -> Value:
    """The network from images, uint8 [batch, height, width, 3], to cells [batch, cells, 15].

    Raises:
        CheckpointError: the weights do not fit their configuration.
    """
    check_tensors(checkpoint.tensors, finder_shapes())
    network = Finder(layers, Tensors(checkpoint.tensors))
    heads = network.heads(network.taps(layers.maps(images)))
    columns = layers.concatenate([layers.reshape(head, [0, _COLUMNS, -1]) for head in heads], 2)
    face, thing = (layers.sigmoid(layers.part(columns, 1, place, place + 1)) for place in range(2))
    score = layers.sqrt(layers.multiply(face, thing))
    return layers.transpose(layers.concatenate([score, layers.part(columns, 1, 2, _COLUMNS)], 1), [0, 2, 1])


@dataclass(frozen=True)
class Finder(Generic[Value]):
    """The network up to its heads."""

    layers: Layers[Value]
    tensors: Tensors

    def taps(self, pixels: Value) -> list[Value]:
        """Pixels [batch, 3, height, width] to maps of 64 channels, a stride each."""
        x = self.layers.relu(self.layers.convolution("stem", pixels, *self.tensors.layer("stem"), stride=2, padding=1))
        for place in range(len(_EARLY) + len(_HALVED)):
            x = self._halved(x) if place in _HALVED else self._unit(f"early.{place}", x)
        taps: list[Value] = []
        for scale in range(len(STRIDES)):
            x = self._unit(f"stages.{scale}.0", self._halved(x) if taps else x)
            x = self._unit(f"stages.{scale}.1", x)
            taps.append(x)
        return taps

    def heads(self, taps: list[Value]) -> list[Value]:
        """Of each stride [batch, columns, height / stride, width / stride]."""
        found: list[Value] = []
        above: Value | None = None
        for scale in reversed(range(len(taps))):
            tap = taps[scale] if above is None else self.layers.add(taps[scale], self.layers.doubled(above))
            above = self._unit(f"laterals.{scale}", tap)
            found.insert(0, self._separable(f"heads.{scale}", above))
        return found

    def _halved(self, x: Value) -> Value:
        return self.layers.max_pool(x, 2, stride=2)

    def _unit(self, name: str, x: Value) -> Value:
        return self.layers.relu(self._separable(name, x))

    def _separable(self, name: str, x: Value) -> Value:
        pointwise, depthwise = f"{name}.pointwise", f"{name}.depthwise"
        x = self.layers.convolution(pointwise, x, *self.tensors.layer(pointwise))
        return self.layers.depthwise(depthwise, x, *self.tensors.layer(depthwise), padding=1)
