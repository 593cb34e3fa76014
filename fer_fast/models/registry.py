"""A checkpoint comes in, its architecture goes out."""

from __future__ import annotations

from typing import Any

from fer_fast.models.architecture import Architecture
from fer_fast.models.checkpoint import Checkpoint, FinderCheckpoint
from fer_fast.models.config import ModelConfig
from fer_fast.models.finder_architecture import FinderArchitecture
from fer_fast.models.finder_config import FinderConfig
from fer_fast.models.fusion_architecture import FusionArchitecture

_ARCHITECTURES: dict[type, Architecture[Any]] = {
    ModelConfig: FusionArchitecture(),
    FinderConfig: FinderArchitecture(),
}


def architecture_of(checkpoint: Checkpoint | FinderCheckpoint) -> Architecture[Any]:
    """The architecture of a checkpoint."""
    return _ARCHITECTURES[type(checkpoint.config)]
