"""An ONNX file's bytes come in, its nodes and constants go out; nothing is run.

Read by hand, as far as a chain of convolutions needs it: the libraries that read all of ONNX end the process on some
damaged files. The numbers are those of the fields in onnx.proto3.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path

import numpy as np
import numpy.typing as npt

Constant = npt.NDArray[np.float32]

#: What this package calls the description of a model that it exports, in the file's metadata.
DESCRIPTION = "fer_fast"
#: Of a file: protobuf has no larger messages.
MOST_BYTES = (2 << 30) - 1

#: TensorProto.DataType to numpy's types; constants of others are left out.
_FLOATS = {1: "<f4", 10: "<f2"}
#: Beyond what a chain of convolutions has: a damaged file shall cost neither minutes nor gigabytes.
_MOST_FIELDS, _MOST_DIMENSIONS, _MOST_LETTERS = 10_000, 8, 1000


@dataclass(frozen=True)
class Node:
    """A step of the graph: what it does, and the names of its inputs and outputs."""

    kind: str
    inputs: list[str]
    outputs: list[str]


@dataclass(frozen=True)
class OnnxGraph:
    """A graph.

    Attributes:
        nodes: in the file's order.
        constants: arrays of floats by name, as float32.
    """

    nodes: list[Node] = field(default_factory=list)
    constants: dict[str, Constant] = field(default_factory=dict)


def parse_onnx(content: bytes) -> OnnxGraph:
    """Reads a graph.

    Raises:
        ValueError: the bytes are no ONNX file.
    """
    graph = OnnxGraph()
    for number, value in _fields(memoryview(content)):
        if number == 7:  # ModelProto.graph
            _add_graph(graph, _message(value))
    if not graph.nodes:
        raise ValueError("it holds no graph")
    return graph


def metadata_field(key: str, value: bytes) -> bytes:
    """An entry of a model's metadata as its file has it: appended to an ONNX file's bytes it is part of the model."""
    entry = _field(1, key.encode()) + _field(2, value)  # StringStringEntryProto.key and .value
    return _field(14, entry)  # ModelProto.metadata_props


def metadata_of(content: bytes, key: str) -> bytes | None:
    """The last value that an ONNX file has of a key in its metadata; None if it has none.

    Raises:
        ValueError: the bytes are no ONNX file.
    """
    found = None
    for number, entry in _fields(memoryview(content)):
        if number == 14:
            fields = islice(_fields(_message(entry)), 2)  # a key and a value: there is no more to an entry
            said = {place: bytes(_message(value)) for place, value in fields}
            found = said.get(2, b"") if said.get(1) == key.encode() else found
    return found


def has_description(path: Path) -> bool:
    """Whether a file is ONNX with a description of this package's; False where it cannot be read."""
    try:
        if path.stat().st_size > MOST_BYTES:
            return False
        return metadata_of(path.read_bytes(), DESCRIPTION) is not None
    except (OSError, ValueError):
        return False


def _add_graph(graph: OnnxGraph, data: memoryview) -> None:
    for number, value in _fields(data):
        if number == 1:  # node
            node = _node(_message(value), graph.constants)
            graph.nodes.append(node)
        elif number == 5:  # initializer
            name, array = _tensor(_message(value))
            if array is not None:
                graph.constants[name] = array


def _node(data: memoryview, constants: dict[str, Constant]) -> Node:
    """The node; the value of one that is a constant is added to the others."""
    inputs: list[str] = []
    outputs: list[str] = []
    kind, array = "", None
    for number, value in _fields(data):
        if number in (1, 2):
            (inputs, outputs)[number - 1].append(_text(value))
        elif number == 4:
            kind = _text(value)
        elif number == 5:  # attribute, and in it t
            for inner, tensor in _fields(_message(value)):
                if inner == 5:
                    _, array = _tensor(_message(tensor))
    if kind == "Constant" and array is not None and outputs:
        constants[outputs[0]] = array
    return Node(kind, inputs, outputs)


def _tensor(data: memoryview) -> tuple[str, Constant | None]:
    name, kind = "", 0
    shape: list[int] = []
    raw: memoryview = memoryview(b"")
    for number, value in _fields(data):
        if number == 1:  # dims, alone or packed
            shape += [value] if isinstance(value, int) else _packed(value)
        elif number == 2:
            kind = value if isinstance(value, int) else 0
        elif number == 8:
            name = _text(value)
        elif number in (4, 9):  # float_data and raw_data
            raw = _message(value)
    if kind not in _FLOATS:
        return name, None
    if len(shape) > _MOST_DIMENSIONS:
        raise ValueError(f"tensor {name!r} has {len(shape)} dimensions, more than {_MOST_DIMENSIONS}")
    dtype = np.dtype(_FLOATS[kind])
    if math.prod(shape) * dtype.itemsize != len(raw):
        raise ValueError(f"tensor {name!r} has {len(raw)} bytes for the shape {shape}")
    return name, np.frombuffer(raw, dtype).reshape(shape).astype(np.float32)


def _fields(data: memoryview) -> Iterator[tuple[int, int | memoryview]]:
    """The fields of a message of protobuf: numbers, and what is longer as its bytes."""
    at = count = 0
    while at < len(data):
        if (count := count + 1) > _MOST_FIELDS:
            raise ValueError(f"it has a message of more than {_MOST_FIELDS:,} fields")
        key, at = _varint(data, at)
        if key & 7 == 0:
            value, at = _varint(data, at)
            yield key >> 3, value
            continue
        if key & 7 == 2:
            length, at = _varint(data, at)
        elif key & 7 in (1, 5):
            length = 8 if key & 7 == 1 else 4
        else:
            raise ValueError(f"there is no message at byte {at}")
        if at + length > len(data):
            raise ValueError("it is cut short")
        yield key >> 3, data[at : at + length]
        at += length


def _field(number: int, content: bytes) -> bytes:
    """A field that holds bytes."""
    return _varint_of(number << 3 | 2) + _varint_of(len(content)) + content


def _varint_of(number: int) -> bytes:
    seven = [number >> place & 0x7F for place in range(0, max(number.bit_length(), 1), 7)]
    return bytes([*(bits | 0x80 for bits in seven[:-1]), seven[-1]])


def _packed(data: memoryview) -> list[int]:
    numbers, at = [], 0
    while at < len(data):
        number, at = _varint(data, at)
        numbers.append(number)
    return numbers


def _varint(data: memoryview, at: int) -> tuple[int, int]:
    """A number of seven bits a byte, the lowest first, and where it ends."""
    number = 0
    for place in range(10):
        if at == len(data):
            raise ValueError("it is cut short")
        number |= (data[at] & 0x7F) << (7 * place)
        at += 1
        if data[at - 1] < 0x80:
            return number, at
    raise ValueError(f"there is no number at byte {at}")


def _message(value: int | memoryview) -> memoryview:
    if isinstance(value, int):
        raise ValueError(f"there is the number {value} where a message is expected")
    return value


def _text(value: int | memoryview) -> str:
    letters = bytes(_message(value))
    if len(letters) > _MOST_LETTERS:
        raise ValueError(f"it has a name of {len(letters):,} bytes")
    try:
        return letters.decode()
    except UnicodeDecodeError as error:
        raise ValueError("it has a name that is no text") from error
