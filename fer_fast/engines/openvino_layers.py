"""A checkpoint's network, laid with OpenVINO's operators: nothing else traces it or converts it.

Graphs are laid from the weights, not shipped beside them: files would save a first start less time than compiling
takes, weigh as much as the weights again, and serve no other checkpoint (benchmarks/results/graph.json).
"""

# ruff: noqa: D102 (`Layers` has the words)

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from fer_fast.engines.openvino_library import openvino
from fer_fast.models.architecture import INPUT
from fer_fast.models.classifier import classifier_of
from fer_fast.models.files.checkpoint import Checkpoint, FinderCheckpoint
from fer_fast.models.layers import Array, Layers
from fer_fast.models.ranges import Ranges, check_ranges, quantised_weight, scale_and_zero
from fer_fast.models.registry import architecture_of

if TYPE_CHECKING:
    from openvino import Output

#: The first that has attention as one operator; every OpenVINO that this package takes has it.
ops: Any = openvino.opset13

_EPSILON = 1e-5
#: A slice's end before the first element; one of -1 would be the last.
_BEFORE_THE_FIRST = np.iinfo(np.int32).min


def laid(
    checkpoint: Checkpoint | FinderCheckpoint, batch_size: int, *, int8: bool = False, exported: bool = False
) -> openvino.Model:
    """The graph of a checkpoint: uint8 images [batch, height, width, 3] to what its architecture says of them.

    Args:
        checkpoint: the model.
        batch_size: the largest batch; the smallest is 1.
        int8: whether layers with weights are quantised.
        exported: with what a program without this package would have to do to the output.

    Raises:
        CheckpointError: the weights do not fit their configuration.
        ValueError: int8 where it has an obstacle.
    """
    architecture = architecture_of(checkpoint)
    if int8 and (obstacle := architecture.int8_obstacle(checkpoint)):
        raise ValueError(obstacle)
    sides = architecture.sides(checkpoint)
    height_and_width = (sides.step, sides.step) if sides.fixed else (-1, -1)
    images = ops.parameter([openvino.Dimension(1, batch_size), *height_and_width, 3], np.uint8)
    ranges = checkpoint.config.activation_ranges if int8 and isinstance(checkpoint, Checkpoint) else {}
    layers = OpenVinoLayers(ranges)
    lay = architecture.lay_exported if exported else architecture.lay
    with np.errstate(over="ignore", invalid="ignore"):  # of weights that are no numbers the answer tells
        output = lay(checkpoint, layers, images.output(0))
    if int8:
        check_ranges(layers.ranges, layers.names)
    model = openvino.Model([output], [images], architecture.kind)
    model.input().tensor.set_names({INPUT})
    model.output().tensor.set_names({architecture.answer if exported else architecture.output})
    return model


def laid_features(checkpoint: Checkpoint, batch_size: int) -> openvino.Model:
    """The graph of a frozen backbone: uint8 images [batch, size, size, 3] to what it gives the rest of the model.

    Args:
        checkpoint: the model.
        batch_size: the largest batch; the smallest is 1.

    Raises:
        CheckpointError: the weights do not fit their configuration.
    """
    size = checkpoint.config.image_size
    images = ops.parameter([openvino.Dimension(1, batch_size), size, size, 3], np.uint8)
    output = classifier_of(checkpoint.config).lay_kept(checkpoint, OpenVinoLayers({}), images.output(0))
    return openvino.Model([output], [images], "features")


