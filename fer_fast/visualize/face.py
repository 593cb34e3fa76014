"""What a model makes of one face: feature maps, attention rollout, probabilities."""

from __future__ import annotations

import math
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from fer_fast.models.config import ClassifierConfig
from fer_fast.models.fusion.vit import Attention
from fer_fast.models.layer_maps import watched
from fer_fast.models.network import Network
from fer_fast.models.prior import PriorLike, ratios_of, shares_of, with_ratios
from fer_fast.types import FerFastError, Prediction


@dataclass(frozen=True)
class Inspection:
    """What a model makes of one face.

    Attributes:
        config: the model's.
        pixels: the face as the model sees it, uint8 [size, size, 3].
        maps: the channel mean of each stage's feature map (`Network.stages`), shallow to deep, by name, of a fusion
            model those of its backbone, fused or not (Oh & Yoo 2023, Figure 3): float32 [h, w].
        rollout: how much of each token is in the mean over the output tokens, float32 [grid, grid]; sums to 1. None for
            a model without attention.
        prediction: calibrated, and averaged with the mirror image where the model does so. Maps and rollout are of
            the upright image alone.
    """

    config: ClassifierConfig
    pixels: npt.NDArray[np.uint8]
    maps: dict[str, npt.NDArray[np.float32]]
    rollout: npt.NDArray[np.float32] | None
    prediction: Prediction


@torch.no_grad()
def inspect_face(model: Network, pixels: npt.NDArray[np.uint8], prior: PriorLike = "train") -> Inspection:
    """Runs a model on one face and looks inside.

    Args:
        model: in eval mode; it is left as it is.
        pixels: uint8 [size, size, 3], RGB, of the model's image size.
        prior: the mix of classes that the probabilities are to presume, as `Classifier` takes it.

    Raises:
        TypeError: if `pixels` is not a uint8 array.
        ValueError: if its shape is another, or the model cannot have that prior.
        FerFastError: if the model gives a value that is not finite.
    """
    check_pixels(model, pixels)
    classes = model.config.classes
    ratios = ratios_of(shares_of(prior, classes), model.config.prior, classes)
    images = torch.tensor(pixels, device=model.get_buffer("pixel_mean").device)[None]  # [1, size, size, 3]
    maps = {name: mean[0].cpu().numpy() for name, mean in channel_means(model, images).items()}
    weights = attention_weights(model, images)
    rollout = _square(attention_rollout(weights)[0]) if weights else None
    logits = model(images).float() / model.config.temperature
    probabilities = logits.softmax(dim=1)[0].cpu().numpy()  # [classes]
    shown = [*maps.values(), probabilities, *([] if rollout is None else [rollout])]
    if not all(np.isfinite(values).all() for values in shown):
        raise FerFastError("the model gave a value that is not a number")
    if ratios is not None:
        probabilities = with_ratios(probabilities[None], ratios)[0]
    return Inspection(model.config, pixels, maps, rollout, Prediction(classes, probabilities))


def check_pixels(model: Network, pixels: npt.NDArray[np.uint8]) -> None:
    """Whether these are a face for this model.

    Raises:
        TypeError: if they are not a uint8 array.
        ValueError: if its shape is not [size, size, 3].
    """
    size = model.config.image_size
    if not isinstance(pixels, np.ndarray) or pixels.dtype != np.uint8:
        raise TypeError(f"pixels must be a uint8 array, not {getattr(pixels, 'dtype', type(pixels).__name__)}")
    if pixels.shape != (size, size, 3):
        raise ValueError(f"pixels must be {[size, size, 3]}, not {list(pixels.shape)}")


def _square(shares: Tensor) -> npt.NDArray[np.float32]:
    """Of tokens [grid * grid] as they lie in the image, [grid, grid]."""
    grid = math.isqrt(len(shares))
    found: npt.NDArray[np.float32] = shares.view(grid, grid).cpu().numpy()
    return found


@torch.no_grad()
def channel_means(model: Network, images: Tensor) -> dict[str, Tensor]:
    """The mean over the channels of the maps that `Network.stages` names (Oh & Yoo 2023, Figure 3).

    Args:
        model: in eval mode.
        images: as `Network.forward` takes them.

    Returns:
        fp32 [batch, h, w] by name. Empty for a fusion model of the image alone.
    """
    with watched(model.stages()) as maps:
        model.trained(images)
    # Of the first view, should a member of an ensemble look at two.
    return {name: output[: len(images)].float().mean(dim=1) for name, output in maps.items()}


@torch.no_grad()
def attention_weights(model: Network, images: Tensor) -> list[Tensor]:
    """The softmax of each attention layer, computed once more from its queries and keys: the fused kernel keeps none.

    Args:
        model: in eval mode.
        images: as `Network.forward` takes them.

    Returns:
        For each layer, first to last, fp32 [batch, heads, tokens, tokens]; rows, of the tokens that look, sum to 1.
        None of a model without attention.
    """
    weights: list[Tensor] = []

    def keep(attention: Attention, layer: nn.Module, inputs: object, qkv: Tensor) -> None:
        batch, tokens, _ = qkv.shape
        query, key, _ = qkv.float().view(batch, tokens, 3, attention.heads, -1).permute(2, 0, 3, 1, 4)
        weights.append((query @ key.transpose(2, 3) * query.shape[-1] ** -0.5).softmax(dim=-1))

    with ExitStack() as hooks:
        for module in model.attentions():
            assert isinstance(module, Attention)
            hooks.enter_context(module.qkv.register_forward_hook(partial(keep, module)))
        model.trained(images)
    return weights


def attention_rollout(weights: Sequence[Tensor]) -> Tensor:
    """Follows attention through all layers back to the tokens that came in (Abnar & Zuidema 2020, Section 3).

    The heads of a layer are averaged; the residual connection around it counts as much as its attention. The Vision
    Transformer has no class token but the mean over its output tokens, so the mean of their rollouts is given.

    Args:
        weights: what `attention_weights` gives; each [batch, heads, tokens, tokens].

    Returns:
        Each token's share, [batch, tokens]; sums to 1 for each image.

    Raises:
        ValueError: if there is no layer.
    """
    if not weights:
        raise ValueError("weights must be of one layer at least, not empty")
    tokens = weights[0].shape[-1]
    shares = weights[0].new_full((len(weights[0]), 1, tokens), 1 / tokens)  # the mean over the output tokens
    for layer in reversed(weights):
        mixed = 0.5 * layer.mean(dim=1) + 0.5 * torch.eye(tokens, dtype=layer.dtype, device=layer.device)
        shares = shares @ (mixed / mixed.sum(dim=-1, keepdim=True))
    return shares[:, 0]
