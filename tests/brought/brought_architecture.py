"""An architecture of another distribution: one convolution, a mean, a linear layer."""

from dataclasses import dataclass
from typing import ClassVar

from fer_fast.models.classifier import ClassifierArchitecture
from fer_fast.models.config import ClassifierConfig
from fer_fast.models.tensors import layer_shapes


@dataclass(frozen=True, kw_only=True)
class BroughtConfig(ClassifierConfig):
    architecture: ClassVar[str] = "brought"
    width: int = 8


class BroughtArchitecture(ClassifierArchitecture):
    config = BroughtConfig

    def shapes(self, config):
        yield from layer_shapes("conv", config.width, 3, 4, 4)
        yield from layer_shapes("head", len(config.classes), config.width)

    def network(self, config, drop_path=0.0):
        from brought_network import BroughtNetwork

        return BroughtNetwork(config)

    def lay_logits(self, config, tensors, layers, pixels):
        maps = layers.relu(layers.convolution("conv", pixels, *tensors.layer("conv"), stride=4))
        mean = layers.mean(layers.reshape(maps, [0, config.width, -1]), 2)
        return layers.linear("head", mean, *tensors.layer("head"))
