"""A network as torch runs it comes in, with the card that shall; it is changed in place to what that card likes."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from fer_fast.models.convolutions import fuses
from fer_fast.models.dtypes import DTYPES
from fer_fast.models.network import Network

#: Of an image in 16 bits: what NVIDIA's guide to convolutional layers asks for before a first convolution of stride 2.
PADDED = 4
#: The first generation of cards with tensor cores, by the major number of its compute capability: they want channels
#: side by side. Before it there is nothing to feed in that order, and it is torch's own that is taken.
_TENSOR_CORES = 7


def fit_to_card(network: nn.Module, precision: str, major: int) -> dict[str, str]:
    """Changes memory order, channels and kernels, not what is computed.

    Args:
        network: in eval mode, its weights rounded and on the card.
        precision: fp32, bf16 or fp16.
        major: of the card's compute capability.

    Returns:
        What an engine says of it.
    """
    if not isinstance(network, Network):
        return {}  # a finder takes its images as they are
    if major < _TENSOR_CORES:
        _lay_in_planes(network)
    elif precision != "fp32" and (first := network.first_convolution()) is not None:
        _pad_first(network, first)
    order = torch.contiguous_format if network.pixel_planes else torch.channels_last
    device = network.get_buffer("pixel_mean").device
    if fuses(device, DTYPES[precision], order) and network.fuse_convolutions():
        return {"convolutions": "fused by cuDNN"}
    return {}


def _lay_in_planes(network: Network) -> None:
    for module in network.modules():
        if isinstance(module, Network):
            module.pixel_planes = True
        elif isinstance(module, nn.Conv2d):
            module.weight.data = module.weight.data.contiguous()


def _pad_first(network: Network, first: nn.Conv2d) -> None:
    network.pixel_channels = PADDED
    weight: Tensor = F.pad(first.weight.data, (0, 0, 0, 0, 0, PADDED - first.in_channels))
    first.in_channels = PADDED
    first.weight.data = weight.contiguous(memory_format=torch.channels_last)
