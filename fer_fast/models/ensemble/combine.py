"""Two or more classifiers come in, one file of an ensemble of them goes out; torch is not needed."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from fer_fast.models.config import ClassifierConfig
from fer_fast.models.ensemble.config import EnsembleConfig
from fer_fast.models.ensemble.layers import member_name
from fer_fast.models.files.checkpoint import Checkpoint, read_checkpoint, write_checkpoint
from fer_fast.models.files.paths import packaged_models


def combine(
    models: Sequence[str | Path],
    out: Path,
    *,
    weights: Sequence[float] | None = None,
    framing: str | None = None,
    refer: bool = False,
) -> EnsembleConfig:
    """Writes a model whose probabilities are the weighted mean of its members' calibrated ones.

    Its temperature is 1 and what precisions cost is not measured: `fer-fast recalibrate` does both.

    Args:
        models: names of packaged models or paths of checkpoints, two or more, of the same classes.
        out: the new checkpoint.
        weights: how much each counts, numbers above 0; None is the same for all.
        framing: how the faces of a photo are cut for it; None is the members', if that is one.
        refer: store no weights of packaged models, but their names. Such a file is of use with this version of the
            package, or one with the same models.

    Returns:
        The ensemble's configuration.

    Raises:
        ValueError: the members do not go together, or a weight is none.
        CheckpointError: a member is missing or damaged.
        OutputError: `out` cannot be written.
    """
    members = [read_checkpoint(model) for model in models]
    config = _config(members, member_shares(weights, len(members)), framing)
    tensors: dict[str, np.ndarray] = {"bias": np.zeros(len(config.classes), np.float32)}
    for place, member in enumerate(members):
        tensors |= {f"{member_name(place)}.{name}": tensor for name, tensor in member.tensors.items()}
    packaged = packaged_models() if refer else []
    named = {member_name(place): str(model) for place, model in enumerate(models) if str(model) in packaged}
    write_checkpoint(out, config, tensors, parts=named)
    return config


def member_shares(weights: Sequence[float] | None, count: int) -> tuple[float, ...]:
    """Weights made to sum to 1; a ValueError unless there are two or more models, and a weight above 0 for each."""
    if count < 2:
        raise ValueError(f"models must be two or more, not {count}")
    if weights is None:
        return (1 / count,) * count
    if len(weights) != count or not all(each > 0 for each in weights) or not math.isfinite(sum(weights)):
        raise ValueError(f"weights must be numbers above 0, one for each of {count} models, not {list(weights)!r}")
    return tuple(each / math.fsum(weights) for each in weights)


def _config(members: list[Checkpoint], shares: tuple[float, ...], framing: str | None) -> EnsembleConfig:
    configs = [member.config for member in members]
    if odd := next((config for config in configs if config.classes != configs[0].classes), None):
        first = ", ".join(configs[0].classes)
        raise ValueError(f"models must have the same classes; one has {first}, another {', '.join(odd.classes)}")
    framing = one_framing(configs, framing)
    measured = all(config.activation_ranges for config in configs)
    ranges = {
        f"{member_name(place)}.{name}": ends
        for place, config in enumerate(configs)
        for name, ends in config.activation_ranges.items()
    }
    return EnsembleConfig(
        members=tuple(_member(config, framing) for config in configs),
        shares=shares,
        classes=configs[0].classes,
        framing=framing,
        image_size=max(config.image_size for config in configs),
        activation_ranges=ranges if measured else {},
        prior=mean_prior(configs, shares),
    )


def one_framing(configs: Sequence[ClassifierConfig], framing: str | None) -> str:
    """The framing that is wished for, or that all have; a ValueError where there is no such one."""
    if framing is None and len({config.framing for config in configs}) > 1:
        found = ", ".join(config.framing for config in configs)
        raise ValueError(f"framing must be given where the models' differ; theirs are {found}")
    return framing or configs[0].framing


def _member(config: ClassifierConfig, framing: str) -> ClassifierConfig:
    """What an ensemble keeps of a configuration; of an ensemble's, of its members' too."""
    changes: dict[str, Any] = {"framing": framing, "activation_ranges": {}, "precision_falls": {}}
    if isinstance(config, EnsembleConfig):
        changes["members"] = tuple(_member(each, framing) for each in config.members)
    return dataclasses.replace(config, **changes)


def mean_prior(configs: Sequence[ClassifierConfig], shares: tuple[float, ...]) -> tuple[float, ...]:
    """The mean of the members', which is what a mean of their probabilities presumes; none where one does not say."""
    priors = [config.prior for config in configs]
    if not all(priors):
        return ()
    mean = np.average(np.array(priors), axis=0, weights=shares)
    return tuple((mean / mean.sum()).tolist())
