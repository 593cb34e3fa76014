"""Anybody's faces: a folder whose sub-folders are classes, with or without splits above them."""

from __future__ import annotations

import hashlib
import math
import os
from contextlib import nullcontext
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from fer_fast.datasets.split import Split
from fer_fast.decode import Decoder, open_decoder
from fer_fast.inputs import IMAGE_SUFFIXES, is_hidden
from fer_fast.machine.disk import check_readable_folder
from fer_fast.types import EMOTIONS, FerFastError, Status

#: Split -> the sub-folders that may hold it.
SPLIT_FOLDERS: dict[str, tuple[str, ...]] = {
    "train": ("train",),
    "valid": ("valid", "val", "validation"),
    "test": ("test",),
}
#: What is set apart for validation where the data set has no such split.
VALID_SHARE = 0.1
#: Files that are decoded at once.
_CHUNK = 256


def load_folders(data: Path, split: str, image_size: int, decoder: Decoder | None = None) -> Split:
    """Reads one split.

    Args:
        data: a folder with train/CLASS/, valid/CLASS/ (or val/ or validation/) and test/CLASS/, as far as there are
            any; or with CLASS/ alone, a tenth of which (the same files each time) is then the validation split. What is
            hidden (`fer_fast.inputs.is_hidden`) is no class and no image.
        split: train, valid, test, or all (what CLASS/ alone holds, undivided).
        image_size: side in pixels that the images are decoded to.
        decoder: what gives the pictures of each file, to that size; None squashes each to one. Of a decoder that
            finds faces each is an image, with its photo's name and class.

    Returns:
        Its images in RGB, one vote each. A file that cannot be decoded is left out and told of in `unread`.

    Raises:
        ValueError: if `data` does not have the layout, a class has no image in this split, or there is no face in any.
        FerFastError: if a file cannot be read by a fault of the machine's, or for want of a codec.
    """
    files = _files(data, split)
    classes = _ordered({name for name, _ in files})
    paths = [str(path) for _, path in files]
    with nullcontext(decoder) if decoder is not None else open_decoder("auto", image_size) as used:
        read = _read(paths, used)
    labels = np.array([classes.index(name) for name, _ in files], dtype=np.int64)
    if empty := set(range(len(classes))) - set(labels[[*read.kept, *read.faceless]].tolist()):
        name = classes[min(empty)]
        raise ValueError(f"split {split} of {str(data)!r} must hold an image of class {name!r} that can be read")
    if not read.kept:
        raise ValueError(f"split {split} of {str(data)!r} must hold faces; none is found in {len(paths)} photos")

    def part(places: list[int], pixels: npt.NDArray[np.uint8]) -> Split:
        votes = np.eye(len(classes), dtype=np.float32)[labels[places]]
        return Split([paths[place] for place in places], pixels, votes, classes)

    faceless = part(read.faceless, read.pixels[:0]) if used.several else None
    return replace(part(read.kept, read.pixels), unread=read.unread, faceless=faceless)


@dataclass(frozen=True)
class _Read:
    """What became of files: the place among them of each of `pixels`, those without a face, the others and why."""

    kept: list[int]
    pixels: npt.NDArray[np.uint8]
    faceless: list[int]
    unread: list[tuple[str, str]]


def _read(paths: list[str], decoder: Decoder) -> _Read:
    decoded, kept, faceless, unread = [], [], [], []
    for start in range(0, len(paths), _CHUNK):
        result = decoder.decode(paths[start : start + _CHUNK])
        for place, reason in result.failures:
            path = paths[start + place]
            if reason.again:  # a data set that lacks images by chance would train and score something else
                raise FerFastError(f"{path!r} cannot be read now: {reason}")
            if reason.status is Status.NO_FACE:
                faceless.append(start + place)
            else:
                unread.append((path, str(reason)))
        kept += [start + place for place in result.indices]
        decoded.append(result.on_host())
    return _Read(kept, np.concatenate(decoded), faceless, unread)


