"""Small Inception classifiers with random weights, for tests."""

from __future__ import annotations

import torch
from tiny_models import settle

from fer_fast.models.inception.config import InceptionConfig
from fer_fast.models.inception.network import Inception


def small_config(**changes: object) -> InceptionConfig:
    """A sixteenth of the widths, and few maps."""
    return InceptionConfig(**{"divisor": 16, "maps": 8, **changes})  # type: ignore[arg-type]


def random_network(config: InceptionConfig) -> Inception:
    """See `settle`; some forty random layers one behind the other would multiply what rounding differs by."""
    torch.manual_seed(0)
    network = Inception(config)
    for layer in network.modules():
        if isinstance(layer, torch.nn.BatchNorm2d):
            torch.nn.init.constant_(layer.bias, 0.5)
        elif isinstance(layer, torch.nn.Conv2d):
            layer.weight.data -= layer.weight.data.mean((1, 2, 3), keepdim=True)
    settle(network, seed=1)
    return network
