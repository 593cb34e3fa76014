"""A name or a path comes in, what an engine runs goes out: a checkpoint, or what `fer-fast export` made of one."""

from __future__ import annotations

from pathlib import Path

from fer_fast.models.config import ClassifierConfig
from fer_fast.models.files.checkpoint import Checkpoint, FinderCheckpoint, begin_checkpoint, check_weights, read_finder
from fer_fast.models.files.description import Description
from fer_fast.models.files.exported import ExportedModel, read_export
from fer_fast.models.files.paths import finder_path, is_export, model_path


def read_classifier(model: str | Path) -> Checkpoint | ExportedModel:
    """Reads a classifier, all of it.

    Args:
        model: as for `begin_classifier`.

    Raises:
        CheckpointError, TypeError: as `begin_classifier`, and what is wrong with the weights.
    """
    found = begin_classifier(model)
    if isinstance(found, Checkpoint):
        check_weights(found)
    return found


def begin_classifier(model: str | Path) -> Checkpoint | ExportedModel:
    """Reads a classifier; of a checkpoint the weights are read meanwhile, see `begin_checkpoint`.

    Args:
        model: the name of a packaged model, or the path of a .safetensors file or of an exported model.

    Raises:
        CheckpointError: the file is missing, damaged or no classifier, or Python does not run such an export.
        TypeError: it is no name and no path.
    """
    path = model_path(model)
    # Of ONNX there are no classifiers but those that are exported.
    exported = path.suffix.lower() == ".onnx" or is_export(path)
    return read_export(path, "classifier") if exported else begin_checkpoint(model)


def about_classifier(model: Checkpoint | ExportedModel) -> ClassifierConfig | Description:
    """What has a classifier's classes, image_size and framing."""
    return model.description if isinstance(model, ExportedModel) else model.config


def read_any_finder(finder: str | Path) -> FinderCheckpoint | ExportedModel:
    """Reads a face finder.

    Args:
        finder: the name of a packaged finder, or the path of a .safetensors file, of YuNet's .onnx or of an exported
            finder.

    Raises:
        CheckpointError, TypeError: as `read_classifier`.
    """
    path = finder_path(finder)
    return read_export(path, "finder") if is_export(path) else read_finder(finder)