def _files(data: Path, split: str) -> list[tuple[str, Path]]:
    """Class and file of every image of a split, by name."""
    if not any(split_folder(data, name) for name in SPLIT_FOLDERS):
        return _share(data, split)
    if split not in SPLIT_FOLDERS:
        raise ValueError(f"split must be one of {', '.join(SPLIT_FOLDERS)} where data holds splits, not {split!r}")
    folder = {name: split_folder(data, name) for name in SPLIT_FOLDERS}
    if folder["train"] and not folder["valid"] and split != "test":
        return _share(folder["train"], split)
    chosen = folder[split]
    if chosen is None:
        raise ValueError(f"data {str(data)!r} must hold the split {split} in {'/ or '.join(SPLIT_FOLDERS[split])}/")
    return _by_class(chosen)


def split_folder(data: Path, split: str) -> Path | None:
    """The sub-folder that holds a split; None where there is none."""
    return next((data / name for name in SPLIT_FOLDERS[split] if (data / name).is_dir()), None)


def _share(folder: Path, split: str) -> list[tuple[str, Path]]:
    files = _by_class(folder)
    if split == "all":
        return files
    if split == "test":
        raise ValueError(f"data {str(folder)!r} must hold a split test/ to be tested on; it holds classes")
    valid: set[Path] = set()
    for name in sorted({name for name, _ in files}):
        # By name, so that an image that joins the folder moves one other to the other side at most.
        inside = sorted((path for label, path in files if label == name), key=_name_digest)
        if len(inside) < 2:
            raise ValueError(f"class {name!r} of {str(folder)!r} must hold two images, one of them for validation")
        valid.update(inside[: math.ceil(VALID_SHARE * len(inside))])
    return [(name, path) for name, path in files if (path in valid) == (split == "valid")]


def _by_class(folder: Path) -> list[tuple[str, Path]]:
    check_readable_folder("data", folder)
    classes = sorted(path for path in folder.iterdir() if path.is_dir() and not is_hidden(path.name))
    if len(classes) < 2:
        there = f"one, {classes[0].name!r}" if classes else "none"
        raise ValueError(f"data {str(folder)!r} must hold two or more sub-folders named as the classes; it has {there}")
    files = []
    for inside in classes:
        images = images_below("data", inside)
        _check_undivided(folder, inside)
        if not images:
            raise ValueError(f"class {inside.name!r} of {str(folder)!r} must hold an image")
        files += [(inside.name, path) for path in images]
    return files


def _check_undivided(folder: Path, inside: Path) -> None:
    """Refuses splits inside a class: read as its images, those to be tested on would be learnt from."""
    for split in SPLIT_FOLDERS:
        if (found := split_folder(inside, split)) is not None:
            rule = f"must hold {split}/{inside.name}/, the split above the class, where it is divided"
            raise ValueError(f"data {str(folder)!r} {rule}, not {found.name}/ inside the class")


def images_below(argument: str, folder: Path) -> list[Path]:
    """The images in a folder and in those below it, by name; what is hidden (`fer_fast.inputs.is_hidden`) is none.

    Args:
        argument: what names the folder.
        folder: where to look; links to other folders are not followed.

    Raises:
        ValueError: if a folder cannot be read: whoever leaves out its images would train and score something else.
    """

    def refuse(error: OSError) -> None:
        raise ValueError(f"{argument} must hold folders that can be read, not {error.filename!r}: {error.strerror}")

    found: list[Path] = []
    for inside, folders, files in os.walk(folder, onerror=refuse):
        folders[:] = [name for name in folders if not is_hidden(name)]
        found += [Path(inside, name) for name in files if not is_hidden(name)]
    return sorted(path for path in found if path.suffix.lower() in IMAGE_SUFFIXES and path.is_file())


def _ordered(classes: set[str]) -> tuple[str, ...]:
    """The emotions in their own order, other names by alphabet."""
    if classes <= set(EMOTIONS):
        return tuple(name for name in EMOTIONS if name in classes)
    return tuple(sorted(classes))


def _name_digest(path: Path) -> bytes:
    return hashlib.blake2b(path.name.encode(errors="surrogateescape")).digest()
