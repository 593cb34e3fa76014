"""dlib's own file of its face recognition network comes in, tensors by the names of `FaceResNet` go out.

The file is what dlib's `serialize` writes: an integer is the count of its bytes, then these, lowest first; a text
follows its length, the numbers of a tensor (float32, little-endian) follow 2, for the version, and four sizes. Layers
stand from input to output, each behind its name: a convolution has filters [out, in, height, width], then a bias in one
tensor; an affine layer gamma, then beta. Nothing else is read: the layers' settings are the architecture's own, and the
last layer, which makes 128 numbers of a face, is no part of a classifier.
"""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np

from fer_fast.models.face_resnet.config import FaceResNetConfig
from fer_fast.models.face_resnet.layers import face_resnet_shapes
from fer_fast.models.layers import Array
from fer_fast.models.tensors import EPSILON

_CONVOLUTION, _AFFINE = b"\1\5con_4", b"\1\7affine_"
_LAYER = re.compile(rb"\x01\x05con_4|\x01\x07affine_")


def read_dlib(path: Path, config: FaceResNetConfig) -> dict[str, Array]:
    """The weights in `dlib_face_recognition_resnet_model_v1.dat`.

    Args:
        path: the file.
        config: a model's; its size, colour and widths are those of the file, or the file is refused.

    Returns:
        All but the head, float32. An affine layer is a batch norm that leaves the scale as it is, and whose mean is
        the convolution's bias, negated.

    Raises:
        ValueError: the file cannot be read, is damaged, or is not of this network in these widths.
    """
    try:
        layers = _Layers(path, path.read_bytes())
    except OSError as error:
        raise ValueError(f"start {str(path)!r} cannot be read: {error}") from error
    tensors: dict[str, Array] = {}
    for name, shape in face_resnet_shapes(config):
        if len(shape) != 4:  # a convolution's weight; its norm is read with it
            continue
        norm, channels = name.replace("conv", "norm").removesuffix(".weight"), shape[0]
        filters, bias = layers.next(_CONVOLUTION, int(np.prod(shape)), channels)
        tensors[name] = filters.reshape(shape)
        tensors[f"{norm}.weight"], tensors[f"{norm}.bias"] = layers.next(_AFFINE, channels, channels)
        tensors[f"{norm}.running_mean"] = -bias
        tensors[f"{norm}.running_var"] = np.full(channels, 1 - EPSILON, np.float32)
    layers.end()
    return tensors


class _Layers:
    """The layers of a file, one after the other.

    Args:
        path: the file, for what is said of it.
        data: its content.
    """

    def __init__(self, path: Path, data: bytes) -> None:
        self._path, self._data, self._place, self._count = path, data, 0, 0

    def next(self, name: bytes, first: int, second: int) -> tuple[Array, Array]:
        """The numbers of the next layer, which must be of this name, in two parts of these lengths."""
        self._count += 1
        count = first + second
        header = name + b"\1\2" + _integer(count) + 3 * _integer(1)
        found = _LAYER.search(self._data, self._place)
        if found is None or not self._data.startswith(header, found.start()):
            raise self._refused(f"layer {self._count} must be {name[2:].decode()} of {count} numbers")
        begin = found.start() + len(header)
        self._place = begin + 4 * count
        if self._place > len(self._data):
            raise self._refused(f"it ends in the middle of layer {self._count}")
        numbers = np.frombuffer(self._data, "<f4", count, begin).astype(np.float32)
        if not np.isfinite(numbers).all():
            raise self._refused(f"layer {self._count} has a number that is not finite")
        return numbers[:first], numbers[first:]

    def end(self) -> None:
        """No layer must be left."""
        if _LAYER.search(self._data, self._place):
            raise self._refused(f"there must be {self._count} layers, not more")

    def _refused(self, reason: str) -> ValueError:
        return ValueError(
            f"start {str(self._path)!r} must be dlib's face recognition network, whole, in the model's widths: {reason}"
        )


def _integer(value: int) -> bytes:
    """A positive integer as dlib writes it."""
    digits = value.to_bytes((value.bit_length() + 7) // 8, "little")
    return bytes([len(digits)]) + digits
