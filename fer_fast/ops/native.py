"""The native modules, `fer_fast._C` and `fer_fast._cuda`, or an error that says what to do."""

from __future__ import annotations

import importlib
import importlib.util
import json
import re
from pathlib import Path
from types import ModuleType
from urllib.parse import unquote, urlsplit

from fer_fast.types import FerFastError

_PACKAGE = Path(__file__).resolve().parent.parent


def core() -> ModuleType:
    """Returns `fer_fast._C`: the fused op's CPU twin, faces.

    Raises:
        FerFastError: it was not built, or does not load.
    """
    return _module("fer_fast._C")


def cuda() -> ModuleType:
    """Returns `fer_fast._cuda`: the fused op's CUDA twin.

    Raises:
        FerFastError: it was not built, or does not load.
    """
    return _module("fer_fast._cuda")


def has_cuda_library() -> bool:
    """Whether this build has the CUDA twin."""
    return importlib.util.find_spec("fer_fast._cuda") is not None


def has_cuda_code(architecture: int) -> bool:
    """Whether the CUDA twin was built for a card: for it, for an older one of its generation, or as PTX.

    Args:
        architecture: the card's compute capability, times ten.
    """
    if not has_cuda_library():
        return False
    for number, one, kind in re.findall(r"(\d+)(a?)f?(-real|-virtual)?", core().cuda_architectures):
        older, same = int(number) <= architecture, int(number) // 10 == architecture // 10
        if int(number) == architecture or (older and not one and (same or kind != "-real")):
            return True
    return False


def _module(name: str) -> ModuleType:
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise FerFastError(f"{name} does not load ({error}): {_advice()}") from error


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
    from importlib import metadata  # 14 ms, for an error alone

    for distribution in metadata.distributions(name="fer-fast"):
        package = Path(str(distribution.locate_file("fer_fast")))
        origin = json.loads(distribution.read_text("direct_url.json") or "{}").get("url", "")
        if not package.is_dir() and origin.startswith("file://"):  # pip install -e
            package = Path(unquote(urlsplit(origin).path)) / "fer_fast"
        if package.is_dir() and not package.samefile(_PACKAGE):
            return package.parent
    return None
