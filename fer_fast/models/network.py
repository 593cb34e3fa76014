"""A classifier in torch: uint8 pixels come in, logits go out; an architecture says what is in between."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from fer_fast.models.config import LUMA, ClassifierConfig
from fer_fast.ops.image import as_planes, normalise, normalised_image_reference

#: What pixels are normalised with, whatever the precision is.
_EXACT = ("luma", "pixel_mean", "pixel_inv_std")


class Network(nn.Module):
    """A classifier; one of an architecture defines `logits`.

    Args:
        config: the model's.

    Attributes:
        config: that of the model, which calibration replaces.
        backbone: a part that may start trained, and that a recipe can freeze or train at a rate of its own.
        image_op: what normalises uint8 images. The reference is torch's own; an engine puts the native op here.
        pixel_channels: that the first convolution takes, see `normalised_image`.
        pixel_planes: whether it takes one channel after the other in memory.
        backbone_channels: of the map that `trained` gives with the logits, on which training may put a head; 0: none.
    """

    config: ClassifierConfig

    def __init__(self, config: ClassifierConfig) -> None:
        super().__init__()
        self.config = config
        self.backbone: nn.Module | None = None
        self.backbone_channels = 0
        self.image_op: Callable[..., Tensor] = normalised_image_reference
        self.pixel_channels, self.pixel_planes = 3, False
        self.register_buffer("pixel_mean", torch.tensor(config.mean).mul(255), persistent=False)
        if config.colour == "grey":
            # Thrice, as the mean over three channels is taken of it.
            self.register_buffer("luma", torch.tensor(LUMA).view(1, 3, 1, 1).mul(3), persistent=False)
        self.register_buffer("pixel_inv_std", torch.tensor(config.std).mul(255).reciprocal(), persistent=False)

    def forward(self, images: Tensor) -> Tensor:
        """Classifies faces.

        Args:
            images: uint8 [batch, size, size, 3], or the same values 0..255 as float [batch, 3, size, size].

        Returns:
            Logits [batch, classes], before the temperature.
        """
        pixels = self.normalised(images)
        if self.config.flip_average:  # of floats: TensorRT concatenates no uint8
            return mean_of_views(self.logits(with_mirrored(pixels)))
        return self.logits(pixels)

    def logits(self, pixels: Tensor) -> Tensor:
        """Logits [batch, classes] of what `normalised` gives, as they are, without the mirror image's."""
        raise NotImplementedError(f"{type(self).__name__} must say what becomes of pixels")

    def trained(self, images: Tensor) -> tuple[Tensor, Tensor | None]:
        """What a step of training needs.

        Args:
            images: as `forward` takes them.

        Returns:
            Logits [batch, classes] of the images alone; the backbone's deepest map [batch, backbone_channels, h, w].
        """
        return self.logits(self.normalised(images)), None

    def deepest(self, images: Tensor) -> Tensor:
        """The backbone's deepest map alone, [batch, backbone_channels, h, w]."""
        raise NotImplementedError(f"{type(self).__name__} has no backbone")

    def features(self, pixels: Tensor) -> Tensor:
        """What a backbone that stays frozen gives the rest, [batch, ...], of what `normalised` gives."""
        raise NotImplementedError(f"{type(self).__name__} has no frozen backbone")

    def logits_of(self, features: Tensor) -> Tensor:
        """Logits [batch, classes] of what `features` gives."""
        raise NotImplementedError(f"{type(self).__name__} has no frozen backbone")

    def first_convolution(self) -> nn.Conv2d | None:
        """What alone reads the normalised pixels, and so may have `pixel_channels`; None: it is not the only one."""
        return None

    def fuse_convolutions(self) -> bool:
        """Puts cuDNN's fused convolutions in the place of others (`convolutions.py`); whether it has any such."""
        return False

    def stages(self) -> dict[str, nn.Module]:
        """Parts by the names of their maps (`ClassifierArchitecture.drawn`), each a module that gives one."""
        return {}

    def layers_with_maps(self) -> dict[str, nn.Module]:
        """All parts that give maps: the stages by their names, then each convolution by torch's name of it."""
        convolutions = {name: module for name, module in self.named_modules() if isinstance(module, nn.Conv2d)}
        return {**self.stages(), **convolutions}

    def attentions(self) -> list[nn.Module]:
        """Its layers of attention, first to last, each a `fusion.vit.Attention`; none has no rollout."""
        return []

    def normalised(self, images: Tensor) -> Tensor:
        """What the network sees, [batch, pixel_channels or 1, size, size], from images as `forward` takes them."""
        dtype = next(self.parameters()).dtype
        statistics = self.get_buffer("pixel_mean"), self.get_buffer("pixel_inv_std")
        if images.dtype == torch.uint8 and self.config.colour == "rgb":
            return self.image_op(images, *statistics, self.pixel_channels, dtype, self.pixel_planes)
        if self.config.colour == "grey":
            images = (as_planes(images) * self.get_buffer("luma").float()).mean(dim=1, keepdim=True)
        form = torch.contiguous_format if self.pixel_planes else torch.channels_last
        return normalise(images, *statistics).to(dtype).contiguous(memory_format=form)

    def round_to(self, dtype: torch.dtype) -> None:
        """Rounds weights, and with them activations; pixels are still normalised in fp32."""
        kept = {name: buffer for name, buffer in self.named_buffers(recurse=False) if name in _EXACT}
        self.to(dtype)
        for name, buffer in kept.items():
            self.register_buffer(name, buffer, persistent=False)


def with_mirrored(images: Tensor) -> Tensor:
    """Images as `Network.forward` takes them, then the same ones left to right: twice the batch."""
    return torch.cat([images, images.flip(2 if images.dtype == torch.uint8 else 3)])


def mean_of_views(logits: Tensor) -> Tensor:
    """Logits [batch, classes] from those of each image and its mirror image, [2 * batch, classes]."""
    return logits.reshape(2, -1, logits.shape[1]).mean(dim=0)
