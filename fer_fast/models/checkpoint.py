"""A model on disk: one .safetensors file whose metadata is the whole configuration; read without torch or pickle."""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from fer_fast.machine.disk import write_whole
from fer_fast.models.config import ModelConfig
from fer_fast.models.finder_config import FinderConfig
from fer_fast.models.yunet import read_yunet
from fer_fast.types import CheckpointError

FORMAT = "fer_fast 1"
WEIGHTS = Path(__file__).parent / "weights"
FINDERS = Path(__file__).parent / "finders"


@dataclass(frozen=True)
class Checkpoint:
    """What a file holds.

    Attributes:
        config: the model's configuration.
        tensors: the weights by name, in the dtype of the file.
        digest: hexadecimal digest of configuration and weights: what makes two models the same.
    """

    config: ModelConfig
    tensors: dict[str, np.ndarray]
    digest: str


@dataclass(frozen=True)
class FinderCheckpoint:
    """What a finder's file holds; the attributes are those of `Checkpoint`."""

    config: FinderConfig
    tensors: dict[str, np.ndarray]
    digest: str


def packaged_models() -> list[str]:
    """Names of the checkpoints inside the package."""
    return sorted(path.stem for path in WEIGHTS.glob("*.safetensors"))


def packaged_finders() -> list[str]:
    """Names of the face finders inside the package."""
    return sorted(path.stem for path in FINDERS.glob("*.safetensors"))


def checkpoint_path(model: str | Path) -> Path:
    """The file of a packaged model's name or of a path.

    Raises:
        CheckpointError: if it is neither; the message names the packaged models.
        TypeError: it is no name and no path.
    """
    return _path("model", model, "a .safetensors file", WEIGHTS)


def finder_path(finder: str | Path) -> Path:
    """The file of a packaged finder's name or of a path.

    Raises:
        CheckpointError: if it is neither; the message names the packaged finders.
        TypeError: it is no name and no path.
    """
    return _path("finder", finder, "a file", FINDERS)


def _path(what: str, model: str | Path, rule: str, *folders: Path) -> Path:
    if not isinstance(model, (str, os.PathLike)):
        raise TypeError(f"{what} must be a name or a path, not {model!r}")
    packaged = {path.stem: path for folder in folders for path in folder.glob("*.safetensors")}
    if found := packaged.get(str(model)):
        return found
    if not os.path.isfile(model):  # noqa: PTH113 (Path.is_file raises on a name that is too long or not allowed)
        known = ", ".join(sorted(packaged)) or "none"
        raise CheckpointError(f"{what} must be {rule} or one of: {known}; there is no file {str(model)!r}")
    return Path(model)


def write_checkpoint(
    path: Path, config: ModelConfig | FinderConfig, tensors: dict[str, np.ndarray], weights: str = ""
) -> None:
    """Writes one file, whole or not at all.

    Args:
        path: the file.
        config: the model's configuration.
        tensors: the weights by name.
        weights: the packaged model that has the same weights, which are then not stored twice; empty stores them.

    Raises:
        OSError: if it cannot be written; a file that was there before is left as it was.
    """
    # safetensors writes an array's memory as it lies, so a channels_last convolution would come back scrambled.
    tensors = {name: np.ascontiguousarray(array) for name, array in tensors.items()}
    text = json.dumps(config.as_dict())
    metadata = {"format": FORMAT, "config": text, "digest": digest_of(text, tensors)}
    if weights:
        metadata["weights"], tensors = weights, {}
    write_whole(path, save(tensors, metadata))


def read_checkpoint(model: str | Path) -> Checkpoint:
    """Reads a checkpoint.

    Args:
        model: the name of a packaged model, or the path of a .safetensors file.

    Raises:
        CheckpointError: if the file is missing, is not a checkpoint of this package, or is damaged.
    """
    path = checkpoint_path(model)
    found = _read(path)
    if not isinstance(found, Checkpoint):
        raise CheckpointError(f"checkpoint {str(path)!r} is a face finder, not a classifier of expressions")
    return found


