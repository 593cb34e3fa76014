"""Facial expression recognition at speed: folders of images come in, a table of probabilities goes out."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fer_fast.types import (
    EMOTIONS,
    CheckpointError,
    DecodeError,
    FerFastError,
    OutputError,
    OutputRefusedError,
    Prediction,
    Row,
    Status,
)
from fer_fast.version import __version__

if TYPE_CHECKING:
    from fer_fast.classifier import Classifier
    from fer_fast.models.storage import load_model
    from fer_fast.pipeline.run import classify_folder, classify_rows
    from fer_fast.pipeline.summary import Summary

#: What CMake's find_package(fer_fast) needs as CMAKE_PREFIX_PATH.
cmake_prefix_path = str(Path(__file__).parent / "cpp")

__all__ = [
    "EMOTIONS",
    "CheckpointError",
    "Classifier",
    "DecodeError",
    "FerFastError",
    "OutputError",
    "OutputRefusedError",
    "Prediction",
    "Row",
    "Status",
    "Summary",
    "__version__",
    "classify_folder",
    "classify_rows",
    "cmake_prefix_path",
    "load_model",
]

# torch takes seconds to import: whoever asks for --help or for a status does not wait for it.
_HOMES = {
    "Classifier": "fer_fast.classifier",
    "Summary": "fer_fast.pipeline.summary",
    "classify_folder": "fer_fast.pipeline.run",
    "classify_rows": "fer_fast.pipeline.run",
    "load_model": "fer_fast.models.storage",
}


def __getattr__(name: str) -> Any:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module 'fer_fast' has no attribute {name!r}")
    return getattr(importlib.import_module(home), name)


def __dir__() -> list[str]:
    return __all__
