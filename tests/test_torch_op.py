"""How torch's op reaches the native twins: threads, devices, streams, errors. Its tokens are test_tokens.py's."""

from __future__ import annotations

import contextlib
import ctypes
import importlib
import os
from types import SimpleNamespace

import pytest
import torch
from token_cases import CASES, TOLERANCES

from fer_fast import _C as core  # noqa: N811
from fer_fast.ops import native, torch_op
from fer_fast.ops.tokens import fused_tokens, fused_tokens_reference
from fer_fast.types import FerFastError

LARGE = CASES["product 224 fp32, past the caches"]
TASK = ctypes.CFUNCTYPE(None, ctypes.c_int64, ctypes.c_int64, ctypes.c_void_p)
PARALLEL_FOR = ctypes.CFUNCTYPE(
    ctypes.c_int32, ctypes.c_int64, ctypes.c_int64, ctypes.c_int64, ctypes.c_void_p, ctypes.c_void_p
)


class CountedThreads:
    """Stands for libtorch's torch_parallel_for: does the task in the thread that calls, or fails."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, status: int = 0) -> None:
        self.calls: list[tuple[int, int]] = []
        self._status = status
        self._function = PARALLEL_FOR(self._run)  # kept, or its address would be nobody's
        monkeypatch.setattr(torch_op, "_PARALLEL_FOR", ctypes.cast(self._function, ctypes.c_void_p).value)

    def _run(self, begin: int, end: int, grain: int, task: int, context: int) -> int:
        self.calls.append((begin, end))
        if self._status == 0:
            TASK(task)(begin, end, context)
        return self._status


def test_programs_that_were_exported_before_know_the_schema() -> None:
    assert str(torch_op.fused_tokens_op._schema) == (
        "fer_fast::fused_tokens(Tensor[] sources, Tensor[] means, Tensor[] inv_stds, int[] patches, int grid, "
        "bool[] reduce_mean, ScalarType out_dtype) -> Tensor"
    )


def test_a_module_that_is_loaded_again_finds_the_op() -> None:
    assert importlib.reload(torch_op).fused_tokens_op is torch.ops.fer_fast.fused_tokens.default


def test_this_torch_has_threads_to_share() -> None:
    assert torch_op._PARALLEL_FOR != 0


def test_torch_threads_do_the_work(monkeypatch: pytest.MonkeyPatch) -> None:
    arguments = LARGE.arguments()
    expected = fused_tokens(**arguments)
    threads = CountedThreads(monkeypatch)
    assert torch.equal(fused_tokens(**arguments), expected)
    assert threads.calls == [(0, LARGE.batch * LARGE.grid)]


def test_a_forked_child_leaves_torch_threads_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    arguments = LARGE.arguments()
    expected = fused_tokens(**arguments).numpy().tobytes()
    threads = CountedThreads(monkeypatch)
    child = os.fork()
    if child == 0:
        os._exit(0 if fused_tokens(**arguments).numpy().tobytes() == expected and not threads.calls else 1)
    assert os.waitpid(child, 0)[1] == 0


def test_a_torch_without_the_function_takes_threads_of_our_own(monkeypatch: pytest.MonkeyPatch) -> None:
    arguments = LARGE.arguments()
    expected = fused_tokens(**arguments)
    monkeypatch.setattr(torch, "__file__", "/nonexistent/torch/__init__.py")
    assert torch_op._parallel_for() == 0
    monkeypatch.setattr(torch_op, "_PARALLEL_FOR", 0)
    assert torch.equal(fused_tokens(**arguments), expected)


def test_threads_that_fail_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    threads = CountedThreads(monkeypatch, status=1)  # which must live while its function is called
    with pytest.raises(RuntimeError, match=r"^fused_tokens: torch_parallel_for failed$"):
        fused_tokens(**LARGE.arguments())
    assert len(threads.calls) == 1


def test_a_missing_module_is_told_by_each_call(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> None:
        raise ImportError(f"no {name}")

    monkeypatch.setattr("fer_fast.ops.native.importlib.import_module", missing)
    for call in (torch_op.load, lambda: fused_tokens(**CASES["one pixel"].arguments())):
        with pytest.raises(FerFastError, match=r"^fer_fast\._C does not load \(no fer_fast\._C\): "):
            call()


def test_another_device_is_named() -> None:
    arguments = CASES["one pixel"].arguments()
    moved = arguments | {"means": [mean.to("meta") for mean in arguments["means"]]}
    with pytest.raises(ValueError, match=r"^means\[0\]: must be on the device of sources\[0\], cpu, got meta$"):
        torch_op._on_cpu(*moved.values())


def test_a_device_without_a_twin_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*_: object) -> None:
        raise NotImplementedError("Could not run 'fer_fast::fused_tokens' with arguments from the 'MPS' backend")

    monkeypatch.setattr("fer_fast.ops.tokens.fused_tokens_op", refused)
    with pytest.raises(FerFastError, match=r"^fused_tokens has no twin for cpu in this build: rebuild with FER_FAST_"):
        fused_tokens(**CASES["one pixel"].arguments())


# ---- The CUDA twin's way, with a card that is made up ----


class MadeUpCard:
    """Of torch's CUDA and of `fer_fast._cuda` what the op uses; the CPU twin computes."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, refuses: bool = False, built: bool = True) -> None:
        self.log: list[object] = []
        monkeypatch.setattr("fer_fast.ops.card.architecture", lambda device: 61)
        monkeypatch.setattr(native, "has_cuda_code", lambda architecture: built)
        monkeypatch.setattr("fer_fast.ops.card.code_for", self._code_for)
        monkeypatch.setattr(torch.cuda, "device", self._device)
        monkeypatch.setattr(torch.cuda, "current_stream", lambda device: SimpleNamespace(cuda_stream=(device, 77)))
        monkeypatch.setattr(native, "cuda", lambda: SimpleNamespace(TokenCall=self._call))
        self._refuses = refuses

    @contextlib.contextmanager
    def _device(self, device: torch.device):
        self.log.append(("enter", device))
        yield
        self.log.append("leave")

    def _call(self, *arguments: object) -> SimpleNamespace:
        call = core.TokenCall(*arguments)
        return SimpleNamespace(shape=call.shape, write=lambda out, stream: self._write(call, out, stream))

    def _code_for(self, device: int, architecture: int) -> SimpleNamespace:
        self.log.append(("compiled for", architecture))
        return SimpleNamespace(write=self._write)

    def _write(self, call: core.TokenCall, out: int, stream: object) -> None:
        self.log.append(("write", stream))
        if self._refuses:
            raise RuntimeError("fused_tokens: the launch failed: no kernel image")
        call.write(out, 1)


