"""OpenVINO's own package, imported without its telemetry: that reports each import to its makers, from wherever we run.

It also keeps OpenVINO from being imported where nothing says which home a user has, as in a container that runs under a
bare number. OpenVINO does without it where it is not installed, so it is hidden for as long as the import takes.
"""

from __future__ import annotations

import sys
from types import ModuleType
from typing import cast

_TELEMETRY = "openvino_telemetry"

_hidden = sys.modules.get(_TELEMETRY)
sys.modules[_TELEMETRY] = cast(ModuleType, None)  # this is how Python says that there is no such module
try:
    import openvino
finally:
    del sys.modules[_TELEMETRY]
    if _hidden is not None:
        sys.modules[_TELEMETRY] = _hidden

__all__ = ["openvino"]
