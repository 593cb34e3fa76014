from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

__version__: str
cuda_architectures: str

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
def cpu_level() -> str: ...
def cpu_levels() -> list[str]: ...
def set_cpu_level(level: str) -> None: ...

class Watchdog:
    def __init__(self, seconds: float, signal: int) -> None: ...
    def beat(self) -> None: ...
    def stop(self) -> None: ...
