"""The one door to the fused op: an image and ResNet taps come in, patch tokens of a ViT go out."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from fer_fast.ops.torch_op import fused_tokens_op
from fer_fast.types import FerFastError


def fused_tokens(
    sources: Sequence[Tensor],
    means: Sequence[Tensor],
    inv_stds: Sequence[Tensor],
    patches: Sequence[int],
    grid: int,
    reduce_mean: bool | Sequence[bool] = False,
    out_dtype: torch.dtype = torch.float32,
) -> Tensor:
    """Turns an image and feature maps into the patch tokens of a Vision Transformer, in one pass over memory.

    For each source, in this order: the mean over channels (if `reduce_mean`); a bilinear resize to
    `grid * patch` squared, antialiased when it shrinks, as `F.interpolate(mode="bilinear",
    align_corners=False, antialias=True)`; then `(x - mean) * inv_std`; then patches of `patch` x `patch`,
    elements in the order (dy, dx, channel). The sources' columns follow each other. Everything is
    accumulated in float32. Equivalent to: `fused_tokens_reference`. Not differentiable.

    The hybrid of the paper takes the image and the maps FM2, FM3, FM4 of ResNet-18: at 224 pixels and a
    grid of 14, patches 16, 2, 1, 1 and K = 768 + 512 + 256 + 512 = 2,048.

    Args:
        sources: 1 to 5 tensors on one device. [B, C, H, W] of float32, float16 or bfloat16 with any strides
            (channels_last is fastest), or the decoder's uint8 image [B, H, W, 3].
        means: float32 [C] a source, or [1] where its channels are reduced; in the source's own units (0 to
            255 for uint8).
        inv_stds: one over the standard deviation, shaped and in units as `means`.
        patches: the patch size a source.
        grid: tokens along a side.
        reduce_mean: whether to replace a source's channels by their mean: one bool, or one a source.
        out_dtype: float32, float16 or bfloat16.

    Returns:
        [B, grid * grid, K] of `out_dtype`, contiguous; K is the sum over sources of
        (1 if reduced else C) * patch^2.

    Raises:
        ValueError: an argument has the wrong size, count or device, or needs a gradient.
        TypeError: an argument has the wrong dtype.
        FerFastError: the native part is missing, it has no twin for the device, or the device failed.

    Source:
        Oh & Yoo 2023, the hybrid of ResNet-18 and Vision Transformer for facial expression recognition.
    """
    if len(sources) == 0:  # the dispatcher could not tell the device, and would name no argument
        raise ValueError("sources: must be 1 to 5, got 0")
    if torch.is_grad_enabled() and any(source.requires_grad for source in sources):
        raise ValueError("sources: must not need a gradient; fused_tokens_reference is differentiable")
    reduced = [reduce_mean] * len(sources) if isinstance(reduce_mean, bool) else list(reduce_mean)
    try:
        tokens: Tensor = fused_tokens_op(
            list(sources), list(means), list(inv_stds), list(patches), grid, reduced, out_dtype
        )
    except NotImplementedError as error:
        kind, how = sources[0].device.type, "rebuild with FER_FAST_CUDA=1"
        raise FerFastError(f"fused_tokens has no twin for {kind} in this build: {how}") from error
    return tokens


def fused_tokens_reference(
    sources: Sequence[Tensor],
    means: Sequence[Tensor],
    inv_stds: Sequence[Tensor],
    patches: Sequence[int],
    grid: int,
    reduce_mean: bool | Sequence[bool] = False,
    out_dtype: torch.dtype = torch.float32,
) -> Tensor:
    """The op's meaning, in plain differentiable PyTorch. Equivalent to `fused_tokens`."""
    reduced = [reduce_mean] * len(sources) if isinstance(reduce_mean, bool) else list(reduce_mean)
    columns = [
        _source_tokens(*arguments, grid=grid)
        for arguments in zip(sources, means, inv_stds, patches, reduced, strict=True)
    ]
    return torch.cat(columns, dim=2).to(out_dtype)  # [batch, grid * grid, k]


def _source_tokens(source: Tensor, mean: Tensor, inv_std: Tensor, patch: int, reduce: bool, *, grid: int) -> Tensor:
    pixels = source.permute(0, 3, 1, 2) if source.dtype == torch.uint8 else source
    pixels = pixels.float()  # [batch, channels, height, width]
    if reduce:
        pixels = pixels.mean(dim=1, keepdim=True)
    side = grid * patch
    if pixels.shape[2:] != (side, side):
        pixels = F.interpolate(pixels, (side, side), mode="bilinear", align_corners=False, antialias=True)
    pixels = (pixels - mean.view(1, -1, 1, 1)) * inv_std.view(1, -1, 1, 1)
    batch, channels = pixels.shape[:2]
    blocks = pixels.view(batch, channels, grid, patch, grid, patch)
    return blocks.permute(0, 2, 4, 3, 5, 1).reshape(batch, grid * grid, patch * patch * channels)
