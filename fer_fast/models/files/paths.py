"""A packaged model's name or a path comes in, the file that is meant goes out."""

from __future__ import annotations

import os
from pathlib import Path

from fer_fast.machine.disk import why_absent
from fer_fast.models.files.onnx_file import has_description
from fer_fast.types import CheckpointError

WEIGHTS = Path(__file__).parents[1] / "weights"
#: Of models that are there to be compared with: "Study models" in docs/models.md.
STUDY = WEIGHTS / "study"
FINDERS = Path(__file__).parents[1] / "finders"


def packaged_models() -> list[str]:
    """Names of the checkpoints inside the package, the study's among them."""
    return sorted(path.stem for folder in (WEIGHTS, STUDY) for path in folder.glob("*.safetensors"))


def study_models() -> list[str]:
    """Names of those that are there to be compared with."""
    return sorted(path.stem for path in STUDY.glob("*.safetensors"))


def packaged_finders() -> list[str]:
    """Names of the face finders inside the package."""
    return sorted(path.stem for path in FINDERS.glob("*.safetensors"))


def checkpoint_path(model: str | Path) -> Path:
    """The file of a packaged model's name or of a checkpoint's path.

    Raises:
        CheckpointError: if it is neither; the message names the packaged models.
        TypeError: it is no name and no path.
    """
    return without_exports("model", _path("model", model, "a .safetensors file", WEIGHTS, STUDY))


def model_path(model: str | Path) -> Path:
    """The file of a packaged model's name, or of the path of a checkpoint or of an export.

    Raises:
        CheckpointError, TypeError: as `checkpoint_path`.
    """
    return _path("model", model, "a .safetensors file, an export", WEIGHTS, STUDY)


def finder_path(finder: str | Path) -> Path:
    """The file of a packaged finder's name or of a path, a checkpoint's, YuNet's or an export's.

    Raises:
        CheckpointError: if it is neither; the message names the packaged finders.
        TypeError: it is no name and no path.
    """
    return _path("finder", finder, "a file", FINDERS)


def is_export(path: Path) -> bool:
    """Whether `fer-fast export` wrote a file, by its suffix; an ONNX file may be YuNet's, and is looked into."""
    suffix = path.suffix.lower()
    return suffix in (".xml", ".engine", ".pt2") or (suffix == ".onnx" and has_description(path))


def any_path(model: str | Path) -> Path:
    """The file of a packaged model's or finder's name, or of a path.

    Raises:
        CheckpointError, TypeError: as `checkpoint_path`.
    """
    return _path("model", model, "a .safetensors or .onnx file", WEIGHTS, STUDY, FINDERS)


def without_exports(what: str, path: Path) -> Path:
    """The same path.

    Raises:
        CheckpointError: it is an export's.
    """
    if is_export(path):
        raise CheckpointError(
            f"{what} {str(path)!r} is an export, which can be run alone: give the checkpoint that it was exported from"
        )
    return path


def _path(what: str, model: str | Path, rule: str, *folders: Path) -> Path:
    if not isinstance(model, (str, os.PathLike)):
        raise TypeError(f"{what} must be a name or a path, not {model!r}")
    packaged = {path.stem: path for folder in folders for path in folder.glob("*.safetensors")}
    if found := packaged.get(str(model)):
        return found
    if not os.path.isfile(model):  # noqa: PTH113 (Path.is_file raises on a name that is too long or not allowed)
        known = ", ".join(sorted(packaged)) or "none"
        why = why_absent(str(model))
        there = f"{str(model)!r} {why}" if why.startswith("cannot") else f"there is no file {str(model)!r}"
        raise CheckpointError(f"{what} must be {rule} or one of: {known}; {there}")
    return Path(model)