def test_the_launch_is_on_the_sources_device_and_its_current_stream(monkeypatch: pytest.MonkeyPatch) -> None:
    card = MadeUpCard(monkeypatch)
    arguments = CASES["five sources"].arguments()
    assert torch.equal(torch_op._on_cuda(*arguments.values()), fused_tokens(**arguments))
    device = arguments["sources"][0].device
    assert card.log == [("enter", device), ("write", (device, 77)), "leave"]


def test_a_card_that_the_build_is_not_for_gets_its_kernel_compiled(monkeypatch: pytest.MonkeyPatch) -> None:
    card = MadeUpCard(monkeypatch, built=False)
    arguments = CASES["five sources"].arguments()
    assert torch.equal(torch_op._on_cuda(*arguments.values()), fused_tokens(**arguments))
    device = arguments["sources"][0].device
    assert card.log == [("enter", device), ("compiled for", 61), ("write", (device, 77)), "leave"]


def test_a_launch_that_is_refused_is_the_device_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    MadeUpCard(monkeypatch, refuses=True)
    with pytest.raises(FerFastError, match=r"^fused_tokens: the launch failed: no kernel image$"):
        torch_op._on_cuda(*CASES["one pixel"].arguments().values())


@pytest.mark.skipif(not native.has_cuda_library(), reason="built without the CUDA twin")
def test_the_cuda_module_checks_without_a_driver() -> None:
    source = (4096, "bfloat16", (2, 8, 4, 4), (128, 1, 32, 8))
    ones = (8192, "float32", (8,), (1,))
    call = native.cuda().TokenCall([source], [ones], [ones], [2], 3, [False], "float16")
    assert call.shape == [2, 9, 32]
    with pytest.raises(ValueError, match=r"^out: must not be null"):
        call.write(0, 0)
    with pytest.raises(ValueError, match=r"^means\[0\]: must have 8 elements, one a channel, got 7"):
        native.cuda().TokenCall([source], [(8192, "float32", (7,), (1,))], [ones], [2], 3, [False], "float16")
    with pytest.raises(TypeError, match=r"^sources\[0\]: must have __dlpack__ or __cuda_array_interface__, got int$"):
        native.cuda().fused_tokens_cuda([1], [1], [1], [2], 3, [False], 1)
    with pytest.raises(TypeError, match=r"^inv_stds\[0\]: must be float32, got float64"):
        native.cuda().TokenCall([source], [ones], [(8192, "float64", (8,), (1,))], [2], 3, [False], "float16")


