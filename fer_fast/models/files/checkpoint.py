"""A model on disk: one .safetensors file whose metadata is the whole configuration; read without torch or pickle."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any, TypeAlias

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from fer_fast.machine.begun import begun
from fer_fast.machine.disk import write_whole
from fer_fast.models.config import ClassifierConfig
from fer_fast.models.files.paths import (
    any_path,
    checkpoint_path,
    finder_path,
    packaged_models,
    without_exports,
)
from fer_fast.models.finder.config import FinderConfig
from fer_fast.models.finder.yunet import read_yunet
from fer_fast.models.registry import config_of
from fer_fast.types import CheckpointError, OutputError

FORMAT = "fer_fast 1"
#: What safetensors calls numpy's numbers; it has others, bf16 and floats of 8 bits.
_DTYPES = {
    **{f"F{8 * size}": np.dtype(f"<f{size}") for size in (2, 4, 8)},
    **{f"I{8 * size}": np.dtype(f"<i{size}") for size in (1, 2, 4, 8)},
    **{f"U{8 * size}": np.dtype(f"<u{size}") for size in (1, 2, 4, 8)},
    "BOOL": np.dtype(np.bool_),
}

_Read: TypeAlias = Callable[[], dict[str, np.ndarray]]
_WeightsOf: TypeAlias = Callable[[_Read], Mapping[str, np.ndarray]]


@dataclass(frozen=True)
class Checkpoint:
    """What a file holds.

    Attributes:
        config: the model's configuration.
        tensors: the weights by name, in the dtype of the file; of `begin_checkpoint` they are `Weights`.
        digest: hexadecimal digest of configuration and weights: what makes two models the same.
        target: the mix of classes that an export's probabilities are to presume; empty for `config.prior`. No file
            has it: see `aimed`.
    """

    config: ClassifierConfig
    tensors: Mapping[str, np.ndarray]
    digest: str
    target: tuple[float, ...] = ()

    def aimed(self, target: tuple[float, ...]) -> Checkpoint:
        """The same for export with another mix: a model of its own, which answers otherwise and has another digest."""
        digest = hashlib.blake2b(f"{self.digest} {target}".encode(), digest_size=16).hexdigest()
        return replace(self, digest=digest, target=target)


@dataclass(frozen=True)
class FinderCheckpoint:
    """What a finder's file holds; the attributes are those of `Checkpoint`."""

    config: FinderConfig
    tensors: Mapping[str, np.ndarray]
    digest: str


class Weights(Mapping[str, np.ndarray]):
    """Weights by name that are read and compared with their digest meanwhile; a look at them waits until they are.

    An engine whose compiled model is on disk opens without them. It must not stay open if they are damaged, but need
    not wait for 30 MB before it begins.

    Args:
        read: reads and checks them, on a thread of its own.
    """

    def __init__(self, read: _Read) -> None:
        self._reading = begun(read, "fer-fast-read-weights")

    def __getitem__(self, name: str) -> np.ndarray:
        return self.read()[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self.read())

    def __len__(self) -> int:
        return len(self.read())

    def read(self) -> dict[str, np.ndarray]:
        """All of them.

        Raises:
            CheckpointError: they are damaged or cannot be read.
        """
        return self._reading.result()


def write_checkpoint(
    path: Path,
    config: ClassifierConfig | FinderConfig,
    tensors: Mapping[str, np.ndarray],
    weights: str = "",
    parts: Mapping[str, str] = MappingProxyType({}),
) -> None:
    """Writes one file, whole or not at all.

    Args:
        path: the file.
        config: the model's configuration.
        tensors: the weights by name.
        weights: the packaged model that has the same weights, which are then not stored twice; empty stores them.
        parts: the same of parts: what the names of some weights begin with, before a dot, to the packaged model.

    Raises:
        OutputError: if it cannot be written; a file that was there before is left as it was.
    """
    # safetensors writes an array's memory as it lies, so a channels_last convolution would come back scrambled.
    tensors = {name: np.ascontiguousarray(array) for name, array in tensors.items()}
    text = json.dumps(config.as_dict())
    metadata = {"format": FORMAT, "config": text, "digest": digest_of(text, tensors)}
    if weights:
        metadata["weights"], tensors = weights, {}
    if parts:
        metadata["parts"] = json.dumps(dict(parts))
        begins = tuple(f"{name}." for name in parts)
        tensors = {name: array for name, array in tensors.items() if not name.startswith(begins)}
    try:
        write_whole(path, save(tensors, metadata))
    except OSError as error:
        raise OutputError(f"the output {str(path)!r} cannot be written: {error.strerror or error}") from error


