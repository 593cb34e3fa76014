"""The split that is scored, whole in memory, and which of its images leak from the splits learnt before."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from fer_fast.datasets import Split, has_splits, load_split, unseen
from fer_fast.decode import Decoder
from fer_fast.machine.extras import need

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
        hard: whether the images are hard views of the faces.
    """

    split: Split
    name: str
    why: str
    fresh: npt.NDArray[np.bool_] | None
    against: tuple[str, ...]
    unchecked: dict[str, str]
    protocols: dict[str, tuple[str, ...]]
    left_out: dict[str, str] = field(default_factory=dict)
    hard: bool = False


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


def check_hard(faces: str) -> None:
    """Refuses hard views of photos, and where there is nothing to make them by.

    Raises:
        ValueError: faces are looked for in photos.
        MissingExtraError: torch or kornia is not installed.
    """
    if faces != "none":
        raise ValueError(f"hard must not be given with faces {faces!r}: hard views are of images that are faces")
    need("evaluation by hard views", "train", modules=("torch", "kornia"))


def load_hard_split(data: Path, split: str | None, classes: tuple[str, ...]) -> ScoredSplit:
    """The same as `load_scored_split`, of images of faces that are seen through one hard view each.

    They are made of the whole split at `HARD_SIZE`, whatever the model's size: an engine's pixels come of them as of
    any images. Copies are looked for before.
    """
    import torch

    from fer_fast.datasets.hard_views import HARD_SIZE, hard_faces

    scored = load_scored_split(data, split, classes, HARD_SIZE)
    pixels = torch.from_numpy(scored.split.pixels)
    seen = hard_faces(pixels[:, None] if pixels.ndim == 3 else pixels.permute(0, 3, 1, 2))
    hard = replace(scored.split, pixels=seen.permute(0, 2, 3, 1).numpy())
    return replace(scored, split=hard, hard=True)


def _default_split(data: Path) -> tuple[str, str]:
    """Test if `data` has splits, otherwise all; and why."""
    return ("test", "the default") if has_splits(data) else ("all", "data has no splits")


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
