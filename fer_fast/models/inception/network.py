"""The network: normalised pixels come in, logits go out.

It is that of Meng, Yuan & Yan 2020: a frozen Inception v3, from whose last map (mixed_10) or the mean of it (pool_3)
the classes are told, by a CNN, by one linear layer, or by both: the CNN's last map, one pixel, and the mean are of one
width, and become one by their sum or by the larger of each; which of the two the paper means it does not say. Of one
pixel its 1 x 1 convolutions are linear layers. What is between its convolutions it does not say, either: here ReLU.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from fer_fast.models.inception.backbone import InceptionV3
from fer_fast.models.inception.config import InceptionConfig
from fer_fast.models.network import Network

#: Parts that give maps worth a look: by the paper's names of them, torchvision's.
STAGES: dict[str, str] = {"stem": "Conv2d_4a_3x3", "mixed_2": "Mixed_5d", "mixed_7": "Mixed_6e", "mixed_10": "Mixed_7c"}


class Inception(Network):
    """See the module's words.

    Args:
        config: head, widths and classes.
    """

    config: InceptionConfig

    def __init__(self, config: InceptionConfig) -> None:
        super().__init__(config)
        self.backbone: InceptionV3 = InceptionV3(config.channels, config.divisor)
        self.sub_deep = nn.ModuleList(nn.Conv2d(*plan) for plan in config.convolutions())
        self.dense = nn.ModuleList(nn.Linear(*widths) for widths in config.dense_layers())
        last = config.dense_layers()[-1][1] if config.dense_layers() else config.width
        self.head = nn.Linear(last, len(config.classes))

    def stages(self) -> dict[str, nn.Module]:
        """Of Inception v3's parts four, shallow to deep."""
        return {name: self.backbone.get_submodule(part) for name, part in STAGES.items()}

    def logits(self, pixels: Tensor) -> Tensor:
        """See `Network.logits`."""
        return self.logits_of(self.features(pixels))

    def features(self, pixels: Tensor) -> Tensor:
        """The last map, [batch, width, side, side]."""
        return self.backbone(pixels)  # type: ignore[no-any-return]

    def logits_of(self, features: Tensor) -> Tensor:
        """See `Network.logits_of`."""
        mean, x = features.mean(dim=(2, 3)), features
        for convolution in self.sub_deep:
            x = F.relu(convolution(x))
        told = {
            "deepest": lambda: mean,
            "sub-deep": lambda: x.flatten(1),
            "sum": lambda: mean + x.flatten(1),
            "maximum": lambda: torch.maximum(mean, x.flatten(1)),
        }[self.config.head]()
        for layer in self.dense:
            told = F.relu(layer(told))
        return self.head(told)  # type: ignore[no-any-return]