def read_checkpoint(model: str | Path) -> Checkpoint:
    """Reads a checkpoint.

    Args:
        model: the name of a packaged model, or the path of a .safetensors file.

    Raises:
        CheckpointError: if the file is missing, is not a checkpoint of this package, or is damaged.
    """
    return _classifier(checkpoint_path(model), _at_once)


def begin_checkpoint(model: str | Path) -> Checkpoint:
    """Reads a checkpoint's configuration at once, and its weights meanwhile: `check_weights` tells what came of them.

    Args:
        model: as for `read_checkpoint`.

    Raises:
        CheckpointError: as `read_checkpoint`, but for what is wrong with the weights.
    """
    return _classifier(checkpoint_path(model), Weights)


def check_weights(checkpoint: Checkpoint | FinderCheckpoint) -> None:
    """Waits until the weights are read.

    Raises:
        CheckpointError: they are damaged or cannot be read.
    """
    if isinstance(checkpoint.tensors, Weights):
        checkpoint.tensors.read()


def read_finder(finder: str | Path) -> FinderCheckpoint:
    """Reads a finder's checkpoint.

    Args:
        finder: the name of a packaged finder, or the path of a .safetensors file or of YuNet's .onnx.

    Raises:
        CheckpointError: as `read_checkpoint`.
    """
    path = without_exports("finder", finder_path(finder))
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
    return _read(without_exports("model", any_path(model)))


def _classifier(path: Path, weights_of: _WeightsOf) -> Checkpoint:
    found = _read(path, weights_of)
    if not isinstance(found, Checkpoint):
        raise CheckpointError(f"checkpoint {str(path)!r} is a face finder, not a classifier of expressions")
    return found


def _at_once(read: _Read) -> dict[str, np.ndarray]:
    return read()


def _read(path: Path, weights_of: _WeightsOf = _at_once) -> Checkpoint | FinderCheckpoint:
    """Reads a configuration; `weights_of` is given what reads and checks the weights."""
    if path.suffix.lower() == ".onnx":
        weights, origin = read_yunet(path)
        yunet = FinderConfig(origin)
        return FinderCheckpoint(yunet, weights, digest_of(json.dumps(yunet.as_dict()), weights))
    metadata = _metadata(path)
    config = _config(metadata, path)
    places = _places(metadata, path)
    tensors = weights_of(lambda: _checked_weights(places, path, metadata))
    if isinstance(config, FinderConfig):
        return FinderCheckpoint(config, tensors, metadata["digest"])
    return Checkpoint(config, tensors, metadata["digest"])


def _metadata(path: Path) -> dict[str, str]:
    try:
        path.open("rb").close()  # safetensors calls whatever cannot be opened missing
        with safe_open(path, framework="numpy") as file:
            return file.metadata() or {}
    except (OSError, SafetensorError, TypeError) as error:
        raise _unreadable(path, error) from error


