"""The network: normalised pixels come in, logits go out.

It is that of dlib's face recognition model (King 2017, `dlib_face_recognition_resnet_model_v1`, itself after He et al.
2016), whose affine layers are batch norms here. Its convolutions of stride 2 pad nothing; where its two branches end up
with different sides or channels, the smaller has zeros behind its last.
"""

from __future__ import annotations

from itertools import accumulate

import torch.nn.functional as F
from torch import Tensor, nn

from fer_fast.models.face_resnet.config import STAGES, FaceResNetConfig, UnitPlan
from fer_fast.models.network import Network


class Stem(nn.Module):
    """A 7 x 7 convolution of stride 2, and a pooling of stride 2."""

    def __init__(self, inputs: int, channels: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(inputs, channels, 7, stride=2, bias=False)
        self.norm = nn.BatchNorm2d(channels)

    def forward(self, pixels: Tensor) -> Tensor:
        """Maps [batch, inputs, size, size] to [batch, channels, side, side]."""
        return F.max_pool2d(F.relu(self.norm(self.conv(pixels))), 3, stride=2)


class Unit(nn.Module):
    """Two 3 x 3 convolutions and a shortcut without weights."""

    def __init__(self, plan: UnitPlan) -> None:
        super().__init__()
        self.plan = plan
        stride, padding = (2, 0) if plan.halves else (1, 1)
        self.conv1 = nn.Conv2d(plan.inputs, plan.outputs, 3, stride, padding, bias=False)
        self.norm1 = nn.BatchNorm2d(plan.outputs)
        self.conv2 = nn.Conv2d(plan.outputs, plan.outputs, 3, padding=1, bias=False)
        self.norm2 = nn.BatchNorm2d(plan.outputs)

    def forward(self, x: Tensor) -> Tensor:
        """Maps [batch, inputs, h, w] to [batch, outputs, h, w], or half of h and w."""
        shortcut = F.avg_pool2d(x, 2, stride=2) if self.plan.halves else x
        shortcut = F.pad(shortcut, (0, 0, 0, 0, 0, self.plan.outputs - self.plan.inputs))
        x = F.relu(self.norm1(self.conv1(x)))
        x = self.norm2(self.conv2(x))
        missing = shortcut.shape[-1] - x.shape[-1]  # the plan's, at its own size; a stage of training may have another
        return F.relu(F.pad(x, (0, missing, 0, missing)) + shortcut)


class FaceResNet(Network):
    """See the module's words.

    Args:
        config: size, widths and classes.
    """

    config: FaceResNetConfig

    def __init__(self, config: FaceResNetConfig) -> None:
        super().__init__(config)
        self.stem = Stem(config.channels, config.widths[0])
        self.units = nn.Sequential(*(Unit(plan) for plan in config.units()))
        self.head = nn.Linear(config.widths[-1], len(config.classes))

    def stages(self) -> dict[str, nn.Module]:
        """The last unit of each of the first four stages."""
        last = accumulate(count for count, _ in STAGES[:4])
        return {f"stage {number}": self.units[place - 1] for number, place in enumerate(last, 1)}

    def logits(self, pixels: Tensor) -> Tensor:
        """See `Network.logits`."""
        return self.head(self.units(self.stem(pixels)).mean(dim=(2, 3)))  # type: ignore[no-any-return]
