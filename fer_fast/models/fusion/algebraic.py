"""The same model without the fused op: projection and resizing are linear, so tokens become a sum of convolutions.

`W resize(x) = resize(W x)`, and concatenate-then-project is the sum of one strided convolution a source. Graph
compilers do better with this form: it has no custom node, and a map is resized after its channels were reduced.
"""

from __future__ import annotations

import copy

import torch
from torch import Tensor, nn

from fer_fast.models.batch_norm import fold_batch_norm
from fer_fast.models.fusion.config import FusionConfig
from fer_fast.models.fusion.network import FusionModel
from fer_fast.models.fusion.sources import source_size
from fer_fast.models.network import Network
from fer_fast.models.resizing import resize_matrix


class SourceProjection(nn.Module):
    """One source's share of the projected tokens, with its normalisation folded into weights and bias."""

    def __init__(self, weight: Tensor, mean: Tensor, inv_std: Tensor, patch: int, grid: int, size: int) -> None:
        super().__init__()
        width, channels = weight.shape[0], mean.numel()
        kernel = weight.view(width, patch, patch, channels).permute(0, 3, 1, 2) * inv_std.view(1, -1, 1, 1)
        self.conv = nn.Conv2d(channels, width, patch, stride=patch)
        self.conv.weight = nn.Parameter(kernel.contiguous(memory_format=torch.channels_last))
        self.conv.bias = nn.Parameter(-(kernel * mean.view(1, -1, 1, 1)).sum(dim=(1, 2, 3)))
        self.resize = size != grid * patch
        self.after = patch == 1  # a patch of one pixel commutes with resizing; resize the fewer channels
        rows = torch.from_numpy(resize_matrix(size, grid * patch))  # [grid * patch, size]
        # After the convolution both directions at once, [grid * grid, size * size]: there are few tokens.
        self.register_buffer("matrix", torch.kron(rows, rows) if self.after else rows)

    def forward(self, pixels: Tensor) -> Tensor:
        """Maps [batch, channels, size, size] to projected tokens [batch, grid * grid, width]."""
        matrix = self.get_buffer("matrix")
        if self.resize and not self.after:
            pixels = matrix @ pixels @ matrix.T
        tokens = self.conv(pixels).flatten(2).transpose(1, 2)
        if self.resize and self.after:
            tokens = matrix @ tokens
        return tokens  # type: ignore[no-any-return]


class AlgebraicModel(Network):
    """`FusionModel.forward` in algebraic form, batch norms folded; equal up to rounding. Inference only.

    Args:
        model: in fp32; it is not changed.
    """

    config: FusionConfig

    def __init__(self, model: FusionModel) -> None:
        super().__init__(model.config)
        self.to(model.get_buffer("pixel_mean").device)
        model = copy.deepcopy(model).eval().requires_grad_(False)
        self.reduce_mean = model.reduce_mean
        self.backbone = model.backbone
        if self.backbone is not None:
            fold_batch_norm(self.backbone)
        self.projections = _projections(model)
        self.bias = nn.Parameter(model.vit.proj.bias, requires_grad=False)
        self.vit = model.vit
        del self.vit.proj  # the projections took its weights
        self.requires_grad_(False)

    def round_to(self, dtype: torch.dtype) -> None:
        """See `Network.round_to`."""
        for part in (self.backbone, self.projections, self.vit):
            if part is not None:
                part.to(dtype)
        self.bias.data = self.bias.data.to(dtype)

    def logits(self, pixels: Tensor) -> Tensor:
        """See `Network.logits`."""
        sources = [pixels] if "image" in self.config.sources else []
        if self.backbone is not None:
            sources += self.backbone(pixels)
        return self.vit.encode(self.embed(sources))

    def embed(self, sources: list[Tensor]) -> Tensor:
        """Maps the normalised pixels, if in use, and the taps to projected tokens [batch, grid * grid, width]."""
        embedded: Tensor = self.bias
        for source, projection, reduce in zip(sources, self.projections, self.reduce_mean, strict=True):
            embedded = embedded + projection(source.mean(dim=1, keepdim=True) if reduce else source)
        return embedded


def _projections(model: FusionModel) -> nn.ModuleList:
    config = model.config
    means, inv_stds = model.statistics()
    if "image" in config.sources:  # it is taken where the backbone takes it, normalised already
        means[0], inv_stds[0] = torch.zeros(3), torch.ones(3)
    sizes = [source_size(name, config) for name in config.sources]
    columns = [count * patch**2 for count, patch in zip(model.channels(), model.patches, strict=True)]
    weights = torch.split(model.vit.proj.weight.detach(), columns, dim=1)
    parts = zip(weights, means, inv_stds, model.patches, sizes, strict=True)
    return nn.ModuleList(
        SourceProjection(weight, mean, inv_std, patch, config.grid, size)
        for weight, mean, inv_std, patch, size in parts
    )
