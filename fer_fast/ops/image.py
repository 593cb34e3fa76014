"""The door to the image kernel: uint8 images come in, what a network's first convolution reads goes out.

`torch.ops.fer_fast.normalised_image`: one kernel on a card; elsewhere torch's arithmetic, whose bits it has.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from fer_fast.ops import native
from fer_fast.ops.card import HAS_CUDA, launching, was_built

_NAME = "fer_fast::normalised_image"
#: Of the result: as they are, or with zeros behind, for convolutions that want whole words.
CHANNELS = (3, 4, 8)
_DTYPES = (torch.float32, torch.float16, torch.bfloat16)


def normalised_image(
    images: Tensor,
    mean: Tensor,
    inv_std: Tensor,
    channels: int = 3,
    out_dtype: torch.dtype = torch.float32,
    planes: bool = False,
) -> Tensor:
    """Normalises decoded images, in one pass over memory: `(x - mean) * inv_std` in float32, then rounded.

    Equivalent to: `normalised_image_reference`, to the bit. Not differentiable.

    Args:
        images: uint8 [batch, height, width, 3]; contiguous on a card, else it is copied first.
        mean: float32 [3], in units of the pixels, 0 to 255, on their device.
        inv_std: one over the standard deviation, likewise.
        channels: of the result: 3, or 4 or 8, of which those behind the third are 0.
        out_dtype: float32, float16 or bfloat16.
        planes: one channel after the other in memory, as of `channels` 3 alone, instead of channels last.

    Returns:
        [batch, channels, height, width] of `out_dtype`, in that memory order.

    Raises:
        ValueError: an argument has the wrong size or device.
        TypeError: an argument has the wrong dtype.
        FerFastError: there is no kernel for the card, or the card failed.
    """
    return normalised_image_op(images, mean, inv_std, channels, out_dtype, planes)  # type: ignore[no-any-return]


def normalised_image_reference(
    images: Tensor,
    mean: Tensor,
    inv_std: Tensor,
    channels: int = 3,
    out_dtype: torch.dtype = torch.float32,
    planes: bool = False,
) -> Tensor:
    """The op's meaning, in plain PyTorch. Equivalent to `normalised_image`."""
    pixels = normalise(images, mean, inv_std).to(out_dtype)
    if channels > 3:
        pixels = F.pad(pixels, (0, 0, 0, 0, 0, channels - 3))
    return pixels.contiguous(memory_format=torch.contiguous_format if planes else torch.channels_last)


def normalise(images: Tensor, mean: Tensor, inv_std: Tensor) -> Tensor:
    """Images as `as_planes` takes them to float32 [batch, channels, height, width]; both [channels], 0 to 255."""
    # In fp32: a bf16 mean of 124 would be off by half a grey level.
    return (as_planes(images) - mean.float().view(1, -1, 1, 1)) * inv_std.float().view(1, -1, 1, 1)


def as_planes(images: Tensor) -> Tensor:
    """uint8 [batch, height, width, 3], or those values as float [batch, 3, height, width], to the latter in float32."""
    # Floats first: TensorRT transposes no uint8.
    return images.float().permute(0, 3, 1, 2) if images.dtype == torch.uint8 else images.float()


def _on_cpu(
    images: Tensor, mean: Tensor, inv_std: Tensor, channels: int, out_dtype: torch.dtype, planes: bool
) -> Tensor:
    _check(images, mean, inv_std, channels, out_dtype, planes)
    return normalised_image_reference(images, mean, inv_std, channels, out_dtype, planes)


def _on_cuda(
    images: Tensor, mean: Tensor, inv_std: Tensor, channels: int, out_dtype: torch.dtype, planes: bool
) -> Tensor:
    _check(images, mean, inv_std, channels, out_dtype, planes)
    images, mean, inv_std = images.contiguous(), mean.contiguous(), inv_std.contiguous()
    out = _empty(images, channels, out_dtype, planes)
    dtype = str(out_dtype).removeprefix("torch.")
    addresses = mean.data_ptr(), inv_std.data_ptr(), out.data_ptr()
    module = native.cuda() if was_built(images.device) else native.core()
    call = module.ImageCall(images.data_ptr(), images.shape[:3], *addresses, dtype, channels, planes)
    with launching(images.device) as (code, stream):
        if code is None:
            call.write(stream)
        else:
            code.write_image(call, stream)
    return out


def _empty(images: Tensor, channels: int, out_dtype: torch.dtype, planes: bool) -> Tensor:
    batch, height, width, _ = images.shape
    if planes:
        return images.new_empty((batch, 3, height, width), dtype=out_dtype)
    return images.new_empty((batch, height, width, channels), dtype=out_dtype).permute(0, 3, 1, 2)


def _check(images: Tensor, mean: Tensor, inv_std: Tensor, channels: int, out_dtype: torch.dtype, planes: bool) -> None:
    if images.dtype != torch.uint8:
        raise TypeError(f"images: must be uint8, got {images.dtype}")
    if images.dim() != 4 or images.shape[3] != 3:
        raise ValueError(f"images: must be [batch, height, width, 3], got {list(images.shape)}")
    for name, statistic in (("mean", mean), ("inv_std", inv_std)):
        if statistic.dtype != torch.float32:
            raise TypeError(f"{name}: must be float32, got {statistic.dtype}")
        if statistic.shape != (3,):
            raise ValueError(f"{name}: must be [3], got {list(statistic.shape)}")
        if statistic.device != images.device:
            raise ValueError(f"{name}: must be on the device of images, {images.device}, got {statistic.device}")
    if channels not in ((3,) if planes else CHANNELS):
        raise ValueError(f"channels: must be {'3 as planes' if planes else '3, 4 or 8'}, got {channels}")
    if out_dtype not in _DTYPES:
        raise TypeError(f"out_dtype: must be float32, float16 or bfloat16, got {out_dtype}")


def _fake(
    images: Tensor, _mean: Tensor, _inv_std: Tensor, channels: int, out_dtype: torch.dtype, planes: bool
) -> Tensor:
    """The shape and the memory order alone, for torch.compile and torch.export."""
    return _empty(images, channels, out_dtype, planes)


def _register() -> None:
    torch.library.define(
        _NAME, "(Tensor images, Tensor mean, Tensor inv_std, int channels, ScalarType out_dtype, bool planes) -> Tensor"
    )
    torch.library.impl(_NAME, "cpu", _on_cpu)
    if HAS_CUDA:
        torch.library.impl(_NAME, "cuda", _on_cuda)
    torch.library.register_fake(_NAME, _fake)


if not hasattr(torch.ops.fer_fast, "normalised_image"):  # else this module is reloaded, and torch takes a name once
    _register()
#: What torch.compile and torch.export see as one node.
normalised_image_op = torch.ops.fer_fast.normalised_image.default