def read_finder(finder: str | Path) -> FinderCheckpoint:
    """Reads a finder's checkpoint.

    Args:
        finder: the name of a packaged finder, or the path of a .safetensors file or of YuNet's .onnx.

    Raises:
        CheckpointError: as `read_checkpoint`.
    """
    path = finder_path(finder)
    found = _read(path)
    if not isinstance(found, FinderCheckpoint):
        raise CheckpointError(f"checkpoint {str(path)!r} is a classifier of expressions, not a face finder")
    return found


def read_either(model: str | Path) -> Checkpoint | FinderCheckpoint:
    """Reads a checkpoint of either kind.

    Args:
        model: the name of a packaged model or finder, or the path of a .safetensors file or of YuNet's .onnx.

    Raises:
        CheckpointError: as `read_checkpoint`.
    """
    return _read(_path("model", model, "a .safetensors or .onnx file", WEIGHTS, FINDERS))


def _read(path: Path) -> Checkpoint | FinderCheckpoint:
    if path.suffix.lower() == ".onnx":
        weights, origin = read_yunet(path)
        yunet = FinderConfig(origin)
        return FinderCheckpoint(yunet, weights, digest_of(json.dumps(yunet.as_dict()), weights))
    try:
        with safe_open(path, framework="numpy") as file:
            metadata = file.metadata() or {}
            config = _config(metadata, path)
        # Another calibration of a packaged model has its weights; the digest is of what is read, wherever it lies.
        with safe_open(_weights_path(metadata, path), framework="numpy") as file:
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (not a dict)
    except (OSError, SafetensorError, TypeError) as error:
        raise CheckpointError(f"checkpoint {str(path)!r} cannot be read: {error}") from error
    for name, tensor in tensors.items():
        if tensor.dtype.isbuiltin != 1:  # bf16 and 8-bit floats, once a package has taught numpy what they are
            raise CheckpointError(f"checkpoint {str(path)!r} cannot be read: {name!r} is {tensor.dtype}")
    # safetensors checks the header alone and does not notice a flipped bit in the weights.
    if digest_of(metadata["config"], tensors) != metadata["digest"]:
        raise CheckpointError(f"checkpoint {str(path)!r} is damaged: its weights do not match their digest")
    if isinstance(config, FinderConfig):
        return FinderCheckpoint(config, tensors, metadata["digest"])
    return Checkpoint(config, tensors, metadata["digest"])


def _weights_path(metadata: dict[str, str], path: Path) -> Path:
    name = metadata.get("weights")
    if name is None:
        return path
    if name not in packaged_models():
        raise CheckpointError(f"checkpoint {str(path)!r} has the weights of the packaged model {name!r}: there is none")
    return WEIGHTS / f"{name}.safetensors"


def _config(metadata: dict[str, str], path: Path) -> ModelConfig | FinderConfig:
    if metadata.get("format") != FORMAT:
        found = metadata.get("format", "none")
        raise CheckpointError(f"checkpoint {str(path)!r} must have the format {FORMAT!r}, not {found!r}")
    if missing := {"config", "digest"} - set(metadata):
        raise CheckpointError(f"checkpoint {str(path)!r} is damaged: its metadata lacks {min(missing)!r}")
    try:
        values = json.loads(metadata["config"])
        # Classifiers do not say their architecture.
        if isinstance(values, dict) and values.get("architecture") == FinderConfig.architecture:
            return FinderConfig.from_dict({name: value for name, value in values.items() if name != "architecture"})
        return ModelConfig.from_dict(values)
    except (ValueError, TypeError, RecursionError) as error:
        raise CheckpointError(f"checkpoint {str(path)!r} has a wrong configuration: {error}") from error


def digest_of(config: str, tensors: dict[str, np.ndarray]) -> str:
    """Hexadecimal digest of a configuration and weights."""
    # Of the configuration's text, not its values: a field that a later version adds must not damage old files.
    digest = hashlib.blake2b(config.encode(), digest_size=16)
    for name in sorted(tensors):
        tensor = tensors[name]
        digest.update(f"{name} {tensor.dtype} {list(tensor.shape)};".encode())
        digest.update(np.ascontiguousarray(tensor).data)
    return digest.hexdigest()
