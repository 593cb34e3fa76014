"""The loss that brings handcrafted features in: a layer's maps come in, what they lack of the features goes out.

After Xie, Shen & Duan 2021: early in the training a feature-bias constraint holds deep features near handcrafted ones,
later the network goes its own way; several features are weighted adaptively. Their formulas are not known here. In this
one the features of a cell must be a linear function of the maps there, by a 1 x 1 convolution for each feature that is
learnt along and not kept. Faces are seen as they are, as the features describe them, in a pass of their own.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from fer_fast.models.layer_maps import watched
from fer_fast.models.network import Network
from fer_fast.train.handcrafted import GRID


class FeatureLoss(nn.Module):
    """How far handcrafted features are from what can be read off a layer.

    "adaptive" weighs by uncertainty (Kendall et al. 2018, Section 3): a feature counts exp(-s), s the logarithm of the
    variance of what is left of it, which is learnt along with s itself as its cost. It takes no pass of its own, where
    GradNorm (Chen et al. 2018) needs the gradient of each loss by itself, and it has no exponent to be chosen. The
    classification counts 1 throughout, so that what is left when the features have gone is the usual loss.

    Args:
        model: whose layer it is; it is run once.
        layer: its name, out of `Network.layers_with_maps`.
        channels: of each feature, by name.
        adaptive: whether features are weighted by uncertainty; else each counts the same.

    Raises:
        ValueError: there is no layer of that name, or the model does not run it.
    """

    def __init__(self, model: Network, layer: str, channels: Mapping[str, int], adaptive: bool) -> None:
        super().__init__()
        if layer not in model.layers_with_maps():
            raise ValueError(f"feature_layer must be one of {', '.join(model.layers_with_maps())}, not {layer!r}")
        self.layer = layer
        inputs = _channels(model, layer)
        self.readouts = nn.ModuleDict({name: nn.Conv2d(inputs, count, 1) for name, count in channels.items()})
        self.log_variances = nn.Parameter(torch.zeros(len(channels))) if adaptive else None

    def losses(self, maps: Tensor, features: Mapping[str, Tensor]) -> Tensor:
        """The mean squared error of each feature, [features].

        Args:
            maps: the layer's, [batch, channels, h, w].
            features: by name, [batch, channels, GRID, GRID].
        """
        cells = F.adaptive_avg_pool2d(maps.float(), GRID)
        return torch.stack([F.mse_loss(read(cells), features[name].float()) for name, read in self.readouts.items()])

    def weighted(self, losses: Tensor) -> Tensor:
        """One number of `losses`: their mean, each weighted."""
        if self.log_variances is None:
            return losses.mean()
        return (losses * (-self.log_variances).exp() + self.log_variances).mean()

    def forward(self, model: Network, images: Tensor, features: Mapping[str, Tensor]) -> Tensor:
        """The loss of a batch.

        Args:
            model: the same, as it is trained.
            images: the faces as they are, float [batch, 3, size, size], values 0..255.
            features: see `losses`.
        """
        with watched({self.layer: model.layers_with_maps()[self.layer]}) as maps:
            model.trained(images)
        return self.weighted(self.losses(maps[self.layer], features))


def share_at(weight: float, epochs: float, epoch: float) -> float:
    """The weight of the features after a number of epochs: it falls evenly to 0, where it stays."""
    return weight * max(0.0, 1 - epoch / epochs)


@torch.no_grad()
def _channels(model: Network, layer: str) -> int:
    """Of a layer's maps."""
    training, size = model.training, model.config.image_size
    with watched({layer: model.layers_with_maps()[layer]}) as maps:
        model.eval().trained(torch.zeros(1, 3, size, size))
    model.train(training)
    if layer not in maps:
        raise ValueError(f"feature_layer must be one that the model runs, not {layer!r}")
    return maps[layer].shape[1]
