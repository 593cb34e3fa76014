"""TensorRT's engine of a network, or of a part of it, comes in; what runs it on tensors goes out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from fer_fast.types import FerFastError


@dataclass(frozen=True)
class Compiled:
    """An engine with what its contexts need to know of it.

    Attributes:
        library: what `load_tensorrt` gives.
        engine: TensorRT's.
        messages: what TensorRT says of it.
        name: what its input is called.
        shape: of the largest input, [batch, ...].
        outputs: shape for that and dtype of each output, by name.
    """

    library: Any
    engine: Any
    messages: Any
    name: str
    shape: tuple[int, ...]
    outputs: Mapping[str, tuple[tuple[int, ...], torch.dtype]]


class Context:
    """A context of its own, which one thread at a time may use, for inputs of the largest shape.

    Raises:
        RuntimeError: TensorRT makes none, for want of memory or for another reason: its last message says which.
    """

    def __init__(self, compiled: Compiled, device: torch.device) -> None:
        self._name = compiled.name
        self._engine: Any = compiled.engine  # which the context goes on using
        ours = compiled.library.ExecutionContextAllocationStrategy.USER_MANAGED
        self._context: Any = compiled.engine.create_execution_context(ours)
        if self._context is None:
            raise RuntimeError(f"TensorRT could not make a context: {compiled.messages.last}")
        self._context.set_input_shape(compiled.name, compiled.shape)
        self.outputs: list[Tensor] = []
        for name, (shape, dtype) in compiled.outputs.items():
            self.outputs.append(torch.empty(shape, dtype=dtype, device=device))
            self._context.set_tensor_address(name, self.outputs[-1].data_ptr())

    def __call__(self, given: Tensor) -> list[Tensor]:
        """The outputs, launched on the current stream; the next call writes them anew."""
        # Of torch's pool, where the graphs of a stream share it; torch gives it to nobody else before this has run.
        memory = torch.empty(self._engine.device_memory_size_v2, dtype=torch.uint8, device=given.device)
        self._context.set_device_memory(memory.data_ptr(), memory.numel())
        self._context.set_tensor_address(self._name, given.data_ptr())
        if not self._context.execute_async_v3(torch.cuda.current_stream().cuda_stream):
            raise FerFastError(f"TensorRT failed on {given.device}")
        return self.outputs
