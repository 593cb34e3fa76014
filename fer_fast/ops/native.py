"""The native libraries: `fer_fast._C` and torch's `fer_fast` ops, or an error that says what to do."""

from __future__ import annotations

import importlib
import importlib.metadata
import json
from pathlib import Path
from types import ModuleType
from urllib.parse import unquote, urlsplit

from fer_fast.types import FerFastError

_PACKAGE = Path(__file__).resolve().parent.parent
_LIBRARIES = _PACKAGE / "lib"
_CUDA = _LIBRARIES / "libfer_fast_torch_cuda.so"


def core() -> ModuleType:
    """Returns `fer_fast._C`, the module without torch.

    Raises:
        FerFastError: it was not built, or does not load.
    """
    try:
        return importlib.import_module("fer_fast._C")
    except ImportError as error:
        raise FerFastError(f"fer_fast._C does not load ({error}): {_advice()}") from error


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
        raise FerFastError(f"{library} is missing: {_advice()}")
    try:
        torch.ops.load_library(str(library))  # type: ignore[no-untyped-call]
    except OSError as error:
        raise FerFastError(f"{library} does not load ({error}): {_advice()}") from error


def _advice() -> str:
    """What helps: to leave the source folder where it hides a package that is installed, else to build."""
    if (_PACKAGE.parent / "CMakeLists.txt").is_file() and (installed := _installed_elsewhere()):
        return (
            f"the source folder {str(_PACKAGE.parent)!r}, which is not built, hides the package that is installed in "
            f"{str(installed)!r}: start Python in another folder"
        )
    return "build it with `pip install .` in fer_fast's source folder (needs a C++17 compiler)"


def _installed_elsewhere() -> Path | None:
    """The folder of an installed fer_fast that is not this one."""
    for distribution in importlib.metadata.distributions(name="fer-fast"):
        package = Path(str(distribution.locate_file("fer_fast")))
        origin = json.loads(distribution.read_text("direct_url.json") or "{}").get("url", "")
        if not package.is_dir() and origin.startswith("file://"):  # pip install -e
            package = Path(unquote(urlsplit(origin).path)) / "fer_fast"
        if package.is_dir() and not package.samefile(_PACKAGE):
            return package.parent
    return None
