"""What a fusion model has its maps from, without torch."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, ClassVar

from fer_fast.models.layers import Layers, Value
from fer_fast.models.tensors import Shape, Tensors

if TYPE_CHECKING:
    from fer_fast.models.fusion.taps import BackboneTaps


class Backbone(ABC):
    """A network of four stages, of each of which the last map may be a tap, FM1 to FM4.

    Attributes:
        channels: of each tap, by name.
    """

    channels: ClassVar[Mapping[str, int]]

    @abstractmethod
    def side(self, tap: str, image_size: int) -> int:
        """Pixels on a side of a tap."""

    def extent(self, tap: str, image_size: int) -> float:
        """The same before it is rounded: what patches are measured by."""
        return self.side(tap, image_size)

    @abstractmethod
    def shapes(self, image_size: int, stages: int) -> Iterator[Shape]:
        """Names and shapes of the tensors of the first stages."""

    @abstractmethod
    def lay(
        self, layers: Layers[Value], tensors: Tensors, image_size: int, pixels: Value, stages: int
    ) -> Iterator[Value]:
        """Lays the first stages, batch norms folded; names begin with `backbone.`, as those of the torch form do.

        Args:
            layers: the engine's.
            tensors: of the whole model.
            image_size: of the images, in pixels.
            pixels: normalised, [batch, 3, size, size].
            stages: how many.

        Returns:
            The last map of each stage.
        """

    @abstractmethod
    def network(self, taps: tuple[str, ...], image_size: int) -> BackboneTaps:
        """The torch form, up to the deepest of these taps."""
