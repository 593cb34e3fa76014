"""The script that a user would write for photos: one after the other, Pillow, a finder, torch on what it found."""

from __future__ import annotations

import csv
from functools import cache
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from fer_fast.bench.photos import Labelled, read, reduced

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from pathlib import Path

    import numpy.typing as npt

    from fer_fast.bench.photos import Found, Pixels
    from fer_fast.models.config import ClassifierConfig

    #: An upright photo and the faces in it, in its pixels, to uint8 [faces, size, size, 3].
    Cut = Callable[[Image.Image, Found], Pixels]

#: Pixels of the photo: a face of a smaller longer side is no row, as in `FaceFinder`.
SMALLEST = 24


def classify_photos_plainly(
    find: Callable[[Pixels], Found],
    cut: Cut,
    infer: Callable[[Pixels], npt.NDArray[np.float32]],
    config: ClassifierConfig,
    paths: Sequence[Path],
    out: Path,
    longest: int,
) -> None:
    """Photos to a CSV of a row a face, by falling area.

    Args:
        find: uint8 [height, width, 3] to faces, as `FaceFinder.find_in`.
        cut: see `Cut`.
        infer: uint8 [faces, size, size, 3] to logits, float32 [faces, classes].
        config: of the model.
        paths: image files, all good: the first bad one ends it.
        out: the CSV file.
        longest: the longer side of what `find` sees, at most.
    """
    with out.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["path", "face", "x", "y", "width", "height", "score", "label", *config.classes])
        for path in paths:
            photo = read(path)
            faces = _in_photo(find(np.asarray(seen := reduced(photo, longest))), seen.size, photo.size)
            if not len(faces):
                writer.writerow([path])
                continue
            logits = infer(cut(photo, faces)) / config.temperature
            exponentials = np.exp(logits - logits.max(axis=1, keepdims=True))
            rows = (exponentials / exponentials.sum(axis=1, keepdims=True)).tolist()
            for number, (face, row) in enumerate(zip(faces.tolist(), rows, strict=True)):
                label = config.classes[max(range(len(row)), key=row.__getitem__)]
                writer.writerow([path, number, *face[:4], face[14], label, *row])


def _in_photo(found: Found, seen: tuple[int, int], size: tuple[int, int]) -> Found:
    """The faces in pixels of the photo, those that are large enough, by falling area."""
    across, down = size[0] / seen[0], size[1] / seen[1]
    faces: Found = found * np.array([across, down] * 7 + [1], np.float32)
    faces = faces[faces[:, 2:4].max(axis=1) >= SMALLEST]
    return faces[np.argsort(-faces[:, 2] * faces[:, 3], kind="stable")]


@cache
def cut_squares(size: int) -> Cut:
    """Each box squared on its longer side, what lies beyond the photo black."""

    def cut(photo: Image.Image, faces: Found) -> Pixels:
        crops = []
        for x, y, width, height in faces[:, :4].tolist():
            side = max(width, height)
            left, top = x + (width - side) / 2, y + (height - side) / 2
            square = photo.crop((round(left), round(top), round(left + side), round(top + side)))
            crops.append(np.asarray(square.resize((size, size), Image.Resampling.BILINEAR)))
        return np.stack(crops)

    return cut


def labelled(table: Path, paths: Iterable[Path]) -> list[list[Labelled]]:
    """The faces of these photos in a table, by fer_fast or by the plain script."""
    found: dict[str, list[Labelled]] = {str(path): [] for path in paths}
    with table.open(newline="") as file:
        for row in csv.DictReader(file):
            if row["face"] and row["path"] in found:
                box = float(row["x"]), float(row["y"]), float(row["width"]), float(row["height"])
                found[row["path"]].append(Labelled(box, row["label"]))
    return list(found.values())
