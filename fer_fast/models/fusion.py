"""The whole classifier: uint8 pixels come in, ResNet taps become tokens, the ViT's logits go out."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from fer_fast.models.backbone import TAP_CHANNELS, TAP_STRIDES, ResNet18Taps
from fer_fast.models.config import ModelConfig
from fer_fast.models.vit import VisionTransformer
from fer_fast.ops.tokens import fused_tokens_reference


class FusionModel(nn.Module):
    """Image and taps, fused to tokens, into a Vision Transformer (Oh & Yoo 2023, Section 3).

    Args:
        config: sources, sizes, normalisation and classes.
        drop_path: stochastic depth of the ViT while training.

    Attributes:
        tokens: the fused op in use. The reference can be differentiated; an engine puts the native op here.
    """

    def __init__(self, config: ModelConfig, drop_path: float = 0.0) -> None:
        super().__init__()
        self.config = config
        self.tokens: Callable[..., Tensor] = fused_tokens_reference
        self.patches = [source_patch(name, config) for name in config.sources]
        self.reduce_mean = [config.reduce_mean and name != "image" for name in config.sources]
        self.backbone = ResNet18Taps(config.taps) if config.taps else None
        self.register_buffer("pixel_mean", torch.tensor(config.mean).mul(255), persistent=False)
        self.register_buffer("pixel_inv_std", torch.tensor(config.std).mul(255).reciprocal(), persistent=False)
        channels = self.channels()
        for name, count in zip(config.taps, channels[len(config.sources) - len(config.taps) :], strict=True):
            self.register_buffer(f"mean_{name}", torch.zeros(count))
            self.register_buffer(f"inv_std_{name}", torch.ones(count))
        self.vit = VisionTransformer(
            k=sum(count * patch**2 for count, patch in zip(channels, self.patches, strict=True)),
            tokens=config.grid**2,
            width=config.width,
            depth=config.depth,
            heads=config.heads,
            mlp_ratio=config.mlp_ratio,
            classes=len(config.classes),
            drop_path=drop_path,
        )

    def channels(self) -> list[int]:
        """Channels of each source, after `reduce_mean`."""
        whole = [3 if name == "image" else TAP_CHANNELS[name] for name in self.config.sources]
        return [1 if reduced else count for count, reduced in zip(whole, self.reduce_mean, strict=True)]

    def statistics(self) -> tuple[list[Tensor], list[Tensor]]:
        """Mean and 1 / standard deviation of each source's channels, each [channels]."""
        names = ["pixel_{}" if name == "image" else f"{{}}_{name}" for name in self.config.sources]
        return (
            [self.get_buffer(name.format("mean")) for name in names],
            [self.get_buffer(name.format("inv_std")) for name in names],
        )

    def normalised(self, images: Tensor) -> Tensor:
        """The backbone's input, float [batch, 3, size, size], from images as `forward` takes them."""
        dtype = next(self.parameters()).dtype
        return normalise(images, self.get_buffer("pixel_mean"), self.get_buffer("pixel_inv_std")).to(dtype)

    def sources(self, images: Tensor) -> list[Tensor]:
        """The fused op's sources: the image, if in use, then the taps, shallow to deep."""
        maps = [] if self.backbone is None else self.backbone(self.normalised(images))
        return [images, *maps] if "image" in self.config.sources else list(maps)

    def fuse(self, sources: list[Tensor]) -> Tensor:
        """Tokens [batch, grid * grid, k], in the dtype of the weights, from what `sources` gives."""
        means, inv_stds = self.statistics()
        dtype = self.vit.proj.weight.dtype
        return self.tokens(
            sources, means, inv_stds, self.patches, self.config.grid, reduce_mean=self.reduce_mean, out_dtype=dtype
        )

    def forward(self, images: Tensor) -> Tensor:
        """Classifies faces.

        Args:
            images: uint8 [batch, size, size, 3], or the same values 0..255 as float [batch, 3, size, size].

        Returns:
            Logits [batch, classes], before the temperature.
        """
        if self.config.flip_average:
            return mean_of_views(self._logits(with_mirrored(images)))
        return self._logits(images)

    def _logits(self, images: Tensor) -> Tensor:
        return self.vit(self.fuse(self.sources(images)))  # type: ignore[no-any-return]


def normalise(images: Tensor, mean: Tensor, inv_std: Tensor) -> Tensor:
    """Images as `FusionModel.forward` takes them to fp32 [batch, 3, size, size], channels_last; both [3], 0 to 255."""
    # Floats first: TensorRT transposes no uint8. In fp32: a bf16 mean of 124 would be off by half a grey level.
    pixels = images.float().permute(0, 3, 1, 2) if images.dtype == torch.uint8 else images.float()
    scaled = (pixels - mean.float().view(1, 3, 1, 1)) * inv_std.float().view(1, 3, 1, 1)
    return scaled.contiguous(memory_format=torch.channels_last)


def with_mirrored(images: Tensor) -> Tensor:
    """Images as `FusionModel.forward` takes them, then the same ones left to right: twice the batch."""
    return torch.cat([images, images.flip(2 if images.dtype == torch.uint8 else 3)])


def mean_of_views(logits: Tensor) -> Tensor:
    """Logits [batch, classes] from those of each image and its mirror image, [2 * batch, classes]."""
    return logits.reshape(2, -1, logits.shape[1]).mean(dim=0)


def source_patch(name: str, config: ModelConfig) -> int:
    """The side of a source's patch.

    A tap keeps its own resolution as nearly as the grid allows; a channel mean is resized to the image, as in Oh & Yoo
    2023, Figure 3.
    """
    stride = 1 if name == "image" or config.reduce_mean else TAP_STRIDES[name]
    return max(1, round(config.image_size / stride / config.grid))
