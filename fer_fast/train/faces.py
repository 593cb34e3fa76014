"""Faces to learn from or to be judged on: one split by one protocol, as tensors."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from fer_fast.datasets import Split, load_split, unseen
from fer_fast.types import counted

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Faces:
    """Images, what they should be answered with, and what counts as right.

    Attributes:
        pixels: uint8 [images, channels, height, width]; one channel is grey, three are RGB.
        targets: float32 [images, classes], what the annotators' shares are; rows sum to 1.
        labels: int64 [images], the class that counts as right.
        classes: names of the classes.
    """

    pixels: Tensor
    targets: Tensor
    labels: Tensor
    classes: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.pixels)


def spread(faces: Tensor, most: int) -> Tensor:
    """Some of the images, evenly over all: a folder's images come class by class."""
    return faces[torch.linspace(0, len(faces) - 1, min(most, len(faces))).round().long()]


@torch.no_grad()
def in_parts(answer: Callable[[Tensor], Tensor], faces: int) -> Tensor:
    """What is answered to all faces, float32 [faces, classes]; it is asked by the places of some, int64 [part]."""
    return torch.cat([answer(chosen).float().cpu() for chosen in torch.split(torch.arange(faces), 256)])


def faces_of(split: Split, protocol: str, targets: str) -> Faces:
    """What a protocol keeps of a split.

    Args:
        split: images and votes.
        protocol: one of FERPlus'; a data set without votes has but one, whatever is asked for.
        targets: "votes" (distributions) or "labels".

    Raises:
        ValueError: if a class has no image.
    """
    protocol = protocol if len(split.protocols) > 1 else split.protocols[0]
    classes = split.classes(protocol)
    indices, labels = split.selection(protocol)
    counts = np.bincount(labels, minlength=len(classes))
    if not counts.all():
        raise ValueError(
            f"data must hold an image of every class; by protocol {protocol} {classes[counts.argmin()]!r} has none"
        )
    shares = split.shares(protocol) if targets == "votes" else np.eye(len(classes), dtype=np.float32)[labels]
    pixels = torch.from_numpy(split.pixels[indices])
    return Faces(
        pixels[:, None] if pixels.ndim == 3 else pixels.permute(0, 3, 1, 2),
        torch.from_numpy(shares),
        torch.from_numpy(labels),
        classes,
    )


def load_faces(data: Path, image_size: int, protocol: str, targets: str) -> tuple[Faces, Faces]:
    """Training and validation faces; what is copied from the one into the other is left out of the other.

    Args:
        data: what `fer_fast.datasets.load_split` reads.
        image_size: side in pixels that the images of a folder of classes are decoded to.
        protocol, targets: see `faces_of`.

    Raises:
        ValueError: if a split is not there, or a class is missing from one of them.
    """
    splits = {name: load_split(data, name, image_size) for name in ("train", "valid")}
    fresh = unseen(splits["valid"], [splits["train"]])
    if not fresh.all():
        one, many = "image of valid occurs in train, too, and is", "images of valid occur in train, too, and are"
        log.warning("%s left out", counted(int((~fresh).sum()), one, many))
        splits["valid"] = splits["valid"].only(fresh)
    found = []
    for name, split in splits.items():
        if split.unread:
            path, reason = split.unread[0]
            unread = counted(len(split.unread), f"image of {name} is", f"images of {name} are")
            log.warning("%s left out; the first is %a: %s", unread, path, reason)
        found.append(faces_of(split, protocol, targets))
        log.info("%s: %s of %s", name, counted(len(found[-1]), "image", "images"), ", ".join(found[-1].classes))
    train, valid = found
    if train.classes != valid.classes:
        different = sorted(set(train.classes) ^ set(valid.classes))[0]
        raise ValueError(f"train and valid must hold the same classes; {different!r} is in one of them")
    return train, valid
