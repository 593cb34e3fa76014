"""cuDNN's fused convolutions: convolution, bias, addition and ReLU are one kernel, where cuDNN has it.

`torch.cudnn_convolution_relu` and `torch.cudnn_convolution_add_relu` say nowhere in which precisions and on which cards
they run; torch tests them in fp32 and fp16. So they are tried, and their answer is compared, before they are used.
"""

from __future__ import annotations

import logging

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils import skip_init

log = logging.getLogger(__name__)

#: Difference of a fused kernel from separate ones, which round in between, as a share of the largest number.
_TOLERANCES = {torch.float32: 1e-4, torch.float16: 0.01, torch.bfloat16: 0.05}


def convolution_relu(convolution: nn.Conv2d, pixels: Tensor, added: Tensor | None = None) -> Tensor:
    """`relu(convolution(pixels) + added)` by one kernel of cuDNN's."""
    weight, bias, stride, dilation = convolution.weight, convolution.bias, convolution.stride, convolution.dilation
    padding = convolution.padding
    assert not isinstance(padding, str)  # torch's other way to say it
    if added is None:
        return torch.cudnn_convolution_relu(pixels, weight, bias, stride, padding, dilation, convolution.groups)
    return torch.cudnn_convolution_add_relu(
        pixels, weight, added, 1.0, bias, stride, padding, dilation, convolution.groups
    )


def fuses(device: torch.device, dtype: torch.dtype, memory_format: torch.memory_format) -> bool:
    """Whether cuDNN has both kernels on a card for such numbers, and they are right."""
    generator = torch.Generator().manual_seed(0)
    pixels = torch.randn(2, 64, 14, 14, generator=generator).to(device, dtype).contiguous(memory_format=memory_format)
    # Not made of chance: that would draw from the process's own generator.
    convolution: nn.Conv2d = skip_init(nn.Conv2d, 64, 64, 3, padding=1)  # type: ignore[no-untyped-call]
    for weights in convolution.parameters():
        nn.init.normal_(weights, std=0.04, generator=generator)
    convolution.to(device, dtype)
    convolution.weight.data = convolution.weight.data.contiguous(memory_format=memory_format)
    try:
        with torch.inference_mode():
            wanted = F.relu(convolution(pixels)), F.relu(convolution(pixels) + pixels)
            found = convolution_relu(convolution, pixels), convolution_relu(convolution, pixels, pixels)
            errors = [(one - other).abs().max() / one.abs().max() for one, other in zip(wanted, found, strict=True)]
            holds = all(error.item() <= _TOLERANCES[dtype] for error in errors)
    except RuntimeError as error:
        log.info("cuDNN does not fuse convolutions in %s here: %s", dtype, error)
        return False
    if not holds:
        log.warning("cuDNN's fused convolutions are wrong in %s here, and are not used", dtype)
    return holds
