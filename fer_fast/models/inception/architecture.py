"""The architecture of Inception classifiers: a configuration comes in, the forms in which it runs go out."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from fer_fast.models.classifier import ClassifierArchitecture, DrawnMap
from fer_fast.models.inception.config import InceptionConfig
from fer_fast.models.inception.layers import LaidInception, backbone_shapes, inception_shapes
from fer_fast.models.inception.nsfwjs import read_nsfwjs
from fer_fast.models.layers import Array, Layers, Value
from fer_fast.models.tensors import Shape, Tensors

if TYPE_CHECKING:
    from torch import Tensor

    from fer_fast.models.inception.network import Inception
    from fer_fast.models.network import Network

#: torchvision's Inception v3 (BSD-3), trained on ImageNet; the name ends in the first digits of its SHA-256.
URL = "https://download.pytorch.org/models/inception_v3_google-0cc3c7bd.pth"
#: What torchvision's file has besides: its classes, the auxiliary ones, norms' counters.
_LEFT = ("fc.", "AuxLogits.")
_COUNTER = ".num_batches_tracked"


class InceptionArchitecture(ClassifierArchitecture):
    """See `ClassifierArchitecture` for the methods."""

    config = InceptionConfig
    maps_title = "Input and feature maps, mean over channels"
    resizes = False  # the CNN on the last map leaves one pixel of one size alone
    weights_suffix = ".tgz"
    frozen = True
    presets: ClassVar[Mapping[str, InceptionConfig]] = {
        "inception-deepest": InceptionConfig(),
        "inception-subdeep": InceptionConfig(head="sub-deep"),
        "inception-fusion": InceptionConfig(head="sum"),
        "inception-fusion-maximum": InceptionConfig(head="maximum"),
    }

    def shapes(self, config: InceptionConfig) -> Iterator[Shape]:
        """Those of `Inception`."""
        return inception_shapes(config)

    def network(self, config: InceptionConfig, drop_path: float = 0.0) -> Inception:
        """`Inception`."""
        from fer_fast.models.inception.network import Inception

        return Inception(config)

    def weights_url(self, config: InceptionConfig) -> str:
        """torchvision's file; none for a network of other widths."""
        return URL if config.divisor == 1 else ""

    def read_weights(self, path: Path, config: InceptionConfig) -> dict[str, Array]:
        """The npm package nsfwjs."""
        return read_nsfwjs(path, config)

    def begin(self, network: Network, weights: Mapping[str, Tensor], images: Tensor) -> tuple[str, ...]:
        """The weights, which must be whole, as they stay; of a network of other widths there may be none."""
        config = network.config
        assert isinstance(config, InceptionConfig)
        if not weights and not self.weights_url(config):
            return ()
        wanted = dict(backbone_shapes(config))
        found = {
            name: values
            for name, values in weights.items()
            if not name.startswith(_LEFT) and not name.endswith(_COUNTER)
        }
        if unfit := sorted(name for name in {*wanted, *found} if wanted.get(name) != _shape(found.get(name))):
            raise ValueError(
                "backbone must hold a whole Inception v3 by torchvision's names, as it stays frozen; "
                f"{unfit[0]!r} does not fit"
            )
        assert network.backbone is not None
        network.backbone.load_state_dict(found, strict=False)
        return ()

    def drawn(self, config: InceptionConfig) -> list[DrawnMap]:
        """The image, and four of Inception v3's maps."""
        widths = {"stem": 192, "mixed_2": 288, "mixed_7": 768, "mixed_10": 2048}
        return [*super().drawn(config), *(DrawnMap(name, width // config.divisor) for name, width in widths.items())]

    def lay_features(self, config: InceptionConfig, tensors: Tensors, layers: Layers[Value], pixels: Value) -> Value:
        """The last map."""
        return LaidInception(layers, tensors).features(config, pixels)

    def lay_logits(self, config: InceptionConfig, tensors: Tensors, layers: Layers[Value], pixels: Value) -> Value:
        """The network."""
        laid = LaidInception(layers, tensors)
        return laid.logits_of(config, laid.features(config, pixels))


def _shape(tensor: Tensor | None) -> tuple[int, ...] | None:
    return None if tensor is None else tuple(tensor.shape)
