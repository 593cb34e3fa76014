"""What a new fusion model begins with: a pre-trained backbone, and the statistics of its taps."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from fer_fast.models.batch_norm import unfold_batch_norm
from fer_fast.models.fusion.network import FusionModel
from fer_fast.models.fusion.taps import FaceResNetTaps, ResNet18Taps


def start_backbone(backbone: ResNet18Taps, weights: Mapping[str, Tensor]) -> set[str]:
    """Puts pre-trained weights in; a residual branch that the file lacks starts as zero, so its block passes on.

    Returns:
        Names of the backbone's tensors that `weights` lacks.

    Raises:
        ValueError: if a tensor has another shape, or the file has none of the backbone's tensors.
    """
    own = {name: tensor for name, tensor in weights.items() if name in backbone.state_dict()}
    if "conv1.weight" not in own:
        raise ValueError("backbone weights must have torchvision's resnet18 names; conv1.weight is not among them")
    try:
        missing = {
            name
            for name in backbone.load_state_dict(own, strict=False).missing_keys
            if not name.endswith("num_batches_tracked")
        }
    except RuntimeError as error:
        raise ValueError(f"backbone weights must have resnet18's shapes: {error}") from error
    for name, module in backbone.named_modules():
        if isinstance(module, nn.Conv2d) and f"{name}.weight" in missing:
            nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
        if isinstance(module, nn.BatchNorm2d) and f"{name}.weight" in missing and name.endswith("bn2"):
            nn.init.zeros_(module.weight)
    return missing


def start_face_backbone(backbone: FaceResNetTaps, weights: Mapping[str, Tensor]) -> None:
    """Puts the weights of a face-resnet in, what is behind the backbone's last stage left out.

    Raises:
        ValueError: if a tensor is missing or has another shape.
    """
    own = {name: tensor for name, tensor in weights.items() if name in backbone.state_dict()}
    for name, tensor in backbone.state_dict().items():
        if not name.endswith("num_batches_tracked") and (name not in own or own[name].shape != tensor.shape):
            raise ValueError(f"backbone weights must be those of a face-resnet in dlib's widths; {name!r} does not fit")
    backbone.load_state_dict(own, strict=False)


@torch.no_grad()
def measure_statistics(model: FusionModel, images: Tensor) -> None:
    """Gives the backbone real batch-norm statistics and the fused op those of the taps.

    Args:
        model: changed in place.
        images: float [batch, 3, size, size], values 0..255.
    """
    if model.backbone is None:
        return
    pixels = model.normalised(images)
    unfold_batch_norm(model.backbone, pixels)
    set_tap_statistics(model, model.backbone(pixels))


@torch.no_grad()
def set_tap_statistics(model: FusionModel, maps: list[Tensor]) -> None:
    """Sets the means and deviations that the fused op normalises the taps with.

    Args:
        model: changed in place.
        maps: the model's taps of typical faces, each [batch, channels, height, width].
    """
    for name, tap in zip(model.config.taps, maps, strict=True):
        values = tap.mean(dim=1, keepdim=True) if model.config.reduce_mean else tap
        variance, mean = torch.var_mean(values.float(), dim=(0, 2, 3), correction=0)
        model.get_buffer(f"mean_{name}").copy_(mean)
        # A channel that is nearly always zero must not be blown up: its deviation is bounded from below.
        floor = 0.01 * variance.mean()
        model.get_buffer(f"inv_std_{name}").copy_(torch.rsqrt(variance + floor))