# ---- With one ----


def on_card(name: str, device: str = "cuda") -> dict:
    """A case's arguments, moved."""
    return moved_to(device, CASES[name].arguments())


def moved_to(device: str, arguments: dict) -> dict:
    tensors = ("sources", "means", "inv_stds")
    return arguments | {name: [tensor.to(device) for tensor in arguments[name]] for name in tensors}


def assert_agrees(tokens: torch.Tensor, arguments: dict) -> None:
    relative, absolute = TOLERANCES[arguments["out_dtype"]]
    expected = fused_tokens_reference(**moved_to("cpu", arguments))
    torch.testing.assert_close(tokens.cpu(), expected, rtol=relative, atol=absolute)


@pytest.mark.needs_cuda
def test_a_graph_captures_it() -> None:
    arguments = on_card("product 112 bf16 nchw")
    fused_tokens(**arguments)  # loads the kernel
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        tokens = fused_tokens(**arguments)
    for source in arguments["sources"]:
        source.copy_(source.flip(0))
    graph.replay()
    assert_agrees(tokens, arguments)


@pytest.mark.needs_cuda
def test_it_runs_on_the_current_stream_and_waits_for_nothing() -> None:
    arguments = on_card("product 112 fp32")
    fused_tokens(**arguments)  # loads the kernel
    others = [source.flip(0) for source in arguments["sources"]]
    torch.cuda.synchronize()
    stream = torch.cuda.Stream()
    with torch.cuda.stream(stream):
        torch.cuda._sleep(2**30)  # cycles, half a second: on any other stream the op would read what was there before
        for source, other in zip(arguments["sources"], others, strict=True):
            source.copy_(other)
        tokens = fused_tokens(**arguments)
        assert not stream.query(), "the call waited for the card"
    torch.cuda.synchronize()
    assert_agrees(tokens, arguments)


@pytest.mark.needs_cuda
def test_tensors_of_two_devices_are_told() -> None:
    arguments = on_card("product 112 fp32")
    for name in ("sources", "means", "inv_stds"):
        apart = arguments | {name: [*arguments[name][:-1], arguments[name][-1].cpu()]}
        with pytest.raises(ValueError, match=rf"^{name}\[3\]: must be on the device of sources\[0\], cuda:0, got cpu$"):
            fused_tokens(**apart)


@pytest.mark.needs_cuda
def test_a_card_that_is_not_current() -> None:
    if torch.cuda.device_count() < 2:
        pytest.skip("needs two cards")
    arguments = on_card("product 112 fp32", "cuda:1")
    with torch.cuda.device(0):
        tokens = fused_tokens(**arguments)
        assert torch.cuda.current_device() == 0
    assert tokens.device == torch.device("cuda:1")
    assert_agrees(tokens, arguments)


@pytest.mark.needs_cuda
def test_opcheck_on_a_card() -> None:
    for name in ("product 112 bf16 nchw", "odd sizes", "batch 0"):
        torch.library.opcheck(torch_op.fused_tokens_op, tuple(on_card(name).values()))
