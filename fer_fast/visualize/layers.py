"""A model's convolutions come in: the filters of the first, and what each makes of one face, go out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from fer_fast.models.layer_maps import watched
from fer_fast.models.network import Network
from fer_fast.types import FerFastError
from fer_fast.visualize.face import check_pixels

Maps = npt.NDArray[np.float32]

#: Layers that are shown where none is named.
MOST_LAYERS = 4


@dataclass(frozen=True)
class Filters:
    """The filters of a convolution.

    Attributes:
        layer: its name.
        weights: float32 [filters, channels, height, width].
    """

    layer: str
    weights: Maps


def chosen_layers(model: Network, names: Sequence[str] = ()) -> list[str]:
    """Names as they were given; without any the stages, or else the convolutions, `MOST_LAYERS` at most.

    Raises:
        ValueError: the model has no convolution, or no layer of a name.
    """
    known = model.layers_with_maps()
    first_filters(model)  # or there is no convolution
    for name in names:
        if name not in known:
            raise ValueError(f"layers must be of {', '.join(known)}, not {name!r}")
    return list(names) or list(model.stages() or known)[:MOST_LAYERS]


def first_filters(model: Network) -> Filters:
    """Those of the first convolution, as they lie in the model: of a grey model with one channel.

    Raises:
        ValueError: the model has no convolution.
    """
    convolutions = {name: layer for name, layer in model.named_modules() if isinstance(layer, nn.Conv2d)}
    if not convolutions:
        raise ValueError(f"model must have convolutions; one of architecture {model.config.architecture!r} has none")
    name, layer = next(iter(convolutions.items()))
    weights: Maps = layer.weight.detach().float().cpu().numpy()
    return Filters(name, weights)


@torch.no_grad()
def feature_maps(model: Network, pixels: npt.NDArray[np.uint8], names: Sequence[str]) -> dict[str, Maps]:
    """What layers make of a face, upright; of a convolution before its norm and ReLU, of a stage behind them.

    Args:
        model: in eval mode; it is left as it is.
        pixels: uint8 [size, size, 3], RGB, of the model's image size.
        names: out of `Network.layers_with_maps`.

    Returns:
        float32 [channels, h, w] by name, in the order of `names`.

    Raises:
        TypeError: if `pixels` is not a uint8 array.
        ValueError: if its shape is another, a name is unknown, or the model does not run that layer.
        FerFastError: if the model gives a value that is not finite.
    """
    check_pixels(model, pixels)
    layers = model.layers_with_maps()
    with watched({name: layers[name] for name in chosen_layers(model, names)}) as found:
        model.trained(torch.tensor(pixels, device=model.get_buffer("pixel_mean").device)[None])
    for name in names:
        if name not in found:
            raise ValueError(f"layers must be of those that the model runs, which {name!r} is not")
    # Of the first view, should the model look at two.
    maps: dict[str, Maps] = {name: found[name][0].float().cpu().numpy() for name in names}
    if not all(np.isfinite(values).all() for values in maps.values()):
        raise FerFastError("the model gave a value that is not a number")
    return maps


def sparsity(maps: Maps) -> float:
    """The share of a layer's activations that are 0, or below it, which a ReLU makes 0.

    Args:
        maps: float32 [channels, h, w].
    """
    return float((maps <= 0).mean())
