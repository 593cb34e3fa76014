"""Captures that fail, and cards that are full, without a card: torch's own `torch.cuda.graph` with a graph made up."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch

from fer_fast.engines import tensorrt_context
from fer_fast.engines.replay import as_large_as_fits, capturing, is_memory_full
from fer_fast.engines.tensorrt_context import Context
from fer_fast.types import FerFastError

FULL = {
    "torch": "CUDA out of memory. Tried to allocate 20.00 MiB. GPU 0 has a total capacity of 79.19 GiB",
    "CUDA": "CUDA error: out of memory",
    "CUDA by name": "cudaErrorMemoryAllocation (a tensor of 8 MB)",
    "CUDA by number": "Cuda failure: 2 [engine.cpp::allocate::100]",
    "driver by number": "CUDA error 2 [commonRunner.cpp, 37]: cuMemAlloc",
    "driver": "CUDA: cuModuleLoadData failed: out of memory",
    "TensorRT": "IExecutionContext::... Error Code 2: OutOfMemory (Requested size was 1073741824 bytes.)",
    "TensorRT's allocator": "Requested amount of GPU memory (1073741824 bytes) could not be allocated.",
    "cuBLAS": "CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`",
    "cuDNN": "cuDNN error: CUDNN_STATUS_INTERNAL_ERROR_DEVICE_ALLOCATION_FAILED",
    "cuDNN 8": "cuDNN error: CUDNN_STATUS_ALLOC_FAILED",
}
OTHER = (
    "CUDA error: misaligned address",
    "CUDA error: 209 (no kernel image)",
    "CUDA error 2000",
    "CUBLAS_STATUS_EXECUTION_FAILED when calling `cublasGemmEx`",
    "TensorRT could not make a context: Error Code 4: API Usage Error (no optimization profile)",
    "CUDA error: operation failed due to a previous error during capture",
)


@pytest.mark.parametrize("words", FULL.values(), ids=FULL.keys())
def test_a_full_card_is_known_by_every_librarys_words(words: str) -> None:
    def make(batch: int) -> str:
        if batch > 2:
            raise RuntimeError(words)
        return "made"

    assert as_large_as_fits(make, 8) == ("made", 2)


@pytest.mark.parametrize("words", OTHER)
def test_other_errors_are_not_taken_for_a_full_card(words: str) -> None:
    assert not is_memory_full(RuntimeError(words))


class Graph:
    """A CUDA graph that ends its capture, or cannot."""

    def __init__(self, ends: bool) -> None:
        self._ends = ends

    def capture_begin(self, **_: object) -> None:
        pass

    def capture_end(self) -> None:
        if not self._ends:
            raise RuntimeError("CUDA error: operation failed due to a previous error during capture")


@pytest.fixture
def streams(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The stream that is current stands last: torch's context managers are followed without a card."""
    current = ["before"]

    class Stream:
        def __init__(self, name: str) -> None:
            self._name = name

        def __enter__(self) -> None:
            self._previous = current[-1]
            current.append(self._name)

        def __exit__(self, *_: object) -> None:
            current.append(self._previous)

    monkeypatch.setattr(torch.cuda, "stream", Stream)
    monkeypatch.setattr(torch.cuda, "synchronize", lambda: None)
    monkeypatch.setattr(torch.cuda, "empty_cache", lambda: None)
    monkeypatch.setattr(torch._C, "_host_emptyCache", lambda: None, raising=False)
    monkeypatch.setattr(torch.cuda.graph, "default_capture_stream", "torch's own")
    return current


def test_a_capture_that_fails_says_why_and_leaves_its_stream(streams: list[str]) -> None:
    with pytest.raises(torch.OutOfMemoryError) as raised, capturing(Graph(ends=False), "side"):
        assert streams[-1] == "side"
        raise torch.OutOfMemoryError("CUDA out of memory")
    assert str(raised.value) == "CUDA out of memory"
    assert raised.value.__notes__ == [
        "The capture could not be ended: CUDA error: operation failed due to a previous error during capture"
    ]
    assert streams[-1] == "before"
    alone = torch.cuda.graph(Graph(ends=False), stream="side")
    with pytest.raises(RuntimeError, match="previous error during capture"), alone:
        raise torch.OutOfMemoryError("CUDA out of memory")
    assert streams[-1] == "side", "what torch's own does, for which capturing is there"


def test_a_capture_that_cannot_be_ended_is_told(streams: list[str]) -> None:
    with pytest.raises(RuntimeError, match="previous error during capture"), capturing(Graph(ends=False), "side"):
        pass
    assert streams[-1] == "before"


def test_what_is_raised_in_a_capture_that_ends_is_raised(streams: list[str]) -> None:
    with pytest.raises(ValueError, match=r"^wrong$"), capturing(Graph(ends=True), "side"):
        raise ValueError("wrong")
    with capturing(Graph(ends=True), "side"):
        assert streams[-1] == "side"
    assert streams[-1] == "before"


class Compiled:
    """TensorRT's engine, and its context; one that gives none, by `last`."""

    device_memory_size_v2 = 48

    def __init__(self, last: str = "") -> None:
        self.last = last
        self.addresses: dict[str, int] = {}
        self.memory: list[tuple[int, int]] = []

    def create_execution_context(self, strategy: str) -> Compiled | None:
        assert strategy == "ours"
        return None if self.last else self

    def set_input_shape(self, name: str, shape: tuple[int, ...]) -> None:
        self.shape = shape

    def set_tensor_address(self, name: str, address: int) -> None:
        self.addresses[name] = address

    def set_device_memory(self, address: int, size: int) -> None:
        self.memory.append((address, size))

    def execute_async_v3(self, stream: int) -> bool:
        return stream == 77


CPU = torch.device("cpu")


def at_host(engine: Compiled, last: str = "") -> tensorrt_context.Compiled:
    library = SimpleNamespace(ExecutionContextAllocationStrategy=SimpleNamespace(USER_MANAGED="ours"))
    outputs, messages = {"logits": ((1, 8), torch.float32)}, SimpleNamespace(last=last)
    return tensorrt_context.Compiled(library, engine, messages, "images", (1, 8, 8, 3), outputs)


def test_a_context_that_is_null_for_want_of_memory_is_tried_smaller_and_another_is_told() -> None:
    def contexts(last: str) -> object:
        context = at_host(Compiled(last), last)
        return as_large_as_fits(lambda _: Context(context, CPU), 4)

    with pytest.raises(FerFastError, match=r"not hold a single image: TensorRT could not make a context: .*OutOfMem"):
        contexts(FULL["TensorRT"])
    with pytest.raises(RuntimeError, match=r"^TensorRT could not make a context: no profile$"):
        contexts("no profile")


def test_a_contexts_memory_is_torchs_so_that_graphs_share_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "current_stream", lambda: SimpleNamespace(cuda_stream=77))
    context, pixels = Compiled(), torch.zeros(1, 8, 8, 3, dtype=torch.uint8)
    run = Context(at_host(context), CPU)
    (output,) = run(pixels)
    assert output.shape == (1, 8) and context.shape == (1, 8, 8, 3)
    assert context.addresses == {"images": pixels.data_ptr(), "logits": output.data_ptr()}
    ((address, size),) = context.memory
    assert size == 48 and address not in (0, pixels.data_ptr(), output.data_ptr())
    run(pixels)
    assert len(context.memory) == 2, "given anew at each call, and so of the pool of the graph that is captured"
