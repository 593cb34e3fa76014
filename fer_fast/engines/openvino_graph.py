"""OpenVINO itself: the core, how graphs are compiled, and a compiled graph that many threads may call."""

from __future__ import annotations

import ctypes
import os
import threading
import weakref
from collections.abc import Sequence
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np

from fer_fast.engines.openvino_library import openvino
from fer_fast.engines.pool import Pool
from fer_fast.machine.processors import quota_threads
from fer_fast.types import FerFastError

if TYPE_CHECKING:
    import numpy.typing as npt

_is_inherited = False


def openvino_core() -> openvino.Core:
    """OpenVINO, once a process and never given back.

    Raises:
        FerFastError: this process was forked from one that used OpenVINO. Its threads stayed behind, and what is opened
            here may wait for them for ever.
    """
    if _is_inherited:
        raise FerFastError("OpenVINO was in use before fork: start processes that classify by spawn or forkserver")
    return _core()


@cache
def _core() -> openvino.Core:
    # The processor's plugin sets a stack for signals on the thread that loads it, where there are AMX tiles, and frees
    # it with the last reference to the core, on any thread: the next signal, a Ctrl-C, then ends the process.
    core = openvino.Core()
    ctypes.pythonapi.Py_IncRef(ctypes.py_object(core))
    return core


def _after_fork() -> None:
    global _is_inherited
    _is_inherited = _core.cache_info().currsize > 0


os.register_at_fork(after_in_child=_after_fork)


def has_bf16(core: openvino.Core) -> bool:
    """Whether the processor computes bf16. OpenVINO takes it for a hint, and would compute fp32 in silence."""
    return "BF16" in core.get_property("CPU", "OPTIMIZATION_CAPABILITIES")


def compile_options(core: openvino.Core, precision: str) -> dict[str, Any]:
    """How a graph is compiled for the most images a second.

    Args:
        core: OpenVINO.
        precision: fp32, bf16, or int8: then what is not quantised is computed in bf16 where the processor has it.
    """
    bf16 = precision != "fp32" and has_bf16(core)
    options = {"PERFORMANCE_HINT": "THROUGHPUT", "INFERENCE_PRECISION_HINT": "bf16" if bf16 else "f32"}
    # OpenVINO counts the processors that a process may run on, and knows nothing of a container's quota. By default
    # threads stay on a processor each: fewer of them would on the first ones, as would those of each other process.
    fewer = {"INFERENCE_NUM_THREADS": quota_threads(), "ENABLE_CPU_PINNING": False}
    return options | (fewer if quota_threads() else {})


def imported(core: openvino.Core, blob: memoryview, options: dict[str, Any]) -> openvino.CompiledModel:
    """The compiled model that was exported as these bytes.

    Raises:
        RuntimeError: it is none that this OpenVINO can read.
    """
    try:
        # OpenVINO's own memory, and not ours: the compiled model goes on using it.
        return core.import_model(openvino.Tensor(np.frombuffer(blob, np.uint8)), "CPU", options)
    except TypeError:  # 2025.2 takes bytes alone, and copies them twice
        return core.import_model(bytes(blob), "CPU", options)


class CompiledGraph:
    """A compiled graph and as many requests as keep the processor busy; safe to call from many threads.

    Args:
        compiled: what OpenVINO compiled or read back.

    Attributes:
        streams: calls at once that keep the processor busy.
        threads: that all calls together compute on.
    """

    def __init__(self, compiled: openvino.CompiledModel) -> None:
        self.compiled = compiled
        self.streams = int(compiled.get_property("OPTIMAL_NUMBER_OF_INFER_REQUESTS"))
        self.threads = int(compiled.get_property("INFERENCE_NUM_THREADS"))
        # OpenVINO computes on the thread that asks, which has one of the streams for good: two may have the same. With
        # one request more than streams they leave none idle.
        self._count = self.streams + 1 if self.streams > 1 else 1
        self._requests: Pool[openvino.InferRequest] = Pool(self._lost_request)
        self._living: weakref.WeakSet[openvino.InferRequest] = weakref.WeakSet()
        self._lock = threading.Lock()
        for _ in range(self._count):
            self._requests.put(self._new_request())

    def __call__(self, inputs: Sequence[npt.NDArray[Any]]) -> list[npt.NDArray[np.float32]]:
        """The outputs for one batch, the caller's own.

        Raises:
            FerFastError: if OpenVINO fails.
        """
        requests = self._requests
        request = None
        try:
            request = requests.get()
            result = request.infer(list(inputs), share_inputs=True, share_outputs=True)
            return [np.array(output, dtype=np.float32) for output in result.to_tuple()]
        except RuntimeError as error:
            raise FerFastError(f"OpenVINO failed on the CPU: {error}") from error
        finally:
            if request is not None:
                requests.put(request)

    def _lost_request(self) -> openvino.InferRequest | None:
        """A new request for one that was lost to a Ctrl-C."""
        with self._lock:
            return self._new_request() if len(self._living) < self._count else None

    def _new_request(self) -> openvino.InferRequest:
        request = self.compiled.create_infer_request()
        self._living.add(request)
        return request
