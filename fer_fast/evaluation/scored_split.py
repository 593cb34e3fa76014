"""The split that is scored, whole in memory, and which of its images leak from the splits learnt before."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt

from fer_fast.datasets import Split, load_split, unseen
from fer_fast.datasets.ferplus import is_ferplus
from fer_fast.datasets.folders import SPLIT_FOLDERS
from fer_fast.decode import Decoder

#: Split -> those whose images a model may have learnt from when it is scored on it.
LEARNT_BEFORE: dict[str, tuple[str, ...]] = {"valid": ("train",), "test": ("train", "valid")}


@dataclass(frozen=True)
class ScoredSplit:
    """What is scored.

    Attributes:
        split: images and votes.
        name: which split it is.
        why: why it is that one; empty if it was asked for.
        fresh: bool [images], False where the pixels occur in another split; None if there is no other.
        against: the splits that `fresh` is about.
        unchecked: splits that could not be read, and why: copies of their images are not found.
        protocols: the protocols that are scored and their classes; the first is the default.
        left_out: the protocols that are not, and why.
    """

    split: Split
    name: str
    why: str
    fresh: npt.NDArray[np.bool_] | None
    against: tuple[str, ...]
    unchecked: dict[str, str]
    protocols: dict[str, tuple[str, ...]]
    left_out: dict[str, str] = field(default_factory=dict)


def load_scored_split(
    data: Path, split: str | None, classes: tuple[str, ...], image_size: int, decoder: Decoder | None = None
) -> ScoredSplit:
    """Reads the split that is scored, and the others as far as they are there.

    Args:
        data: what `fer_fast.datasets.load_split` reads.
        split: train, valid, test or all; None takes test, or all where `data` has no splits.
        classes: what the model tells apart.
        image_size: side in pixels that the images of a folder of classes are decoded to.
        decoder: of photos, whose faces are what is scored; None where the images are faces.

    Raises:
        ValueError: if there is no such split, or the model lacks classes in each protocol of it.
    """
    name, why = _default_split(data) if split is None else (split, "")
    chosen = load_split(data, name, image_size, decoder)
    protocols, left_out = _protocols(chosen, classes)
    if not protocols:
        reasons = "; ".join(f"{protocol}: {reason}" for protocol, reason in left_out.items())
        raise ValueError(
            f"data {str(data)!r} must have images of the model's classes alone ({', '.join(classes)}); {reasons}"
        )
    fresh, against, unchecked = np.ones(len(chosen.names), np.bool_), [], {}
    for other in LEARNT_BEFORE.get(name, ()):
        try:
            fresh &= unseen(chosen, [load_split(data, other, image_size, decoder)])  # one at a time: each may be large
            against.append(other)
        except ValueError as error:
            unchecked[other] = str(error)
    found = fresh if against else None
    return ScoredSplit(chosen, name, why, found, tuple(against), unchecked, protocols, left_out)


def _default_split(data: Path) -> tuple[str, str]:
    """Test if `data` has splits, otherwise all; and why."""
    folders = (data / name for names in SPLIT_FOLDERS.values() for name in names)
    if is_ferplus(data) or any(folder.is_dir() for folder in folders):
        return "test", "the default"
    return "all", "data has no splits"


def _protocols(split: Split, classes: tuple[str, ...]) -> tuple[dict[str, tuple[str, ...]], dict[str, str]]:
    """Those that can be scored, with their classes, and why the others cannot."""
    protocols, left_out = {}, {}
    for protocol in split.protocols:
        names = split.classes(protocol)
        if missing := [name for name in names if name not in classes]:
            left_out[protocol] = f"the model lacks {', '.join(missing)}"
        elif not len(split.selection(protocol)[0]):
            left_out[protocol] = "it keeps no image"
        else:
            protocols[protocol] = names
    return protocols, left_out
