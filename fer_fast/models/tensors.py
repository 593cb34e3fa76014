"""The tensors of a checkpoint, by the names of the torch form: which there must be, and those of a layer together."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

import numpy as np

from fer_fast.models.layers import Array
from fer_fast.types import CheckpointError

#: What a batch norm adds to the variance, torch's default.
EPSILON = 1e-5
#: A name, and the shape of the tensor that has it.
Shape = tuple[str, tuple[int, ...]]


class Tensors:
    """A checkpoint's weights in float32.

    Args:
        tensors: by name, in any dtype.
        prefix: what the names of those that are wanted begin with, which is left out.
    """

    def __init__(self, tensors: Mapping[str, np.ndarray], prefix: str = "") -> None:
        self._tensors, self._prefix = tensors, prefix

    def __getitem__(self, name: str) -> Array:
        return self._tensors[f"{self._prefix}{name}"].astype(np.float32)

    def within(self, name: str) -> Tensors:
        """Those of a part of this name."""
        return Tensors(self._tensors, f"{self._prefix}{name}.")

    def layer(self, name: str) -> tuple[Array, Array]:
        """Weight and bias."""
        return self[f"{name}.weight"], self[f"{name}.bias"]

    def folded(self, convolution: str, norm: str, epsilon: float = EPSILON) -> tuple[Array, Array]:
        """Kernel and bias of one convolution that does what a convolution and its batch norm do."""
        mean, variance = (self[f"{norm}.running_{each}"].astype(np.float64) for each in ("mean", "var"))
        weight, bias = self.layer(norm)
        scale = weight / np.sqrt(variance + epsilon)
        return self[f"{convolution}.weight"] * scale.astype(np.float32)[:, None, None, None], bias - mean * scale


def check_tensors(tensors: Mapping[str, np.ndarray], wanted: Iterable[Shape]) -> None:
    """Compares a checkpoint's tensors with what its configuration asks for.

    Args:
        tensors: by name.
        wanted: names and shapes, one at a time: of a configuration of a million layers the first few are asked for.

    Raises:
        CheckpointError: one is missing, is not known, has another shape, or numbers that are not finite
            in float32.
    """
    known = set()
    for name, shape in wanted:
        if name not in tensors:
            raise CheckpointError(f"the checkpoint lacks tensor {name!r} for its configuration")
        if (found := tensors[name].shape) != shape:
            rule = f"must have the shape {list(shape)}, not {list(found)}"
            raise CheckpointError(f"the checkpoint's tensor {name!r} {rule}")
        if not _is_finite(tensors[name]):  # behind a ReLU it may be a number again, and the answer seem one
            raise CheckpointError(f"the checkpoint's tensor {name!r} must have numbers that float32 holds")
        known.add(name)
    if unknown := set(tensors) - known:
        raise CheckpointError(f"the checkpoint has an unknown tensor {min(unknown)!r} for its configuration")


def _is_finite(tensor: np.ndarray) -> bool:
    """Whether all numbers are finite in float32."""
    with np.errstate(over="ignore"):
        return bool(np.isfinite(tensor if tensor.itemsize < 4 else tensor.astype(np.float32, copy=False)).all())


def layer_shapes(name: str, *weight: int) -> Iterator[Shape]:
    """Of a convolution or a linear layer with a bias, from the shape of its weight; of a norm, too."""
    yield f"{name}.weight", weight
    yield f"{name}.bias", weight[:1]


def batch_norm_shapes(name: str, channels: int) -> Iterator[Shape]:
    """Of a batch norm; its counter of batches is of no use in inference, and in no file."""
    yield from layer_shapes(name, channels)
    yield f"{name}.running_mean", (channels,)
    yield f"{name}.running_var", (channels,)
