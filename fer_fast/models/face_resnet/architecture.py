"""The architecture of face-resnet: a configuration comes in, the forms of `FaceResNet` in which it runs go out."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, ClassVar

from fer_fast.models.classifier import ClassifierArchitecture, DrawnMap
from fer_fast.models.face_resnet.config import FaceResNetConfig
from fer_fast.models.face_resnet.dlib import read_dlib
from fer_fast.models.face_resnet.layers import LaidFaceResNet, face_resnet_shapes
from fer_fast.models.layers import Array, Layers, Value
from fer_fast.models.tensors import Shape, Tensors

if TYPE_CHECKING:
    from pathlib import Path

    from torch import Tensor

    from fer_fast.models.face_resnet.network import FaceResNet
    from fer_fast.models.network import Network


class FaceResNetArchitecture(ClassifierArchitecture):
    """See `ClassifierArchitecture` for the methods."""

    config = FaceResNetConfig
    maps_title = "Input and feature maps, mean over channels"
    weights_suffix = ".dat"
    presets: ClassVar[Mapping[str, FaceResNetConfig]] = {"face-resnet": FaceResNetConfig()}

    def shapes(self, config: FaceResNetConfig) -> Iterator[Shape]:
        """Those of `FaceResNet`."""
        return face_resnet_shapes(config)

    def network(self, config: FaceResNetConfig, drop_path: float = 0.0) -> FaceResNet:
        """`FaceResNet`."""
        from fer_fast.models.face_resnet.network import FaceResNet

        return FaceResNet(config)

    def read_weights(self, path: Path, config: FaceResNetConfig) -> dict[str, Array]:
        """dlib's own file."""
        return read_dlib(path, config)

    def begin(self, network: Network, weights: Mapping[str, Tensor], images: Tensor) -> tuple[str, ...]:
        """dlib's weights, if there are any, below a head of chance; norms get the faces' statistics."""
        from fer_fast.models.batch_norm import unfold_batch_norm

        if weights:
            shapes = {name: values.shape for name, values in network.state_dict().items()}
            if unfit := sorted(name for name in weights if weights[name].shape != shapes.get(name)):
                raise ValueError(f"weights must have face-resnet's names and shapes; {unfit[0]!r} does not fit")
            network.load_state_dict(weights, strict=False)
            unfold_batch_norm(network, images)
        return ()

    def drawn(self, config: FaceResNetConfig) -> list[DrawnMap]:
        """The image, and the last map of each of the first four stages; the fifth has a pixel or two."""
        maps = [DrawnMap(f"stage {number}", width) for number, width in enumerate(config.widths, 1)]
        return [*super().drawn(config), *maps]

    def lay_logits(self, config: FaceResNetConfig, tensors: Tensors, layers: Layers[Value], pixels: Value) -> Value:
        """The network."""
        return LaidFaceResNet(layers, tensors).logits(config, pixels)
