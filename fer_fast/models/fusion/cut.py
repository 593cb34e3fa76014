"""A fusion model comes in, the same in three parts goes out: backbone, fused op, Vision Transformer."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

from fer_fast.models.cut import Cut
from fer_fast.models.fusion.network import FusionModel
from fer_fast.ops.tokens import fused_tokens


def cut(model: FusionModel) -> Cut:
    """The parts of a model with a backbone, in eval mode and in the precision in which it shall run."""
    return Cut(Taps(model).eval(), Tokens(model), Head(model).eval(), views=2 if model.config.flip_average else 1)


class Taps(nn.Module):
    """Pixels to the taps, channels last in memory: so the fused op copies them straight."""

    def __init__(self, model: FusionModel) -> None:
        super().__init__()
        self.model = model

    def forward(self, images: Tensor) -> list[Tensor]:
        """Maps uint8 [batch, size, size, 3] to taps, shallow to deep, each [batch, h, w, channels]."""
        assert self.model.backbone is not None, "what has none is not cut"
        taps = self.model.backbone(self.model.normalised(images))
        return [tap.permute(0, 2, 3, 1).contiguous() for tap in taps]


class Tokens(nn.Module):
    """The fused op with what it needs of a model."""

    def __init__(self, model: FusionModel) -> None:
        super().__init__()
        self.config, self.patches, self.reduce_mean = model.config, model.patches, model.reduce_mean
        self.dtype = model.vit.proj.weight.dtype
        means, inv_stds = model.statistics()
        for place, (mean, inv_std) in enumerate(zip(means, inv_stds, strict=True)):
            self.register_buffer(f"mean_{place}", mean)
            self.register_buffer(f"inv_std_{place}", inv_std)

    def forward(self, images: Tensor, taps: Sequence[Tensor]) -> Tensor:
        """Tokens [batch, grid * grid, k] of uint8 images [batch, size, size, 3] and of what `Taps` gives."""
        maps = [tap.permute(0, 3, 1, 2) for tap in taps]
        sources = [images, *maps] if "image" in self.config.sources else maps
        means, inv_stds = (
            [self.get_buffer(f"{name}_{place}") for place in range(len(sources))] for name in ("mean", "inv_std")
        )
        return fused_tokens(
            sources,
            means,
            inv_stds,
            self.patches,
            self.config.grid,
            reduce_mean=self.reduce_mean,
            out_dtype=self.dtype,
        )


class Head(nn.Module):
    """The Vision Transformer, with an output in fp32."""

    def __init__(self, model: FusionModel) -> None:
        super().__init__()
        self.vit = model.vit

    def forward(self, tokens: Tensor) -> Tensor:
        """Maps [batch, grid * grid, k] to logits, float32 [batch, classes]."""
        logits: Tensor = self.vit(tokens)
        return logits.float()
