"""The start of a training run: pre-trained ResNet-18 weights come in, a model ready to be trained goes out."""

from __future__ import annotations

import pickle
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from fer_fast.models.backbone import ResNet18Taps, unfold_batch_norm
from fer_fast.models.fusion import FusionModel
from fer_fast.types import FerFastError

#: torchvision's ResNet18_Weights.IMAGENET1K_V1; the name ends in the first eight digits of its SHA-256.
RESNET18_URL = "https://download.pytorch.org/models/resnet18-f37072fd.pth"


def read_backbone_weights(path: Path | None) -> dict[str, Tensor]:
    """Reads ResNet-18 weights under torchvision's names.

    Args:
        path: a .safetensors or .pth file, or None for torchvision's ImageNet weights by URL, hash-checked.

    Raises:
        ValueError: if there is no such file, or it holds no tensors by name.
        FerFastError: if the download fails.
    """
    if path is None:
        try:
            return torch.hub.load_state_dict_from_url(RESNET18_URL, check_hash=True, weights_only=True)
        except (OSError, RuntimeError) as error:
            raise FerFastError(
                f"{RESNET18_URL} cannot be downloaded: {error}; give a file of backbone weights"
            ) from error
    if not path.is_file():
        raise ValueError(f"backbone must be a .safetensors or .pth file; there is no {str(path)!r}")
    try:
        safe = path.suffix == ".safetensors"
        weights = load_file(path) if safe else torch.load(path, map_location="cpu", weights_only=True)
    except (SafetensorError, RuntimeError, EOFError, OSError, pickle.UnpicklingError) as error:
        raise ValueError(f"backbone {str(path)!r} cannot be read: {error}") from error
    if not isinstance(weights, dict) or not all(isinstance(tensor, Tensor) for tensor in weights.values()):
        raise ValueError(f"backbone {str(path)!r} must hold tensors by name, as torchvision's files do")
    return weights


def start_backbone(backbone: ResNet18Taps, weights: dict[str, Tensor]) -> None:
    """Puts pre-trained weights in; a residual branch that the file lacks starts as zero, so its block passes on.

    Raises:
        ValueError: if a tensor has another shape, or the file has none of the backbone's tensors.
    """
    own = {name: tensor for name, tensor in weights.items() if name in backbone.state_dict()}
    if "conv1.weight" not in own:
        raise ValueError("backbone weights must have torchvision's resnet18 names; conv1.weight is not among them")
    try:
        missing = set(backbone.load_state_dict(own, strict=False).missing_keys)
    except RuntimeError as error:
        raise ValueError(f"backbone weights must have resnet18's shapes: {error}") from error
    for name, module in backbone.named_modules():
        if isinstance(module, nn.Conv2d) and f"{name}.weight" in missing:
            nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
        if isinstance(module, nn.BatchNorm2d) and f"{name}.weight" in missing and name.endswith("bn2"):
            nn.init.zeros_(module.weight)


@torch.no_grad()
def measure_statistics(model: FusionModel, images: Tensor) -> None:
    """Sets the means and deviations of the taps that the fused op normalises with.

    Args:
        model: its backbone gets real batch-norm statistics, too (`unfold_batch_norm`).
        images: float [batch, 3, size, size], values 0..255.
    """
    if model.backbone is None:
        return
    pixels = model.normalised(images)
    unfold_batch_norm(model.backbone, pixels)
    for name, tap in zip(model.config.taps, model.backbone(pixels), strict=True):
        values = tap.mean(dim=1, keepdim=True) if model.config.reduce_mean else tap
        variance, mean = torch.var_mean(values.float(), dim=(0, 2, 3), correction=0)
        model.get_buffer(f"mean_{name}").copy_(mean)
        # A channel that is nearly always zero must not be blown up: its deviation is bounded from below.
        floor = 0.01 * variance.mean()
        model.get_buffer(f"inv_std_{name}").copy_(torch.rsqrt(variance + floor))
