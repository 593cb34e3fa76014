"""ResNet-18 (He et al. 2016) as a backbone, without torch: its taps' channels and sides, its tensors, its layers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Generic

from fer_fast.models.fusion.backbone import Backbone
from fer_fast.models.layers import Layers, Value
from fer_fast.models.tensors import Shape, Tensors, batch_norm_shapes

if TYPE_CHECKING:
    from fer_fast.models.fusion.taps import ResNet18Taps

#: Channels of each tap, He et al. 2016, Table 1.
TAP_CHANNELS: dict[str, int] = {"FM1": 64, "FM2": 128, "FM3": 256, "FM4": 512}
#: Input pixels for each pixel of a tap.
TAP_STRIDES: dict[str, int] = {"FM1": 4, "FM2": 8, "FM3": 16, "FM4": 32}


class ResNet18(Backbone):
    """See `Backbone` for the methods."""

    channels: ClassVar[Mapping[str, int]] = TAP_CHANNELS

    def side(self, tap: str, image_size: int) -> int:
        """Each stride of two rounds up."""
        return -(-image_size // TAP_STRIDES[tap])

    def extent(self, tap: str, image_size: int) -> float:
        """Not rounded."""
        return image_size / TAP_STRIDES[tap]

    def shapes(self, image_size: int, stages: int) -> Iterator[Shape]:
        """Those of `ResNet18Taps`, one at a time."""
        yield "conv1.weight", (64, 3, 7, 7)
        yield from batch_norm_shapes("bn1", 64)
        inputs = 64
        for stage, channels in enumerate([*TAP_CHANNELS.values()][:stages], 1):
            for block in range(2):
                name = f"layer{stage}.{block}"
                for number, count in ((1, inputs), (2, channels)):
                    yield f"{name}.conv{number}.weight", (channels, count, 3, 3)
                    yield from batch_norm_shapes(f"{name}.bn{number}", channels)
                if _has_downsample(stage, block):
                    yield f"{name}.downsample.0.weight", (channels, inputs, 1, 1)
                    yield from batch_norm_shapes(f"{name}.downsample.1", channels)
                inputs = channels

    def lay(
        self, layers: Layers[Value], tensors: Tensors, image_size: int, pixels: Value, stages: int
    ) -> Iterator[Value]:
        """`ResNet18Taps`."""
        return _Laid(layers, tensors).maps(pixels, stages)

    def network(self, taps: tuple[str, ...], image_size: int) -> ResNet18Taps:
        """`ResNet18Taps`."""
        from fer_fast.models.fusion.taps import ResNet18Taps

        return ResNet18Taps(taps)


def _has_downsample(stage: int, block: int) -> bool:
    """Whether a block's shortcut is a convolution: where height, width and channels change."""
    return stage > 1 and block == 0


@dataclass(frozen=True)
class _Laid(Generic[Value]):
    layers: Layers[Value]
    tensors: Tensors

    def maps(self, pixels: Value, stages: int) -> Iterator[Value]:
        x = self.layers.relu(self._convolution("conv1", "bn1", pixels, stride=2, padding=3))
        x = self.layers.max_pool(x, 3, stride=2, padding=1)
        for stage in range(1, stages + 1):
            for block in range(2):
                x = self._block(f"layer{stage}.{block}", x, _has_downsample(stage, block))
            yield x

    def _block(self, name: str, x: Value, halves: bool) -> Value:
        stride = 2 if halves else 1
        shortcut = self._convolution(f"{name}.downsample.0", f"{name}.downsample.1", x, stride) if halves else x
        x = self.layers.relu(self._convolution(f"{name}.conv1", f"{name}.bn1", x, stride, padding=1))
        x = self._convolution(f"{name}.conv2", f"{name}.bn2", x, padding=1)
        return self.layers.relu(self.layers.add(x, shortcut))

    def _convolution(self, name: str, norm: str, x: Value, stride: int = 1, padding: int = 0) -> Value:
        name = f"backbone.{name}"
        return self.layers.convolution(name, x, *self.tensors.folded(name, f"backbone.{norm}"), stride, padding)
