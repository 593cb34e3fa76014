"""Finds the native libraries: nothing comes in, `fer_fast._C` and torch's `fer_fast` ops go out, or a clear error."""

from __future__ import annotations

import importlib
from pathlib import Path
from types import ModuleType

from fer_fast.types import FerFastError

_LIBRARIES = Path(__file__).parent.parent / "lib"
_CUDA = _LIBRARIES / "libfer_fast_torch_cuda.so"
_HOW_TO_BUILD = "build it with `pip install .` in fer_fast's source folder (needs a C++17 compiler)"


def core() -> ModuleType:
    """Returns `fer_fast._C`, the module without torch.

    Raises:
        FerFastError: it was not built, or does not load.
    """
    try:
        return importlib.import_module("fer_fast._C")
    except ImportError as error:
        raise FerFastError(f"fer_fast._C does not load ({error}): {_HOW_TO_BUILD}") from error


def load_torch_ops() -> None:
    """Registers `torch.ops.fer_fast.*`: the CPU twin, and the CUDA twin when torch and this build have CUDA.

    Raises:
        FerFastError: a library was not built, or does not load.
    """
    import torch

    _load(_LIBRARIES / "libfer_fast_torch_cpu.so")
    # Only a CUDA build of torch has the symbols. It has them without a GPU too: loading asks no driver.
    if torch.version.cuda is not None and has_cuda_library():
        _load(_CUDA)


def has_cuda_library() -> bool:
    """Whether this build has the CUDA twin."""
    return _CUDA.exists()


def _load(library: Path) -> None:
    import torch

    if not library.exists():
        raise FerFastError(f"{library} is missing: {_HOW_TO_BUILD}")
    try:
        torch.ops.load_library(str(library))  # type: ignore[no-untyped-call]
    except OSError as error:
        raise FerFastError(f"{library} does not load ({error}): {_HOW_TO_BUILD}") from error
