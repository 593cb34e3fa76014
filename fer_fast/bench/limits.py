"""What the machine can do at most: a large copy, and large matrix products in each precision, as cases to time."""

from __future__ import annotations

import ctypes
import itertools
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import cast

import torch
from torch import Tensor

from fer_fast.bench import cuda_timing
from fer_fast.bench.case import Case, Key, Prepared, Work
from fer_fast.types import FerFastError

#: More than the last-level cache of all but the largest servers: what is copied comes from memory.
COPY_BYTES = {"cpu": 2**28, "cuda": 2**30}
#: Side of the matrices.
MATRIX = {"cpu": 2048, "cuda": 8192}


class ThreadedCopy:
    """Reads half of `traffic` bytes and writes as many, with as many threads as torch has.

    Args:
        traffic: bytes read plus bytes written.
        buffers: pairs of buffers to take in turn, so that small copies are cold, too.
    """

    def __init__(self, traffic: int, buffers: int = 1) -> None:
        self._threads = torch.get_num_threads()
        self._size = traffic // 2 // self._threads
        shape = (buffers, 2, self._threads * self._size)
        self._pairs = itertools.cycle(torch.ones(shape, dtype=torch.uint8))
        self._pool = ThreadPoolExecutor(self._threads)

    def __call__(self) -> None:
        """Copies once, from and to the next pair of buffers."""
        source, target = (half.data_ptr() for half in next(self._pairs))

        def part(i: int) -> None:
            ctypes.memmove(target + i * self._size, source + i * self._size, self._size)

        list(self._pool.map(part, range(self._threads)))


def cases(device: str) -> Iterator[Case]:
    """The copy, and each precision's matrix product by each library that has one."""
    size = COPY_BYTES[device]
    yield Case(Key("limit", "copy", "memory", device, "", 0), partial(_copy, device), 0, Work(bytes=size))
    side = MATRIX[device]
    for (precision, library), make in _products(device).items():
        key = Key("limit", f"matrix product {side} x {side}", library, device, precision, 0)
        yield Case(key, partial(_product, device, side, make), 0, Work(flop=2 * side**3))


def _copy(device: str) -> Prepared:
    if device == "cpu":
        return Prepared(ThreadedCopy(COPY_BYTES["cpu"]))
    source, target = torch.ones(2, COPY_BYTES["cuda"] // 2, dtype=torch.uint8, device="cuda")
    return cuda_timing.prepared(lambda: target.copy_(source))


def _products(device: str) -> dict[tuple[str, str], Callable[[Tensor, Tensor], Callable[[], Tensor]]]:
    """Precision and library to what makes a product of two matrices of numbers -8 to 7, an exact result in fp32."""
    products: dict[tuple[str, str], Callable[[Tensor, Tensor], Callable[[], Tensor]]] = {
        ("fp32", "torch.mm"): _mm(torch.float32),
        ("bf16", "torch.mm"): _mm(torch.bfloat16),
        ("int8", "torch._int_mm"): lambda a, b: partial(torch._int_mm, a.to(torch.int8), b.to(torch.int8)),
    }
    if device == "cuda":
        return products | {("fp16", "torch.mm"): _mm(torch.float16)}
    return products | {("fp32", "oneDNN"): _onednn}


def _mm(dtype: torch.dtype) -> Callable[[Tensor, Tensor], Callable[[], Tensor]]:
    return lambda a, b: partial(torch.mm, a.to(dtype), b.to(dtype))


def _onednn(a: Tensor, b: Tensor) -> Callable[[], Tensor]:
    """The library that OpenVINO computes with, too: on some processors it is faster than torch's BLAS."""
    from torch.utils.mkldnn import to_mkldnn

    layer = torch.nn.Linear(b.shape[0], b.shape[1], bias=False)
    layer.weight.data = b.T.contiguous()
    packed, packed_a = cast(torch.nn.Module, to_mkldnn(layer)), a.to_mkldnn()  # type: ignore[no-untyped-call]

    def product() -> Tensor:
        with torch.inference_mode():
            return packed(packed_a)  # type: ignore[no-any-return]

    return product


def _product(device: str, side: int, make: Callable[[Tensor, Tensor], Callable[[], Tensor]]) -> Prepared:
    generator = torch.Generator().manual_seed(0)
    a, b = (torch.randint(-8, 8, (side, side), generator=generator).float().to(device) for _ in range(2))
    call = make(a, b)
    try:
        product = call()
    except RuntimeError as error:
        raise FerFastError(f"torch has no such product here: {error}") from error
    result, exact = (product.to_dense() if product.is_mkldnn else product).float(), a @ b
    if not torch.allclose(result, exact, rtol=2**-7, atol=1.0):
        raise ArithmeticError(f"the product is off by {(result - exact).abs().max():.3g}")
    return Prepared(call) if device == "cpu" else cuda_timing.prepared(call)
