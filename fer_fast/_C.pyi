from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

__version__: str
cuda_architectures: str  # that _cuda is compiled for, in CMake's words: "86-real,90"; empty without it

def fused_tokens(
    sources: Sequence[NDArray[Any]],
    means: Sequence[NDArray[np.float32]],
    inv_stds: Sequence[NDArray[np.float32]],
    patches: Sequence[int],
    grid: int,
    reduce_mean: Sequence[bool],
    out_dtype: str = "float32",
    threads: int = 1,
    out: NDArray[Any] | None = None,
) -> NDArray[Any]: ...

# Address, dtype, sizes, strides in elements.
_Memory = tuple[int, str, Sequence[int], Sequence[int]]

class TokenCall:
    def __init__(
        self,
        sources: Sequence[_Memory],
        means: Sequence[_Memory],
        inv_stds: Sequence[_Memory],
        patches: Sequence[int],
        grid: int,
        reduce_mean: Sequence[bool],
        out_dtype: str,
    ) -> None: ...
    @property
    def shape(self) -> list[int]: ...
    def write(self, out: int, threads: int, parallel_for: int = 0) -> None: ...

def cuda_program() -> str: ...
def cuda_headers() -> list[tuple[str, str]]: ...

class CudaCode:
    def __init__(self, cubin: bytes, device: int) -> None: ...
    def write(self, call: TokenCall, out: int, stream: int) -> None: ...

def fused_tokens_cuda(
    code: CudaCode,
    sources: Sequence[Any],
    means: Sequence[Any],
    inv_stds: Sequence[Any],
    patches: Sequence[int],
    grid: int,
    reduce_mean: Sequence[bool],
    out: Any,
    stream: int = 0,
) -> None: ...
def cpu_level() -> str: ...
def cpu_levels() -> list[str]: ...
def set_cpu_level(level: str) -> None: ...
def faces_in(
    cells: NDArray[np.float32], height: int, width: int, score: float, overlap: float = 0.3
) -> NDArray[np.float32]: ...
def crop_matrices(faces: NDArray[np.float32], framing: str, size: int) -> NDArray[np.float64]: ...
def crop_faces(
    image: NDArray[np.uint8], matrices: NDArray[np.float64], size: int, out: NDArray[np.uint8] | None = None
) -> NDArray[np.uint8]: ...

class Watchdog:
    def __init__(self, seconds: float, signal: int) -> None: ...
    def beat(self) -> None: ...
    def stop(self) -> None: ...
