"""The face finder's network: images come in, a score, a box and five landmarks of each cell go out.

YuNet (Wu et al. 2023, "YuNet: A Tiny Millisecond-level Face Detector"), with the four heads of each scale as one: they
are a pointwise and a depthwise convolution each, so that stacking their channels gives the same numbers.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from fer_fast.models.finder.config import HEADS, STRIDES


class Unit(nn.Module):
    """A pointwise convolution, then a 3 x 3 depthwise one."""

    def __init__(self, inputs: int, outputs: int, activated: bool = True) -> None:
        super().__init__()
        self.pointwise = nn.Conv2d(inputs, outputs, 1)
        self.depthwise = nn.Conv2d(outputs, outputs, 3, padding=1, groups=outputs)
        self.activated = activated

    def forward(self, x: Tensor) -> Tensor:
        """Maps [batch, inputs, height, width] to [batch, outputs, height, width]."""
        x = self.depthwise(self.pointwise(x))
        return F.relu(x) if self.activated else x


class FinderNetwork(nn.Module):
    """YuNet, for RGB images whose sides are multiples of 32."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 16, 3, stride=2, padding=1)
        self.early = nn.Sequential(
            Unit(16, 16), nn.MaxPool2d(2), Unit(16, 16), Unit(16, 32), Unit(32, 32), Unit(32, 64), nn.MaxPool2d(2)
        )
        self.stages = nn.ModuleList(nn.Sequential(Unit(64, 64), Unit(64, 64)) for _ in STRIDES)
        self.laterals = nn.ModuleList(Unit(64, 64) for _ in STRIDES)
        self.heads = nn.ModuleList(Unit(64, sum(width for _, width in HEADS), activated=False) for _ in STRIDES)

    def raw(self, images: Tensor) -> list[Tensor]:
        """What training needs: the heads as they are.

        Args:
            images: uint8 or float [batch, height, width, 3], RGB of 0 to 255.

        Returns:
            Of each stride [batch, 16, height / stride, width / stride]; columns as in `HEADS`, the first two logits.
        """
        # Floats first: TensorRT transposes no uint8.
        x = images.to(self.stem.weight.dtype).permute(0, 3, 1, 2)
        x = self.early(F.relu(self.stem(x)))
        taps = []
        for place, stage in enumerate(self.stages):
            x = stage(x if place == 0 else F.max_pool2d(x, 2))
            taps.append(x)
        found: list[Tensor] = []
        above: Tensor | None = None
        for tap, lateral, head in zip(reversed(taps), reversed(self.laterals), reversed(self.heads), strict=True):
            above = lateral(tap if above is None else tap + F.interpolate(above, scale_factor=2.0, mode="nearest"))
            found.insert(0, head(above))
        return found

    def forward(self, images: Tensor) -> Tensor:
        """Finds faces.

        Args:
            images: uint8 or float [batch, height, width, 3], RGB of 0 to 255.

        Returns:
            float32 [batch, cells, 15], cells by stride and then by rows: score 0 to 1, the square root of what the
            first two heads say; centre x and y in cells from the cell's own corner; logarithms of width and height in
            cells; x and y of the landmarks in cells from the corner: eye, eye, nose, mouth, mouth, left in the image
            first.
        """
        columns = torch.cat([each.flatten(2) for each in self.raw(images)], dim=2).float()
        score = (columns[:, :1].sigmoid() * columns[:, 1:2].sigmoid()).sqrt()
        return torch.cat([score, columns[:, 2:]], dim=1).transpose(1, 2).contiguous()
