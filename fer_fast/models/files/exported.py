"""A file that `fer-fast export` wrote comes in, its description and its checked bytes go out; nothing is run."""

from __future__ import annotations

import hashlib
import stat
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import NoReturn

from fer_fast.models.architecture import Sides
from fer_fast.models.files.description import Description, foreign, graph_with_seal, sealed_description, sum_of
from fer_fast.models.files.onnx_file import DESCRIPTION, MOST_BYTES, metadata_field, metadata_of
from fer_fast.models.finder.config import COLUMNS, cell_count
from fer_fast.types import CheckpointError

#: Bytes that a description or a graph without its weights may have.
_MOST_TEXT = 256 << 20


@dataclass(frozen=True)
class ExportedModel:
    """A model as another program runs it, calibrated; whole, and as it was exported.

    Attributes:
        path: the file that was named.
        description: what it says of itself.
        graph: the file's bytes.
        weights: of OpenVINO's graph, which lie beside it; else empty.
    """

    path: Path
    description: Description
    graph: bytes
    weights: bytes = b""

    @property
    def format(self) -> str:
        """Its file's suffix without the dot: xml, onnx or engine."""
        return self.path.suffix[1:].lower()

    @property
    def digest(self) -> str:
        """The checkpoint's, and the format: for telling runs apart."""
        return f"{self.description.model}.{self.format}"

    @cached_property
    def content(self) -> str:
        """Hexadecimal digest of the files: what makes two compiled models the same."""
        digest = hashlib.blake2b(self.graph, digest_size=16)
        digest.update(self.weights)
        return digest.hexdigest()

    @property
    def sides(self) -> Sides:
        """What images may be."""
        return self.description.sides

    @property
    def output(self) -> str:
        """What the graph's output is called."""
        return "probabilities" if self.description.kind == "classifier" else "cells"

    def output_shape(self, images: tuple[int, ...]) -> tuple[int, ...]:
        """Shape of the output for images of a shape, [batch, height, width, 3]."""
        batch, height, width, _ = images
        if self.description.kind == "classifier":
            return batch, len(self.description.classes)
        return batch, cell_count(height, width), COLUMNS


def read_export(path: Path, kind: str) -> ExportedModel:
    """Reads and compares all of an exported model.

    Args:
        path: an .xml with its .bin beside it, an .onnx, or an .engine with its .engine.txt beside it.
        kind: that is wanted, classifier or finder.

    Raises:
        CheckpointError: a file is missing or damaged, the model is of another kind, or Python does not run such a file.
    """
    return _READERS[path.suffix.lower()](path, kind)


def _read_openvino(path: Path, kind: str) -> ExportedModel:
    graph = _read(path, _MOST_TEXT)
    description, beside = graph_with_seal(graph, str(path))
    _check_kind(description, kind, path)
    file = path.with_suffix(".bin")
    beside.check_size(_size(file), str(path))
    weights = _read(file)
    beside.check(weights, str(path))
    return ExportedModel(path, description, graph, weights)


def _read_onnx(path: Path, kind: str) -> ExportedModel:
    """The description is the last field of the file; its seal holds for all bytes before it, weights and all."""
    graph = _read(path, MOST_BYTES)
    try:
        text = metadata_of(graph, DESCRIPTION)
    except ValueError:
        text = None
    field = metadata_field(DESCRIPTION, text or b"")
    if not text or not graph.endswith(field):
        foreign(str(path), "onnx")
    description = sealed_description(text, str(path))
    sum_of(text, "graph", str(path)).check(memoryview(graph)[: -len(field)], str(path))
    _check_kind(description, kind, path)
    return ExportedModel(path, description, graph)


def _read_tensorrt(path: Path, kind: str) -> ExportedModel:
    size = _size(path)
    text = _read(path.with_name(f"{path.name}.txt"), _MOST_TEXT)
    description = sealed_description(text, str(path))
    _check_kind(description, kind, path)
    beside = sum_of(text, "engine", str(path))
    beside.check_size(size, str(path))
    engine = _read(path)
    beside.check(engine, str(path))
    return ExportedModel(path, description, engine)


def _refuse_libtorch(path: Path, kind: str) -> ExportedModel:
    raise CheckpointError(
        f"the model {str(path)!r} is for libtorch in C++: in Python open the checkpoint that it was exported from"
    )


_READERS: dict[str, Callable[[Path, str], ExportedModel]] = {
    ".xml": _read_openvino,
    ".onnx": _read_onnx,
    ".engine": _read_tensorrt,
    ".pt2": _refuse_libtorch,
}


def _check_kind(description: Description, wanted: str, path: Path) -> None:
    if description.kind != wanted:
        advice = (
            "face finder: open it as a FaceFinder" if wanted == "classifier" else "classifier: open it as a Classifier"
        )
        raise CheckpointError(f"the model {str(path)!r} is a {advice}")


def _size(path: Path) -> int:
    """Of a regular file: a pipe would never end."""
    try:
        about = path.stat()
    except OSError as error:
        _cannot_read(path, error)
    if not stat.S_ISREG(about.st_mode):
        raise CheckpointError(f"the model's file {str(path)!r} cannot be read: it is no regular file")
    return about.st_size


def _read(path: Path, most: int | None = None) -> bytes:
    size = _size(path)
    if most is not None and size > most:
        raise CheckpointError(
            f"the model's file {str(path)!r} cannot be read: it has {size} bytes, and no more than {most} can be"
        )
    try:
        return path.read_bytes()
    except OSError as error:
        _cannot_read(path, error)


def _cannot_read(path: Path, error: OSError) -> NoReturn:
    raise CheckpointError(f"the model's file {str(path)!r} cannot be read: {error.strerror or error}") from error
