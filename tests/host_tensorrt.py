"""A TensorRT whose engines are ONNX Runtime's, on the processor: it reads and writes the addresses that it is given.

For tests of what is around TensorRT: which graphs it gets, which tensors its contexts are bound to, what is kept.
"""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from contextlib import nullcontext
from types import SimpleNamespace
from typing import Any

import numpy as np
import onnxruntime
import pytest
import torch

from fer_fast.engines import tensorrt, tensorrt_sources

_TYPES = {"tensor(float)": np.float32, "tensor(float16)": np.float16, "tensor(uint8)": np.uint8}


def _array_at(address: int, shape: tuple[int, ...], dtype: Any) -> Any:
    buffer = (ctypes.c_ubyte * (int(np.prod(shape)) * np.dtype(dtype).itemsize)).from_address(address)
    return np.frombuffer(buffer, dtype).reshape(shape)


class HostEngine:
    """What `Runtime` makes of an ONNX graph; its context, too."""

    def __init__(self, graph: bytes) -> None:
        self._session = onnxruntime.InferenceSession(graph, providers=["CPUExecutionProvider"])
        self._shapes: dict[str, tuple[int, ...]] = {}
        self._addresses: dict[str, int] = {}

    device_memory_size_v2 = 16

    def set_device_memory(self, address: int, size: int) -> None:
        assert address and size == self.device_memory_size_v2

    def create_execution_context(self, strategy: object) -> HostEngine:
        assert strategy == "ours"
        context = object.__new__(HostEngine)
        context._session, context._shapes, context._addresses = self._session, {}, {}
        return context

    def set_input_shape(self, name: str, shape: tuple[int, ...]) -> None:
        self._shapes[name] = shape

    def set_tensor_address(self, name: str, address: int) -> None:
        self._addresses[name] = address

    def execute_async_v3(self, stream: int) -> bool:
        given = {
            each.name: _array_at(self._addresses[each.name], self._shapes[each.name], _TYPES[each.type])
            for each in self._session.get_inputs()
        }
        for about, answer in zip(self._session.get_outputs(), self._session.run(None, given), strict=True):
            assert answer.dtype == _TYPES[about.type]
            _array_at(self._addresses[about.name], answer.shape, answer.dtype)[:] = answer
        return True


class HostRuntime:
    """TensorRT's: a blob is the graph."""

    def __init__(self, messages: Any) -> None:
        pass

    def deserialize_cuda_engine(self, blob: Any) -> HostEngine:
        return HostEngine(bytes(blob))


class HostReplays:
    """`Replays` without a graph and a stream: a smaller batch leaves the end of the buffer as it was.

    `ran` has the sizes that ran.
    """

    def __init__(self, make: Any, images: tuple[int, ...], device: torch.device, sizes: Sequence[int]) -> None:
        self._models = {size: make((size, *images[1:])) for size in sizes}
        self._images, self.ran = torch.zeros(images, dtype=torch.uint8), []

    def __call__(self, images: torch.Tensor) -> Any:
        self._images[: len(images)].copy_(images)
        size = next(size for size in self._models if size >= len(images))
        self.ran.append(size)
        return self._models[size](self._images[:size])[: len(images)].numpy().copy()


def put_in_place(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Lets the engines for a card run on the processor by it; gives the batch sizes of the engines that are built."""
    built = []
    strategies = SimpleNamespace(USER_MANAGED="ours")
    library = SimpleNamespace(Runtime=HostRuntime, ExecutionContextAllocationStrategy=strategies, __version__="11.0.0")

    def build(_: Any, graph: bytes, batch_size: int, **__: Any) -> bytes:
        built.append(batch_size)
        return graph

    monkeypatch.setattr(tensorrt_sources, "build_engine", build)
    monkeypatch.setattr(tensorrt_sources, "messages_of", lambda _: SimpleNamespace(last=""))
    monkeypatch.setattr(tensorrt, "load_tensorrt", lambda _: library)
    monkeypatch.setattr(tensorrt, "torch_device", lambda _: "cpu:0")
    monkeypatch.setattr(tensorrt, "Replays", HostReplays)
    monkeypatch.setattr(torch.cuda, "device", lambda _: nullcontext())
    monkeypatch.setattr(torch.cuda, "current_stream", lambda: SimpleNamespace(cuda_stream=0))
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda _: (8, 9))
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda _: "NVIDIA L4")
    return built
