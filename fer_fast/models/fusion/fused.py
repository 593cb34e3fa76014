"""The backbone with fused convolutions: a convolution and what follows it are one kernel of cuDNN's."""

from __future__ import annotations

from torch import Tensor, nn

from fer_fast.models.convolutions import convolution_relu
from fer_fast.models.fusion.taps import BasicBlock, ResNet18Taps


class FusedStem(nn.Module):
    """A convolution and its ReLU."""

    def __init__(self, convolution: nn.Conv2d) -> None:
        super().__init__()
        self.convolution = convolution

    def forward(self, pixels: Tensor) -> Tensor:
        """Maps [batch, channels, h, w] as the convolution does."""
        return convolution_relu(self.convolution, pixels)


class FusedBlock(nn.Module):
    """A `BasicBlock` whose batch norms are folded."""

    def __init__(self, block: BasicBlock) -> None:
        super().__init__()
        self.conv1, self.conv2, self.downsample = block.conv1, block.conv2, block.downsample

    def forward(self, x: Tensor) -> Tensor:
        """See `BasicBlock.forward`."""
        shortcut = x if self.downsample is None else self.downsample(x)
        return convolution_relu(self.conv2, convolution_relu(self.conv1, x), shortcut)


def fuse_convolutions(backbone: ResNet18Taps) -> None:
    """Replaces convolutions and what follows them, in place; batch norms must be folded."""
    backbone.conv1, backbone.relu = FusedStem(backbone.conv1), nn.Identity()  # type: ignore[assignment]
    for name, block in list(backbone.named_modules()):
        if isinstance(block, BasicBlock):
            backbone.set_submodule(name, FusedBlock(block))
