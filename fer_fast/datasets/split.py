"""One split of a data set in memory: images and votes, what a protocol keeps of them, and which images leak."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import numpy.typing as npt

from fer_fast.types import EMOTIONS

#: FERPlus' ten vote columns; the first eight are `EMOTIONS`.
FERPLUS_COLUMNS: tuple[str, ...] = (*EMOTIONS, "unknown", "NF")
#: What can be asked of FERPlus: which images count, and as what. `Split.selection` has the rules.
FERPLUS_PROTOCOLS: tuple[str, ...] = ("argmax10", "argmax8", "majority", "paper7", "paper6")
#: The one protocol of a data set without votes.
LABELS = "labels"
#: Protocol -> the emotions that it leaves out.
_LEFT_OUT: dict[str, tuple[str, ...]] = {"paper7": ("contempt",), "paper6": ("disgust", "contempt")}


@dataclass(frozen=True)
class Split:
    """One split, in the order of its file names.

    Attributes:
        names: file names, or paths below the split's folder.
        pixels: uint8 [images, height, width] (grey) or [images, height, width, 3] (RGB).
        votes: float32 [images, columns], how many annotators chose each column.
        columns: what the votes are for: `FERPLUS_COLUMNS`, or the classes.
        unread: names and reasons of images that could not be read and are left out.
        faceless: the photos in which no face was found, without pixels; None where the images are not out of photos.
    """

    names: list[str]
    pixels: npt.NDArray[np.uint8]
    votes: npt.NDArray[np.float32]
    columns: tuple[str, ...] = FERPLUS_COLUMNS
    unread: list[tuple[str, str]] = field(default_factory=list)
    faceless: Split | None = None

    def only(self, chosen: npt.NDArray[np.bool_]) -> Split:
        """The images where `chosen`, bool [images], is true."""
        names = [name for name, kept in zip(self.names, chosen, strict=True) if kept]
        return replace(self, names=names, pixels=self.pixels[chosen], votes=self.votes[chosen])

    @property
    def protocols(self) -> tuple[str, ...]:
        """The protocols that can be asked for; the first is the default."""
        return FERPLUS_PROTOCOLS if self.columns == FERPLUS_COLUMNS else (LABELS,)

    def classes(self, protocol: str) -> tuple[str, ...]:
        """Names of the classes that a protocol tells apart.

        Raises:
            ValueError: if this split has no such protocol.
        """
        if protocol not in self.protocols:
            raise ValueError(f"protocol must be one of {', '.join(self.protocols)}, not {protocol!r}")
        if protocol == LABELS:
            return self.columns
        return tuple(name for name in EMOTIONS if name not in _LEFT_OUT.get(protocol, ()))

    def selection(self, protocol: str) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
        """Which images a protocol keeps, and their classes.

        Args:
            protocol: `argmax10` (plurality of all ten columns, images that are mostly unknown or NF dropped),
                `argmax8` (plurality of the emotions), `majority` (the official script: single votes dropped, then
                more than half of what is left for one emotion), `paper7` (`argmax10` without contempt, which
                FER2013 has not; Alizadeh & Fazel 2017), `paper6` (without disgust and contempt; Oh & Yoo 2023);
                `labels` where the folders are the classes.

        Returns:
            indices [kept] into the split and class numbers [kept] into `classes(protocol)`.

        Raises:
            ValueError: if this split has no such protocol.
        """
        classes = self.classes(protocol)
        votes = self.votes[:, : len(EMOTIONS)] if protocol == "argmax8" else self.votes
        if protocol == "majority":
            votes = np.where(votes <= 1, 0, votes)
        chosen = votes.argmax(axis=1)
        keep = np.isin(chosen, [self.columns.index(name) for name in classes]) & (votes.max(axis=1) > 0)
        if protocol == "majority":
            keep &= votes.max(axis=1) > 0.5 * votes.sum(axis=1)
        indices = np.flatnonzero(keep)
        numbers = {self.columns.index(name): number for number, name in enumerate(classes)}
        return indices, np.array([numbers[column] for column in chosen[indices]], dtype=np.int64)

    def shares(self, protocol: str) -> npt.NDArray[np.float32]:
        """What share of the annotators saw each class: float32 [kept, classes], rows sum to 1.

        Single votes count as slips, as in FERPlus' official script, unless there are no others.
        """
        indices, _ = self.selection(protocol)
        votes = self.votes[indices][:, [self.columns.index(name) for name in self.classes(protocol)]]
        votes = np.where((votes <= 1) & (votes.max(axis=1, keepdims=True) > 1), 0, votes)
        return (votes / votes.sum(axis=1, keepdims=True)).astype(np.float32)  # type: ignore[no-any-return]

    def digests(self) -> list[bytes]:
        """One digest of the pixels an image: equal where two images are exact duplicates."""
        return [hashlib.blake2b(image.tobytes(), digest_size=16).digest() for image in self.pixels]


def unseen(split: Split, others: Sequence[Split]) -> npt.NDArray[np.bool_]:
    """Which images have pixels that occur in no other split: bool [images].

    FERPlus leaks: 8 % of the test images are exact copies of training images.
    """
    seen = {digest for other in others for digest in other.digests()}
    return np.array([digest not in seen for digest in split.digests()], dtype=np.bool_)
