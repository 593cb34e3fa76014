"""A form for graph compilers in int8: measured activation ranges come in, a model with quantised layers goes out.

Post-training quantisation as in Jacob et al. 2018: activations with one range a tensor, int8 weights with one range an
output channel. The layers simulate it (`fake_quantize`); a graph compiler that sees the pattern computes it.
Normalisation, attention's products and residual sums stay in floating point: they are few.

Activations are uint8, or int8 around zero (`symmetric`), which is all that TensorRT knows and costs those behind a ReLU
one bit.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from fer_fast.models.network import Network
from fer_fast.models.ranges import SMALLEST_SCALE, check_ranges, scale_and_zero

#: QuantizeLinear takes fp16 since this version of ONNX's operators.
QUANTISED_OPSET = 19


class QuantisedLayer(nn.Module):
    """A convolution or linear layer with quantised input and weights.

    In an export to ONNX it becomes the pattern of QuantizeLinear and DequantizeLinear, in the precision of its input.

    Args:
        layer: the layer in fp32.
        low, high: the range of its input; holds 0.
        symmetric: the input becomes int8 around zero instead of uint8.
    """

    def __init__(self, layer: nn.Conv2d | nn.Linear, low: float, high: float, symmetric: bool = False) -> None:
        super().__init__()
        self.layer = layer
        self.limits = (-127, 127) if symmetric else (0, 255)
        self.scale, self.zero_point = (max(-low, high) / 127, 0) if symmetric else scale_and_zero(low, high)
        weight = layer.weight.detach()
        largest = weight.abs().amax(dim=tuple(range(1, weight.ndim)))
        self.register_buffer("weight_scale", (largest / 127).clamp_min(SMALLEST_SCALE))
        self.register_buffer("weight_zero", torch.zeros_like(largest, dtype=torch.int32))

    def forward(self, x: Tensor) -> Tensor:
        """The layer's own shapes."""
        weight, scale, zero = self.layer.weight, self.get_buffer("weight_scale"), self.get_buffer("weight_zero")
        if torch.onnx.is_in_onnx_export():
            kind = torch.int8 if self.limits[0] < 0 else torch.uint8
            x = _pattern(x, x.new_tensor(self.scale), torch.tensor(self.zero_point, dtype=kind))
            weight = _pattern(weight, scale, zero.to(torch.int8))
        else:
            x = torch.fake_quantize_per_tensor_affine(x, self.scale, self.zero_point, *self.limits)
            weight = torch.fake_quantize_per_channel_affine(weight, scale, zero, 0, -127, 127)
        if isinstance(self.layer, nn.Linear):
            return F.linear(x, weight, self.layer.bias)
        layer = self.layer
        return F.conv2d(x, weight, layer.bias, layer.stride, layer.padding, layer.dilation, layer.groups)


def _pattern(x: Tensor, scale: Tensor, zero: Tensor) -> Tensor:
    """ONNX's two nodes; one scale a tensor, or one an entry of the first dimension. Of no use outside an export."""
    axis: dict[str, Any] = {"axis": 0} if scale.ndim else {}
    node = partial(torch.onnx.ops.symbolic, attrs=axis, shape=x.shape, version=QUANTISED_OPSET)
    quantised = node("QuantizeLinear", (x, scale, zero), dtype=zero.dtype)
    return node("DequantizeLinear", (quantised, scale, zero), dtype=x.dtype)


def quantisable_layers(model: Network) -> dict[str, nn.Conv2d | nn.Linear]:
    """The layers that int8 computes, by name."""
    return {name: layer for name, layer in model.named_modules() if isinstance(layer, (nn.Conv2d, nn.Linear))}


@torch.no_grad()
def measure_ranges(model: Network, images: Tensor, batch_size: int = 32) -> dict[str, tuple[float, float]]:
    """Measures the input range of each layer: the mean over batches of the batches' extremes.

    Args:
        model: in fp32, eval mode.
        images: uint8 [images, size, size, 3], typical faces, not those that accuracy is reported on.
        batch_size: images that share one pair of extremes; the mean of them ignores a lone outlier.

    Returns:
        Layer name to smallest and largest input, widened to hold 0.
    """
    extremes: dict[str, list[Tensor]] = {}
    handles = [
        layer.register_forward_pre_hook(
            lambda _, inputs, name=name: extremes.setdefault(name, []).append(torch.stack(inputs[0].aminmax()))
        )
        for name, layer in quantisable_layers(model).items()
    ]
    try:
        for batch in torch.split(images, batch_size):
            model(batch)
    finally:
        for handle in handles:
            handle.remove()
    means = {name: torch.stack(values).mean(dim=0).tolist() for name, values in extremes.items()}
    return {name: (min(low, 0.0), max(high, 1e-6)) for name, (low, high) in means.items()}


def quantise(model: Network, symmetric: bool = False) -> Network:
    """Replaces the layers, in place, by quantised ones, with the ranges of the model's configuration.

    Args:
        model: in fp32.
        symmetric: see `QuantisedLayer`.

    Raises:
        ValueError: if the configuration has no ranges, or not those of this model's layers.
    """
    ranges = model.config.activation_ranges
    layers = quantisable_layers(model)
    check_ranges(ranges, layers)
    for name, layer in layers.items():
        parent, _, attribute = name.rpartition(".")
        low, high = ranges[name]
        setattr(model.get_submodule(parent), attribute, QuantisedLayer(layer, low, high, symmetric))
    return model
