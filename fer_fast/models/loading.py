"""A model's name comes in, a torch module goes out; torch is asked for when one is loaded, and not before."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from fer_fast.machine.extras import need
from fer_fast.models.files.checkpoint import read_checkpoint

if TYPE_CHECKING:
    from fer_fast.models.network import Network


def load_model(model: str | Path = "fast") -> Network:
    """Reads a model.

    Args:
        model: the name of a packaged model, or the path of a .safetensors file.

    Returns:
        The model in fp32, in eval mode, on the CPU.

    Raises:
        MissingExtraError: if torch is not installed.
        CheckpointError: if the file is missing, is not a checkpoint of this package, is damaged, or holds
            tensors of other names or shapes than its configuration asks for.
    """
    need("fer_fast.load_model", "torch", modules=("torch",))
    from fer_fast.models.files.storage import build_model

    return build_model(read_checkpoint(model))
