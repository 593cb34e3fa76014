"""The architecture of face-resnet: a configuration comes in, the forms of `FaceResNet` in which it runs go out."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, ClassVar

from fer_fast.models.classifier import ClassifierArchitecture, DrawnMap
from fer_fast.models.face_resnet.config import FaceResNetConfig
from fer_fast.models.face_resnet.layers import LaidFaceResNet, face_resnet_shapes
from fer_fast.models.layers import Layers, Value
from fer_fast.models.tensors import Shape, Tensors

if TYPE_CHECKING:
    from fer_fast.models.face_resnet.network import FaceResNet


class FaceResNetArchitecture(ClassifierArchitecture):
    """See `ClassifierArchitecture` for the methods."""

    config = FaceResNetConfig
    maps_title = "Input and feature maps, mean over channels"
    presets: ClassVar[Mapping[str, FaceResNetConfig]] = {"face-resnet": FaceResNetConfig()}

    def shapes(self, config: FaceResNetConfig) -> Iterator[Shape]:
        """Those of `FaceResNet`."""
        return face_resnet_shapes(config)

    def network(self, config: FaceResNetConfig, drop_path: float = 0.0) -> FaceResNet:
        """`FaceResNet`."""
        from fer_fast.models.face_resnet.network import FaceResNet

        return FaceResNet(config)

    def drawn(self, config: FaceResNetConfig) -> list[DrawnMap]:
        """The image, and the last map of each of the first four stages; the fifth has a pixel or two."""
        maps = [DrawnMap(f"stage {number}", width) for number, width in enumerate(config.widths, 1)]
        return [*super().drawn(config), *maps]

    def lay_logits(self, config: FaceResNetConfig, tensors: Tensors, layers: Layers[Value], pixels: Value) -> Value:
        """The network."""
        return LaidFaceResNet(layers, tensors).logits(config, pixels)
