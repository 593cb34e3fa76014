"""Labelled faces on disk, in whatever layout, read a split at a time into memory."""

from __future__ import annotations

from pathlib import Path

from fer_fast.datasets.ferplus import has_ferplus_split, is_ferplus, load_ferplus
from fer_fast.datasets.folders import SPLIT_FOLDERS, load_folders, split_folder
from fer_fast.datasets.split import Split, unseen
from fer_fast.decode.interface import Decoder
from fer_fast.machine.disk import check_readable_folder

__all__ = [
    "SPLITS",
    "Split",
    "check_data",
    "check_no_class",
    "check_split",
    "has_split",
    "has_splits",
    "load_split",
    "unseen",
]

SPLITS: tuple[str, ...] = ("train", "valid", "test")


def check_split(split: str) -> None:
    """Raises a ValueError that names the known splits."""
    if split not in (*SPLITS, "all"):
        raise ValueError(f"split must be one of {', '.join(SPLITS)} or all, not {split!r}")


def check_data(data: Path) -> None:
    """Raises a ValueError where there is no such folder, or none that can be read."""
    check_readable_folder("data", data)


def check_no_class(name: str, folder: Path, data: Path) -> None:
    """Raises a ValueError where a folder that is written to, called `name`, would be a class of the data next time."""
    splits = [data / each for folders in SPLIT_FOLDERS.values() for each in folders]
    if any(each.resolve() in folder.resolve().parents for each in (splits if has_splits(data) else [data])):
        raise ValueError(f"{name} must not be among the classes of data {str(data)!r}, which {str(folder)!r} would be")


def has_split(data: Path, split: str) -> bool:
    """Whether a data set has a split of its own, train, valid or test, not one that is set apart of another."""
    return has_ferplus_split(data, split) if is_ferplus(data) else split_folder(data, split) is not None


def has_splits(data: Path) -> bool:
    """Whether a data set is divided; it holds nothing but classes otherwise.

    Raises:
        ValueError: if `data` is no folder that can be read.
    """
    check_data(data)
    return is_ferplus(data) or any(has_split(data, split) for split in SPLITS)


def load_split(data: Path, split: str, image_size: int, decoder: Decoder | None = None) -> Split:
    """Reads one split of FERPlus (`ferplus.load_ferplus`) or of a folder of classes (`folders.load_folders`).

    Args:
        data: the data set's folder.
        split: train, valid or test; all where `data` holds nothing but classes.
        image_size: side in pixels that the images of a folder of classes are decoded to; FERPlus has its own.
        decoder: of photos, as for `folders.load_folders`.

    Raises:
        ValueError: on an unknown split, if `data` has neither layout, or if FERPlus is to be read as photos.
    """
    check_split(split)
    check_data(data)
    if not is_ferplus(data):
        return load_folders(data, split, image_size, decoder)
    if decoder is not None:
        raise ValueError(f"data must be photos where faces are to be found; {str(data)!r} is FERPlus, cut already")
    return load_ferplus(data, split)
