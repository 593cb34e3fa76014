"""The whole classifier: uint8 pixels come in, a backbone's taps become tokens, the ViT's logits go out."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from fer_fast.models.fusion.backbones import BACKBONES
from fer_fast.models.fusion.config import FusionConfig
from fer_fast.models.fusion.sources import is_reduced, source_channels, source_patch, token_length
from fer_fast.models.fusion.taps import BackboneTaps, ResNet18Taps
from fer_fast.models.fusion.vit import Attention, VisionTransformer
from fer_fast.models.network import Network, mean_of_views, with_mirrored
from fer_fast.ops.tokens import fused_tokens_reference


class FusionModel(Network):
    """Image and taps, fused to tokens, into a Vision Transformer (Oh & Yoo 2023, Section 3).

    Args:
        config: sources, sizes, normalisation and classes.
        drop_path: stochastic depth of the ViT while training.

    Attributes:
        tokens: the fused op in use. The reference can be differentiated; an engine puts the native op here.
    """

    config: FusionConfig
    backbone: BackboneTaps | None

    def __init__(self, config: FusionConfig, drop_path: float = 0.0) -> None:
        super().__init__(config)
        self.tokens: Callable[..., Tensor] = fused_tokens_reference
        self.patches = [source_patch(name, config) for name in config.sources]
        self.reduce_mean = [is_reduced(name, config) for name in config.sources]
        if config.taps:
            backbone = BACKBONES[config.backbone]
            self.backbone = backbone.network(config.taps, config.image_size)
            self.backbone_channels = backbone.channels[config.taps[-1]]
        for name in config.taps:
            self.register_buffer(f"mean_{name}", torch.zeros(source_channels(name, config)))
            self.register_buffer(f"inv_std_{name}", torch.ones(source_channels(name, config)))
        self.vit = VisionTransformer(
            k=token_length(config),
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
        return [source_channels(name, self.config) for name in self.config.sources]

    def statistics(self) -> tuple[list[Tensor], list[Tensor]]:
        """Mean and 1 / standard deviation of each source's channels, each [channels]."""
        names = ["pixel_{}" if name == "image" else f"{{}}_{name}" for name in self.config.sources]
        return (
            [self.get_buffer(name.format("mean")) for name in names],
            [self.get_buffer(name.format("inv_std")) for name in names],
        )

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
        """See `Network.forward`; the fused op takes the images as they are."""
        if self.config.flip_average:
            return mean_of_views(self._of_view(with_mirrored(images)))
        return self._of_view(images)

    def trained(self, images: Tensor) -> tuple[Tensor, Tensor | None]:
        """See `Network.trained`."""
        sources = self.sources(images)
        return self.vit(self.fuse(sources)), sources[-1] if self.config.taps else None

    def deepest(self, images: Tensor) -> Tensor:
        """See `Network.deepest`."""
        assert self.backbone is not None, "the recipe's rules"
        maps: list[Tensor] = self.backbone(self.normalised(images))
        return maps[-1]

    def first_convolution(self) -> nn.Conv2d | None:
        """The backbone's: the fused op takes the images as they are."""
        return None if self.backbone is None else self.backbone.first()

    def fuse_convolutions(self) -> bool:
        """See `Network.fuse_convolutions`; batch norms must be folded."""
        from fer_fast.models.fusion.fused import fuse_convolutions

        if not isinstance(self.backbone, ResNet18Taps):
            return False
        fuse_convolutions(self.backbone)
        return True

    def stages(self) -> dict[str, nn.Module]:
        """FM1 up to the deepest tap in use, also those that are not fused."""
        if self.backbone is None:
            return {}
        return {f"FM{stage}": module for stage, module in enumerate(self.backbone.stages(), 1)}

    def attentions(self) -> list[nn.Module]:
        """Those of the Vision Transformer."""
        return [module for module in self.vit.modules() if isinstance(module, Attention)]

    def round_to(self, dtype: torch.dtype) -> None:
        """See `Network.round_to`; the taps' statistics stay fp32, in which the fused op computes."""
        for part in (self.backbone, self.vit):
            if part is not None:
                part.to(dtype)

    def _of_view(self, images: Tensor) -> Tensor:
        return self.vit(self.fuse(self.sources(images)))  # type: ignore[no-any-return]
