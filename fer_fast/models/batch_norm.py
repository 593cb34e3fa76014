"""Batch norms become part of the convolutions before them, or get real statistics back; weights' place in memory."""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval


def channels_last(module: nn.Module) -> None:
    """Lays convolution weights out as [out, h, w, in] in memory, which is what vector units want."""
    for layer in module.modules():
        if isinstance(layer, nn.Conv2d):
            layer.weight.data = layer.weight.data.contiguous(memory_format=torch.channels_last)


def fold_batch_norm(backbone: nn.Module) -> None:
    """Replaces each convolution and its batch norm by one convolution with a bias, in place."""
    for parent in list(backbone.modules()):
        names = [name for name, _ in parent.named_children()]
        for name, after in pairwise(names):
            first, second = getattr(parent, name), getattr(parent, after)
            if isinstance(first, nn.Conv2d) and isinstance(second, nn.BatchNorm2d):
                setattr(parent, name, fuse_conv_bn_eval(first, second))
                setattr(parent, after, nn.Identity())


@torch.no_grad()
def unfold_batch_norm(backbone: nn.Module, pixels: Tensor) -> None:
    """Gives folded batch norms real statistics without changing what the network computes.

    Weights whose batch norm was folded into the convolutions (mean 0, variance 1) must not be trained in
    train mode as they are: batch statistics would replace the folded ones and destroy the function. Here each
    layer's statistics are measured on `pixels` and undone by its weight and bias.

    Args:
        backbone: any module with `nn.BatchNorm2d` layers; put in eval mode by this call.
        pixels: a typical input, normalised, float [batch, 3, size, size].
    """

    def measure(layer: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        assert isinstance(layer, nn.BatchNorm2d)
        variance, mean = torch.var_mean(inputs[0].float(), dim=(0, 2, 3), correction=0)
        assert layer.running_mean is not None and layer.running_var is not None
        scale = layer.weight / torch.sqrt(layer.running_var + layer.eps)
        layer.bias.add_((mean - layer.running_mean) * scale)
        layer.weight.copy_(scale * torch.sqrt(variance + layer.eps))
        layer.running_mean.copy_(mean)
        layer.running_var.copy_(variance)

    layers = [module for module in backbone.modules() if isinstance(module, nn.BatchNorm2d)]
    handles = [layer.register_forward_pre_hook(measure) for layer in layers]
    try:
        backbone.eval()(pixels)
    finally:
        for handle in handles:
            handle.remove()
