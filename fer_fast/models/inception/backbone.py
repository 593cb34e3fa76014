"""Inception v3 in torch: normalised pixels come in, its last map goes out; parameters have torchvision's names."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from fer_fast.models.inception.plan import EPSILON, POOLED, Branch, Convolution, blocks, stem


class ConvolutionNormReLU(nn.Module):
    """A convolution, its batch norm and a ReLU."""

    def __init__(self, plan: Convolution) -> None:
        super().__init__()
        self.conv = nn.Conv2d(plan.inputs, plan.outputs, plan.kernel, plan.stride, plan.padding, bias=False)
        self.bn = nn.BatchNorm2d(plan.outputs, eps=EPSILON)

    def forward(self, x: Tensor) -> Tensor:
        """Maps [batch, inputs, h, w] to [batch, outputs, h', w']."""
        return F.relu(self.bn(self.conv(x)))


class Mixed(nn.Module):
    """A block: branches, whose maps stand side by side."""

    def __init__(self, branches: tuple[Branch, ...]) -> None:
        super().__init__()
        self.branches = branches
        for branch in branches:
            for plan in (*branch.chain, *branch.fork):
                self.add_module(plan.name, ConvolutionNormReLU(plan))

    def forward(self, x: Tensor) -> Tensor:
        """Maps [batch, inputs, h, w] to [batch, outputs, h', w']."""
        return torch.cat([self._through(branch, x) for branch in self.branches], 1)

    def _through(self, branch: Branch, x: Tensor) -> Tensor:
        if branch.pool == "mean":
            # As TensorFlow does, which trained it; torchvision counts the zeros around a map, too.
            x = F.avg_pool2d(x, 3, stride=1, padding=1, count_include_pad=False)
        elif branch.pool == "max":
            x = F.max_pool2d(x, 3, stride=2)
        for plan in branch.chain:
            x = self.get_submodule(plan.name)(x)
        if branch.fork:
            x = torch.cat([self.get_submodule(plan.name)(x) for plan in branch.fork], 1)
        return x


class InceptionV3(nn.Module):
    """Szegedy et al. 2016, without its classes and its auxiliary ones.

    Args:
        channels: of the pixels.
        divisor: of all widths, see `plan`.
    """

    def __init__(self, channels: int, divisor: int) -> None:
        super().__init__()
        self.order: list[str] = []
        for plan in stem(channels, divisor):
            self._then(plan.name, ConvolutionNormReLU(plan))
        for name, branches in blocks(divisor):
            self._then(name, Mixed(branches))

    def _then(self, name: str, part: nn.Module) -> None:
        self.order.append(name)
        self.add_module(name, part)

    def forward(self, pixels: Tensor) -> Tensor:
        """Maps [batch, channels, size, size] to the last map, 2,048 channels over the divisor, 8 x 8 at 299 pixels."""
        x = pixels
        for name in self.order:
            x = self.get_submodule(name)(x)
            if name in POOLED:
                x = F.max_pool2d(x, 3, stride=2)
        return x
