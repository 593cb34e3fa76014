"""What a network is laid with: an engine implements it, an architecture calls it, and neither knows the other.

A value is whatever the engine calls the result of a layer. Maps are [batch, channels, height, width], tokens
[batch, tokens, width], both floating point. Arrays are numpy's, of any floating point.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Generic, TypeVar

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.floating[Any]]
Value = TypeVar("Value")


class Layers(ABC, Generic[Value]):
    """The layers of a network, for inference; each returns what it computes.

    Those with weights have a name, that of the same layer in the torch form: int8 finds their ranges by it.

    Attributes:
        prefix: what names begin with at the moment, see `within`.
    """

    prefix: str = ""

    @contextmanager
    def within(self, name: str) -> Iterator[None]:
        """While inside, layers are those of a part of this name."""
        before, self.prefix = self.prefix, f"{self.prefix}{name}."
        try:
            yield
        finally:
            self.prefix = before

    @abstractmethod
    def maps(self, images: Value) -> Value:
        """Images, uint8 [batch, height, width, 3], as maps [batch, 3, height, width] of 0 to 255."""

    @abstractmethod
    def convolution(
        self, name: str, x: Value, kernel: Array, bias: Array, stride: int = 1, padding: int | tuple[int, int] = 0
    ) -> Value:
        """Maps to maps.

        Args:
            name: of the layer.
            x: [batch, inputs, height, width].
            kernel: [outputs, inputs, height, width].
            bias: [outputs].
            stride: pixels, in both directions.
            padding: the same, or a pair, of the height and of the width; what is padded is 0.
        """

    @abstractmethod
    def depthwise(self, name: str, x: Value, kernel: Array, bias: Array, padding: int) -> Value:
        """The same, each channel by itself: a kernel [channels, 1, side, side], stride 1."""

    @abstractmethod
    def linear(self, name: str, x: Value, weight: Array, bias: Array) -> Value:
        """`x @ weight.T + bias` of x [..., inputs], weight [outputs, inputs] and bias [outputs]."""

    @abstractmethod
    def attention(self, x: Value, heads: int) -> Value:
        """Softmax of query and key over the root of a head's width, times value (Vaswani et al. 2017).

        Args:
            x: [batch, tokens, 3 * width]: query, key and value, each split into heads.
            heads: how many.

        Returns:
            [batch, tokens, width].
        """

    @abstractmethod
    def layer_norm(self, x: Value, weight: Array, bias: Array) -> Value:
        """Over the last dimension, with torch's epsilon of 1e-5; weight and bias [width]."""

    @abstractmethod
    def relu(self, x: Value) -> Value:
        """What is below 0 becomes 0."""

    @abstractmethod
    def gelu(self, x: Value) -> Value:
        """The exact one, by the error function."""

    @abstractmethod
    def sigmoid(self, x: Value) -> Value:
        """1 / (1 + exp(-x))."""

    @abstractmethod
    def sign(self, x: Value) -> Value:
        """-1, 0 or 1."""

    @abstractmethod
    def sqrt(self, x: Value) -> Value:
        """The square root."""

    @abstractmethod
    def log(self, x: Value) -> Value:
        """The natural logarithm."""

    @abstractmethod
    def softmax(self, x: Value) -> Value:
        """Over the last dimension."""

    @abstractmethod
    def max_pool(self, x: Value, side: int, stride: int, padding: int = 0) -> Value:
        """Maps to maps; what is padded is never the largest."""

    @abstractmethod
    def average_pool(self, x: Value, side: int, stride: int, padding: int = 0) -> Value:
        """Maps to maps; what is padded counts nowhere."""

    @abstractmethod
    def padded(self, x: Value, channels: int = 0, height: int = 0, width: int = 0) -> Value:
        """Maps with that many zeros behind the last of each."""

    @abstractmethod
    def doubled(self, x: Value) -> Value:
        """Maps of twice the height and width, each pixel four times."""

    @abstractmethod
    def add(self, x: Value, y: Value | Array) -> Value:
        """The sum, broadcast as numpy does."""

    @abstractmethod
    def multiply(self, x: Value, y: Value | Array) -> Value:
        """The product of elements, broadcast as numpy does."""

    @abstractmethod
    def maximum(self, x: Value, y: Value) -> Value:
        """The larger one of each two elements."""

    @abstractmethod
    def divide(self, x: Value, y: Value) -> Value:
        """The quotient of elements, broadcast as numpy does."""

    @abstractmethod
    def product(self, x: Value | Array, y: Value | Array) -> Value:
        """`x @ y`; one of them may be an array."""

    @abstractmethod
    def mean(self, x: Value, axis: int, keep: bool = False) -> Value:
        """Along an axis, which stays with length 1 if it is kept."""

    @abstractmethod
    def mirrored(self, x: Value, axis: int) -> Value:
        """The other way round along an axis."""

    @abstractmethod
    def concatenate(self, values: Sequence[Value], axis: int) -> Value:
        """One after the other along an axis."""

    @abstractmethod
    def part(self, x: Value, axis: int, start: int, stop: int) -> Value:
        """What is from `start` to before `stop` along an axis."""

    @abstractmethod
    def reshape(self, x: Value, shape: Sequence[int]) -> Value:
        """Another shape; 0 leaves a dimension as it is, -1, once, is what is left."""

    @abstractmethod
    def transpose(self, x: Value, order: Sequence[int]) -> Value:
        """The axes in another order."""
