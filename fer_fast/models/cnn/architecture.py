"""The architecture of small CNNs: a configuration comes in, the forms of `CNN` in which it runs go out."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, ClassVar

from fer_fast.models.classifier import ClassifierArchitecture, DrawnMap
from fer_fast.models.cnn.config import CNNConfig
from fer_fast.models.cnn.layers import LaidCNN, cnn_shapes
from fer_fast.models.layers import Layers, Value
from fer_fast.models.tensors import Shape, Tensors

if TYPE_CHECKING:
    from fer_fast.models.cnn.network import CNN


class CNNArchitecture(ClassifierArchitecture):
    """See `ClassifierArchitecture` for the methods."""

    config = CNNConfig
    maps_title = "Input and feature maps, mean over channels"
    resizes = False  # its first dense layer has a weight for each pixel of the last map
    presets: ClassVar[Mapping[str, CNNConfig]] = {
        "cnn-shallow": CNNConfig(),
        "cnn-shallow-hog": CNNConfig(hog=True),
        "cnn-deep": CNNConfig(widths=(16, 64, 128, 128), dense=(256, 128)),
        "cnn-deep-hog": CNNConfig(widths=(16, 64, 128, 128), dense=(256, 128), hog=True),
    }

    def shapes(self, config: CNNConfig) -> Iterator[Shape]:
        """Those of `CNN`."""
        return cnn_shapes(config)

    def network(self, config: CNNConfig, drop_path: float = 0.0) -> CNN:
        """`CNN`."""
        from fer_fast.models.cnn.network import CNN

        return CNN(config)

    def drawn(self, config: CNNConfig) -> list[DrawnMap]:
        """The image, and what the first four convolutions give."""
        maps = [DrawnMap(f"map {number}", width) for number, width in enumerate(config.widths[:4], 1)]
        return [*super().drawn(config), *maps]

    def lay_logits(self, config: CNNConfig, tensors: Tensors, layers: Layers[Value], pixels: Value) -> Value:
        """The network."""
        return LaidCNN(layers, tensors).logits(config, pixels)
