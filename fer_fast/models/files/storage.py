"""Between a checkpoint's arrays and a torch model, both ways."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, TypeVar, cast

import numpy as np
import torch
from torch import nn

from fer_fast.models.building import new_network
from fer_fast.models.files.checkpoint import Checkpoint, FinderCheckpoint, write_checkpoint
from fer_fast.models.network import Network
from fer_fast.models.registry import architecture_of
from fer_fast.models.tensors import check_tensors

if TYPE_CHECKING:
    from fer_fast.models.finder.network import FinderNetwork

_Module = TypeVar("_Module", bound=nn.Module)


def build_model(checkpoint: Checkpoint) -> Network:
    """The model of a checkpoint, in fp32, in eval mode, on the CPU.

    Raises:
        CheckpointError: it holds tensors of other names or shapes than its configuration asks for.
    """
    check_tensors(checkpoint.tensors, architecture_of(checkpoint).shapes(checkpoint.config))
    return _filled(new_network(checkpoint.config), checkpoint)


def build_finder(checkpoint: FinderCheckpoint) -> FinderNetwork:
    """The network of a face finder's checkpoint, in fp32, in eval mode.

    Raises:
        CheckpointError: it holds tensors of other names or shapes than its architecture asks for.
    """
    architecture = architecture_of(checkpoint)
    check_tensors(checkpoint.tensors, architecture.shapes(checkpoint.config))
    return _filled(cast("FinderNetwork", architecture.network(checkpoint.config)), checkpoint)


def _filled(model: _Module, checkpoint: Checkpoint | FinderCheckpoint) -> _Module:
    tensors = {name: torch.from_numpy(array.astype(np.float32)) for name, array in checkpoint.tensors.items()}
    model.load_state_dict(tensors, strict=False)  # strict but for batch norm's counters: checked above
    return model.eval().requires_grad_(False)


def checkpoint_of(model: Network) -> Checkpoint:
    """A model as a checkpoint in fp32 that no file has, nor a digest."""
    state = model.state_dict()
    return Checkpoint(model.config, {name: state[name].detach().cpu().numpy() for name in _names(model)}, "")


def save_model(model: Network, path: Path, dtype: type[np.floating] = np.float16) -> None:
    """Writes weights and configuration to one file, whole or not at all.

    Args:
        model: what to keep.
        path: the .safetensors file.
        dtype: how the weights are stored; fp16 halves the file.

    Raises:
        ValueError: if a weight is not finite in `dtype`.
        OutputError: if the file cannot be written.
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
