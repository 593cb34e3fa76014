"""OpenVINO's own package, imported without its telemetry: that reports each import to its makers, from wherever we run.

It also keeps OpenVINO from being imported where nothing says which home a user has, as in a container that runs under a
bare number. OpenVINO does without it where it is not installed, so it is hidden for as long as the import takes.

So is its converter of other frameworks' models, which nothing here uses and which takes its time to import. It comes
when somebody asks for it.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType
from typing import Any, cast

from fer_fast.types import MissingExtraError, one_line

_TELEMETRY = "openvino_telemetry"
_CONVERTER = "openvino.tools.ovc"


@contextmanager
def _hidden(*names: str) -> Iterator[None]:
    """While inside these modules are not there, for whoever imports them."""
    found = {name: sys.modules.get(name) for name in names}
    # This is how Python says that there is no such module.
    sys.modules.update(dict.fromkeys(names, cast(ModuleType, None)))
    try:
        yield
    finally:
        for name, module in found.items():
            del sys.modules[name]
            if module is not None:
                sys.modules[name] = module


def _late(name: str) -> Any:
    """What `import openvino` would have brought: `openvino.convert_model`, and `openvino.tools` with the converter."""
    if name not in ("convert_model", "tools"):
        raise AttributeError(f"module 'openvino' has no attribute {name!r}")
    with _hidden(_TELEMETRY):
        converter = importlib.import_module(_CONVERTER)
    return converter.convert_model if name == "convert_model" else sys.modules["openvino.tools"]


try:
    with _hidden(_TELEMETRY, _CONVERTER):
        import openvino
except Exception as error:  # whatever a missing or broken installation raises
    raise MissingExtraError(
        f"OpenVINO cannot be imported ({one_line(error)}): pip install --force-reinstall openvino"
    ) from error

if not hasattr(openvino, "convert_model"):
    openvino.__getattr__ = _late

__all__ = ["openvino"]
