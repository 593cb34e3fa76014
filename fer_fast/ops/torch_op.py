"""`torch.ops.fer_fast.fused_tokens`: tensors come in, the native twins are given their addresses, tokens go out.

Registered from Python, so that building the native part takes no torch, and torch may be installed after it.
"""

from __future__ import annotations

import ctypes
import functools
import os
from pathlib import Path
from types import ModuleType
from typing import Any

import torch
from torch import Tensor

from fer_fast.ops import native
from fer_fast.ops.card import HAS_CUDA, launching, was_built

_NAME = "fer_fast::fused_tokens"


def load() -> None:
    """Loads the twins that this torch can use, which else the first call does.

    Raises:
        FerFastError: one was not built, or does not load.
    """
    native.core()
    if HAS_CUDA and native.has_cuda_library():
        native.cuda()


def _parallel_for() -> int:
    """The address of libtorch's C function that runs a task on torch's threads, or 0.

    It belongs to torch's stable C interface. Where a torch comes without it, the op starts threads of its own: the
    same tokens, a little later, because torch's threads spin on the same cores for a while after each op.
    """
    library = Path(torch.__file__).parent / "lib" / "libtorch_cpu.so"
    try:
        # Of the libtorch that is in use: RTLD_NOLOAD never brings a second one.
        loaded = ctypes.CDLL(str(library), mode=os.RTLD_NOLOAD | os.RTLD_LAZY)
        return ctypes.cast(loaded.torch_parallel_for, ctypes.c_void_p).value or 0
    except (OSError, AttributeError):
        return 0


_PARALLEL_FOR = _parallel_for()


def _on_cpu(*arguments: Any) -> Tensor:
    call, tokens = _prepared(native.core(), *arguments)
    call.write(tokens.data_ptr(), torch.get_num_threads(), _PARALLEL_FOR)
    return tokens


def _on_cuda(*arguments: Any) -> Tensor:
    device = arguments[0][0].device
    call, tokens = _prepared(native.cuda() if was_built(device) else native.core(), *arguments)
    with launching(device) as (code, stream):
        if code is None:
            call.write(tokens.data_ptr(), stream)
        else:
            code.write(call, tokens.data_ptr(), stream)
    return tokens


def _prepared(
    module: ModuleType,
    sources: list[Tensor],
    means: list[Tensor],
    inv_stds: list[Tensor],
    patches: list[int],
    grid: int,
    reduce_mean: list[bool],
    out_dtype: torch.dtype,
) -> tuple[Any, Tensor]:
    """A call that the module has checked, and, allocated after that, the tokens that it shall write."""
    device = sources[0].device
    memory = [
        _memory(name, tensors, device)
        for name, tensors in (("sources", sources), ("means", means), ("inv_stds", inv_stds))
    ]
    call = module.TokenCall(*memory, patches, grid, reduce_mean, _name(out_dtype))
    return call, sources[0].new_empty(call.shape, dtype=out_dtype)


def _memory(argument: str, tensors: list[Tensor], device: torch.device) -> list[tuple[int, str, torch.Size, Any]]:
    """What the native part is told of each tensor: address, dtype, sizes, strides in elements."""
    for index, tensor in enumerate(tensors):
        if tensor.device != device:
            raise ValueError(f"{argument}[{index}]: must be on the device of sources[0], {device}, got {tensor.device}")
    return [(tensor.data_ptr(), _name(tensor.dtype), tensor.shape, tensor.stride()) for tensor in tensors]


@functools.cache
def _name(dtype: torch.dtype) -> str:
    """As the native part spells it: float32."""
    return str(dtype).removeprefix("torch.")


def _fake(
    sources: list[Tensor],
    means: list[Tensor],
    inv_stds: list[Tensor],
    patches: list[int],
    grid: int,
    reduce_mean: list[bool],
    out_dtype: torch.dtype,
) -> Tensor:
    """The shape alone, for torch.compile and torch.export: [batch, grid * grid, k]."""
    k = sum(mean.shape[0] * patch * patch for mean, patch in zip(means, patches, strict=True))
    return sources[0].new_empty((sources[0].shape[0], grid * grid, k), dtype=out_dtype)


def _register() -> None:
    torch.library.define(
        _NAME,
        "(Tensor[] sources, Tensor[] means, Tensor[] inv_stds, int[] patches, int grid, bool[] reduce_mean, "
        "ScalarType out_dtype) -> Tensor",
    )
    torch.library.impl(_NAME, "cpu", _on_cpu)
    if HAS_CUDA:
        torch.library.impl(_NAME, "cuda", _on_cuda)
    torch.library.register_fake(_NAME, _fake)


if not hasattr(torch.ops.fer_fast, "fused_tokens"):  # else this module is reloaded, and torch takes a name once
    _register()
#: What torch.compile and torch.export see as one node.
fused_tokens_op = torch.ops.fer_fast.fused_tokens.default
