"""Facial expression recognition at speed: folders of images come in, a table of probabilities goes out."""

from __future__ import annotations

#: As typing's, which takes as long to import as all of this file.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from fer_fast.classifier import Classifier
    from fer_fast.faces.finder import FaceFinder
    from fer_fast.films.classify import FrameFaces, TrackedFace, classify_video
    from fer_fast.films.drawing import draw_film
    from fer_fast.live.watch import LiveFaces, Watch, watch
    from fer_fast.merge import Merged, merge_tables
    from fer_fast.models.loading import load_model
    from fer_fast.pipeline.run import classify_folder, classify_rows
    from fer_fast.pipeline.summary import Summary
    from fer_fast.types import (
        EMOTIONS,
        CheckpointError,
        DecodeError,
        Face,
        FerFastError,
        MissingExtraError,
        OutputError,
        OutputRefusedError,
        Prediction,
        Row,
        Status,
    )
    from fer_fast.version import __version__

#: What CMake's find_package(fer_fast) needs as CMAKE_PREFIX_PATH.
cmake_prefix_path = f"{__path__[0]}/cpp"

__all__ = [
    "EMOTIONS",
    "CheckpointError",
    "Classifier",
    "DecodeError",
    "Face",
    "FaceFinder",
    "FerFastError",
    "FrameFaces",
    "LiveFaces",
    "Merged",
    "MissingExtraError",
    "OutputError",
    "OutputRefusedError",
    "Prediction",
    "Row",
    "Status",
    "Summary",
    "TrackedFace",
    "Watch",
    "__version__",
    "classify_folder",
    "classify_rows",
    "classify_video",
    "cmake_prefix_path",
    "draw_film",
    "load_model",
    "merge_tables",
    "watch",
]

# torch takes seconds to import: whoever asks for --help or for a status does not wait for it. What is light comes late,
# too, so that the command runs before anything that a Ctrl-C could break off.
_HOMES = {
    "Classifier": "fer_fast.classifier",
    "FaceFinder": "fer_fast.faces.finder",
    "FrameFaces": "fer_fast.films.classify",
    "LiveFaces": "fer_fast.live.watch",
    "Merged": "fer_fast.merge",
    "Summary": "fer_fast.pipeline.summary",
    "TrackedFace": "fer_fast.films.classify",
    "Watch": "fer_fast.live.watch",
    "__version__": "fer_fast.version",
    "classify_folder": "fer_fast.pipeline.run",
    "classify_rows": "fer_fast.pipeline.run",
    "classify_video": "fer_fast.films.classify",
    "draw_film": "fer_fast.films.drawing",
    "load_model": "fer_fast.models.loading",
    "merge_tables": "fer_fast.merge",
    "watch": "fer_fast.live.watch",
}


def __getattr__(name: str) -> Any:
    if name not in (*__all__, "types", "version"):
        raise AttributeError(f"module 'fer_fast' has no attribute {name!r}")
    import importlib

    if name not in __all__:
        return importlib.import_module(f"fer_fast.{name}")
    return getattr(importlib.import_module(_HOMES.get(name, "fer_fast.types")), name)


def __dir__() -> list[str]:
    return __all__