def _checked_weights(places: Mapping[str, Path], path: Path, metadata: dict[str, str]) -> dict[str, np.ndarray]:
    """The weights of a checkpoint, which lie in its file or in those of packaged models: file by beginning of names."""
    tensors: dict[str, np.ndarray] = {}
    try:
        for begin, file in places.items():
            with safe_open(file, framework="numpy"):  # checks the header
                tensors |= {f"{begin}{name}": tensor for name, tensor in _tensors(file.read_bytes()).items()}
    except (OSError, SafetensorError, TypeError, ValueError, LookupError) as error:
        raise _unreadable(path, error) from error
    # safetensors checks the header alone and does not notice a flipped bit in the weights.
    if digest_of(metadata["config"], tensors) != metadata["digest"]:
        others = sorted({file.stem for file in places.values() if file != path})
        why = f", or was made with other weights of {' and '.join(others)} than this package has" if others else ""
        raise CheckpointError(f"checkpoint {str(path)!r} is damaged{why}: its weights do not match their digest")
    return tensors


def _tensors(content: bytes) -> dict[str, np.ndarray]:
    """The arrays that lie in a file of safetensors: that package would copy each, and let no other thread work.

    Raises:
        ValueError, TypeError, LookupError: an array is of numbers that numpy does not have, or the header is wrong.
    """
    start = 8 + int.from_bytes(content[:8], "little")
    data = np.frombuffer(content, np.uint8, offset=start)
    tensors = {}
    for name, about in json.loads(content[8:start]).items():
        if name == "__metadata__":
            continue
        if about["dtype"] not in _DTYPES:
            raise ValueError(f"{name!r} is {about['dtype']}")
        first, last = about["data_offsets"]
        tensors[name] = data[first:last].view(_DTYPES[about["dtype"]]).reshape(about["shape"])
    return tensors


def _unreadable(path: Path, error: Exception) -> CheckpointError:
    return CheckpointError(f"checkpoint {str(path)!r} cannot be read: {error}")


def _places(metadata: dict[str, str], path: Path) -> dict[str, Path]:
    """The files that hold a checkpoint's weights, by what the names of these begin with."""
    whole = metadata.get("weights")
    places = {"": path} if whole is None else _packaged_places(whole, path)
    if text := metadata.get("parts"):
        try:
            parts = dict(json.loads(text))
        except (ValueError, TypeError, RecursionError) as error:
            raise CheckpointError(f"checkpoint {str(path)!r} is damaged: its metadata has wrong parts") from error
        for name, model in parts.items():
            places |= {f"{name}.{begin}": file for begin, file in _packaged_places(model, path).items()}
    return places


def _packaged_places(name: Any, path: Path) -> dict[str, Path]:
    """The files that hold the weights of a packaged model, some of which may be another model's."""
    if name not in packaged_models():
        raise CheckpointError(f"checkpoint {str(path)!r} has the weights of the packaged model {name!r}: there is none")
    packaged = checkpoint_path(name)
    return _places(_metadata(packaged), packaged)


def _config(metadata: dict[str, str], path: Path) -> ClassifierConfig | FinderConfig:
    if metadata.get("format") != FORMAT:
        found = metadata.get("format", "none")
        raise CheckpointError(f"checkpoint {str(path)!r} must have the format {FORMAT!r}, not {found!r}")
    if missing := {"config", "digest"} - set(metadata):
        raise CheckpointError(f"checkpoint {str(path)!r} is damaged: its metadata lacks {min(missing)!r}")
    try:
        config: ClassifierConfig | FinderConfig = config_of(json.loads(metadata["config"]))
        return config
    except (ValueError, TypeError, RecursionError) as error:
        raise CheckpointError(f"checkpoint {str(path)!r} has a wrong configuration: {error}") from error


def digest_of(config: str, tensors: Mapping[str, np.ndarray]) -> str:
    """Hexadecimal digest of a configuration and weights."""
    # Of the configuration's text, not its values: a field that a later version adds must not damage old files.
    digest = hashlib.blake2b(config.encode(), digest_size=16)
    for name in sorted(tensors):
        tensor = tensors[name]
        digest.update(f"{name} {tensor.dtype} {list(tensor.shape)};".encode())
        digest.update(np.ascontiguousarray(tensor).data)
    return digest.hexdigest()