class OpenVinoLayers(Layers["Output"]):
    """See `Layers` for the methods.

    Args:
        ranges: of the inputs of layers with weights, by name; these layers are quantised.

    Attributes:
        names: of the layers with weights, so far.
    """

    def __init__(self, ranges: Ranges) -> None:
        self.ranges = ranges
        self.names: set[str] = set()
        #: Two layers with one input and one range share what is quantised.
        self._inputs: dict[tuple[openvino.Node, int, tuple[float, float]], Output] = {}

    def maps(self, images: Output) -> Output:
        return self.transpose(ops.convert(images, "f32").output(0), [0, 3, 1, 2])

    def convolution(
        self, name: str, x: Output, kernel: Array, bias: Array, stride: int = 1, padding: int | tuple[int, int] = 0
    ) -> Output:
        strides, pads = [stride] * 2, [padding] * 2 if isinstance(padding, int) else list(padding)
        x, weight = self._weighted(name, x, kernel)
        y = ops.convolution(x, weight, strides, pads, pads, [1, 1], name=name).output(0)
        return self.add(y, bias.reshape(1, -1, 1, 1))

    def depthwise(self, name: str, x: Output, kernel: Array, bias: Array, padding: int) -> Output:
        pads = [padding] * 2
        x, weight = self._weighted(name, x, kernel[:, None])  # [groups, outputs, inputs, side, side]
        y = ops.group_convolution(x, weight, [1, 1], pads, pads, [1, 1], name=name).output(0)
        return self.add(y, bias.reshape(1, -1, 1, 1))

    def linear(self, name: str, x: Output, weight: Array, bias: Array) -> Output:
        x, weight = self._weighted(name, x, weight)
        y = ops.matmul(x, weight, False, True, name=name).output(0)
        return self.add(y, bias.reshape([1] * (len(y.get_partial_shape()) - 1) + [-1]))

    def attention(self, x: Output, heads: int) -> Output:
        width = x.get_partial_shape()[2].get_length() // 3
        apart = self.transpose(self.reshape(x, [0, 0, 3 * heads, width // heads]), [0, 2, 1, 3])
        query, key, value = ops.split(apart, 1, 3).outputs()  # [batch, heads, tokens, width / heads]
        mixed = ops.scaled_dot_product_attention(query, key, value).output(0)
        return self.reshape(self.transpose(mixed, [0, 2, 1, 3]), [0, 0, width])

    def layer_norm(self, x: Output, weight: Array, bias: Array) -> Output:
        normal = ops.mvn(x, np.array([-1]), True, _EPSILON, "INSIDE_SQRT").output(0)
        return self.add(self.multiply(normal, weight.reshape(1, 1, -1)), bias.reshape(1, 1, -1))

    def relu(self, x: Output) -> Output:
        return ops.relu(x).output(0)

    def gelu(self, x: Output) -> Output:
        return ops.gelu(x, "erf").output(0)

    def sigmoid(self, x: Output) -> Output:
        return ops.sigmoid(x).output(0)

    def sign(self, x: Output) -> Output:
        return ops.sign(x).output(0)

    def sqrt(self, x: Output) -> Output:
        return ops.sqrt(x).output(0)

    def log(self, x: Output) -> Output:
        return ops.log(x).output(0)

    def softmax(self, x: Output) -> Output:
        return ops.softmax(x, -1).output(0)

    def max_pool(self, x: Output, side: int, stride: int, padding: int = 0) -> Output:
        return ops.max_pool(x, [stride] * 2, [1, 1], [padding] * 2, [padding] * 2, [side] * 2).output(0)

    def average_pool(self, x: Output, side: int, stride: int, padding: int = 0) -> Output:
        return ops.avg_pool(x, [stride] * 2, [padding] * 2, [padding] * 2, [side] * 2, exclude_pad=True).output(0)

    def padded(self, x: Output, channels: int = 0, height: int = 0, width: int = 0) -> Output:
        ends = np.array([0, channels, height, width])
        return ops.pad(x, np.zeros_like(ends), ends, "constant", np.array(0, np.float32)).output(0)

    def doubled(self, x: Output) -> Output:
        twice, axes = np.array([2, 2], np.float32), np.array([2, 3])
        return ops.interpolate(
            x, twice, "nearest", "scales", coordinate_transformation_mode="asymmetric", nearest_mode="floor", axes=axes
        ).output(0)

    def add(self, x: Output, y: Output | Array) -> Output:
        return ops.add(x, _value(y)).output(0)

    def multiply(self, x: Output, y: Output | Array) -> Output:
        return ops.multiply(x, _value(y)).output(0)

    def maximum(self, x: Output, y: Output) -> Output:
        return ops.maximum(x, y).output(0)

    def divide(self, x: Output, y: Output) -> Output:
        return ops.divide(x, y).output(0)

    def product(self, x: Output | Array, y: Output | Array) -> Output:
        return ops.matmul(_value(x), _value(y), False, False).output(0)

    def mean(self, x: Output, axis: int, keep: bool = False) -> Output:
        return ops.reduce_mean(x, np.array([axis]), keep).output(0)

    def mirrored(self, x: Output, axis: int) -> Output:
        ends = [np.array([each], np.int32) for each in (-1, _BEFORE_THE_FIRST, -1, axis)]
        return ops.slice(x, *ends).output(0)

    def concatenate(self, values: Sequence[Output], axis: int) -> Output:
        return ops.concat(list(values), axis).output(0)

    def part(self, x: Output, axis: int, start: int, stop: int) -> Output:
        return ops.slice(x, *(np.array([each]) for each in (start, stop, 1, axis))).output(0)

    def reshape(self, x: Output, shape: Sequence[int]) -> Output:
        return ops.reshape(x, np.array(shape), True).output(0)

    def transpose(self, x: Output, order: Sequence[int]) -> Output:
        return ops.transpose(x, np.array(order)).output(0)

    def _weighted(self, name: str, x: Output, weight: Array) -> tuple[Output, Output]:
        """Input and weight of a layer, quantised where it has a range."""
        name = f"{self.prefix}{name}"
        self.names.add(name)
        if name not in self.ranges:
            return x, _value(weight)
        whole, scale = quantised_weight(weight)
        exact = ops.multiply(ops.convert(ops.constant(whole), "f32"), _value(scale)).output(0)
        return self._quantised(x, self.ranges[name]), exact

    def _quantised(self, x: Output, ends: tuple[float, float]) -> Output:
        """A value as int8 has it: in 256 steps, one of them 0."""
        known = (x.get_node(), x.get_index(), ends)
        if known not in self._inputs:
            scale, zero = scale_and_zero(*ends)
            low, high = (np.array(step * scale, np.float32) for step in (-zero, 255 - zero))
            self._inputs[known] = ops.fake_quantize(x, low, high, low, high, 256).output(0)
        return self._inputs[known]


def _value(x: Output | Array) -> Output:
    return ops.constant(np.ascontiguousarray(x, np.float32)).output(0) if isinstance(x, np.ndarray) else x
