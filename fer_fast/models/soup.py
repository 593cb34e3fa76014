"""Models that one start became come in, one whose weights are the mean of theirs goes out; torch is not needed."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from fer_fast.models.config import ClassifierConfig
from fer_fast.models.ensemble.combine import mean_prior, member_shares, one_framing
from fer_fast.models.files.checkpoint import read_checkpoint, write_checkpoint
from fer_fast.models.registry import architecture_of
from fer_fast.models.tensors import check_tensors


def soup(
    models: Sequence[str | Path],
    out: Path,
    *,
    weights: Sequence[float] | None = None,
    framing: str | None = None,
) -> ClassifierConfig:
    """Writes a model whose weights are the mean of others', a model soup (Wortsman et al. 2022).

    Of a model and what it became by more training, the mean is often right where either is. It costs the time of one.
    Its temperature is 1, and what int8 needs and precisions cost is not measured: `fer-fast recalibrate` does both.

    Args:
        models: names of packaged models or paths of checkpoints, two or more, one of which was trained from another, or
            all from the same one: the mean of others is of no use, and nothing in a file tells.
        out: the new checkpoint.
        weights: how much each counts, numbers above 0; None is the same for all.
        framing: how the faces of a photo are cut for it; None is the models', if that is one.

    Returns:
        Its configuration.

    Raises:
        ValueError: the models are not of the same shape, or a weight is none.
        CheckpointError: a model is missing or damaged.
        OutputError: `out` cannot be written.
    """
    members = [read_checkpoint(model) for model in models]
    shares, configs = member_shares(weights, len(members)), [member.config for member in members]
    framing = one_framing(configs, framing)
    built = [dataclasses.replace(config, framing=framing).built() for config in configs]
    for model, values in zip(models, built, strict=True):
        if field := next((name for name in {**built[0], **values} if values.get(name) != built[0].get(name)), None):
            rule = f"{values.get(field)!r}, of {str(models[0])!r} {built[0].get(field)!r}"
            raise ValueError(f"models must be alike for a soup; {field} of {str(model)!r} is {rule}")
    for member in members:
        check_tensors(member.tensors, architecture_of(member).shapes(member.config))
    mean = {name: _mean([member.tensors[name] for member in members], shares) for name in members[0].tensors}
    # What is measured of a model is not of another.
    unmeasured = dataclasses.replace(configs[0], temperature=1.0, activation_ranges={}, precision_falls={})
    config = dataclasses.replace(unmeasured, framing=framing, prior=mean_prior(configs, shares))
    write_checkpoint(out, config, mean)
    return config


def _mean(tensors: list[np.ndarray], shares: Sequence[float]) -> np.ndarray:
    """In the type of the first."""
    total = sum(share * tensor.astype(np.float64) for share, tensor in zip(shares, tensors, strict=True))
    return np.asarray(total, tensors[0].dtype)
