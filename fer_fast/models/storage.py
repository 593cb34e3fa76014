"""Between a checkpoint's arrays and a torch model, both ways."""

from __future__ import annotations

from pathlib import Path
from typing import TypeVar

import numpy as np
import torch
from torch import nn

from fer_fast.models.checkpoint import Checkpoint, FinderCheckpoint, read_checkpoint, write_checkpoint
from fer_fast.models.finder import FinderNetwork
from fer_fast.models.fusion import FusionModel
from fer_fast.types import CheckpointError

_Module = TypeVar("_Module", bound=nn.Module)


def load_model(model: str | Path = "fast") -> FusionModel:
    """Reads a model.

    Args:
        model: the name of a packaged model, or the path of a .safetensors file.

    Returns:
        The model in fp32, in eval mode, on the CPU.

    Raises:
        CheckpointError: if the file is missing, is not a checkpoint of this package, is damaged, or holds
            tensors of other names or shapes than its configuration asks for.
    """
    return build_model(read_checkpoint(model))


def build_model(checkpoint: Checkpoint) -> FusionModel:
    """The same from a checkpoint that was read already."""
    return _filled(FusionModel(checkpoint.config), checkpoint)


def build_finder(checkpoint: FinderCheckpoint) -> FinderNetwork:
    """The network of a face finder's checkpoint, in fp32, in eval mode.

    Raises:
        CheckpointError: it holds tensors of other names or shapes than its architecture asks for.
    """
    return _filled(FinderNetwork(), checkpoint)


def _filled(model: _Module, checkpoint: Checkpoint | FinderCheckpoint) -> _Module:
    _check_shapes(checkpoint, model)
    tensors = {name: torch.from_numpy(array.astype(np.float32)) for name, array in checkpoint.tensors.items()}
    model.load_state_dict(tensors, strict=False)  # strict but for batch norm's counters: checked above
    return model.eval().requires_grad_(False)


def save_model(model: FusionModel, path: Path, dtype: type[np.floating] = np.float16) -> None:
    """Writes weights and configuration to one file, whole or not at all.

    Args:
        model: what to keep.
        path: the .safetensors file.
        dtype: how the weights are stored; fp16 halves the file.

    Raises:
        ValueError: if a weight is not finite in `dtype`.
        OSError: if the file cannot be written.
    """
    state = model.state_dict()
    with np.errstate(over="ignore"):  # told of below, with the tensor's name
        tensors = {name: state[name].detach().cpu().numpy().astype(dtype) for name in sorted(_names(model))}
    for name, array in tensors.items():
        if not np.isfinite(array).all():
            raise ValueError(f"tensor {name!r} must be finite in {np.dtype(dtype)}; its largest is {state[name].max()}")
    write_checkpoint(path, model.config, tensors)


def _names(model: nn.Module) -> set[str]:
    """What a file holds: everything but batch norm's counters, which inference has no use for."""
    return {name for name in model.state_dict() if not name.endswith("num_batches_tracked")}


def _check_shapes(checkpoint: Checkpoint | FinderCheckpoint, model: nn.Module) -> None:
    wanted, names = model.state_dict(), _names(model)
    if difference := names ^ set(checkpoint.tensors):
        name = min(difference)
        state = "lacks" if name in names else "has an unknown"
        raise CheckpointError(f"the checkpoint {state} tensor {name!r} for its configuration")
    for name in sorted(names):
        shape, found = list(wanted[name].shape), list(checkpoint.tensors[name].shape)
        if shape != found:
            raise CheckpointError(f"the checkpoint's tensor {name!r} must have the shape {shape}, not {found}")
