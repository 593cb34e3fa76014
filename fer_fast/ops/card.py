"""A card comes in; the kernels for it, nvcc's or NVRTC's, and the stream on which they are launched go out."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch

from fer_fast.ops import native
from fer_fast.ops.compiled import code_for
from fer_fast.types import FerFastError

#: Only a torch for CUDA has tensors on a card. It is no question to a driver: there may be none.
HAS_CUDA = torch.version.cuda is not None


def was_built(device: torch.device) -> bool:
    """Whether nvcc built the kernels for a card."""
    return native.has_cuda_code(architecture(device))


@contextmanager
def launching(device: torch.device) -> Iterator[tuple[Any, int]]:
    """Around a launch: the card is current.

    Yields:
        `fer_fast._C.CudaCode`, or None where nvcc's kernels do; the current stream's number.

    Raises:
        FerFastError: there is no kernel for the card, or the launch was refused.
    """
    # torch's own guard: on its way back it makes no context on a device that was not in use.
    with torch.cuda.device(device):
        stream = torch.cuda.current_stream(device).cuda_stream
        try:
            yield None if was_built(device) else code_for(device.index, architecture(device)), stream
        except RuntimeError as error:
            raise FerFastError(str(error)) from error


@functools.cache
def architecture(device: torch.device) -> int:
    """A card's compute capability, times ten."""
    major, minor = torch.cuda.get_device_capability(device)
    return 10 * major + minor
