from collections.abc import Sequence
from typing import Any

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
    def write(self, out: int, stream: int) -> None: ...

def fused_tokens_cuda(
    sources: Sequence[Any],
    means: Sequence[Any],
    inv_stds: Sequence[Any],
    patches: Sequence[int],
    grid: int,
    reduce_mean: Sequence[bool],
    out: Any,
    stream: int = 0,
) -> None: ...
