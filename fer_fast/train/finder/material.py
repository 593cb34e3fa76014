"""Photos and cut faces come in, pictures to compose from go out: their pixels, and the faces that a teacher finds."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageOps

from fer_fast.datasets import load_split
from fer_fast.evaluation.boxes import intersections_over_unions
from fer_fast.faces.finder import FaceFinder
from fer_fast.types import counted

log = logging.getLogger(__name__)

Pixels = npt.NDArray[np.uint8]
#: x, y, width, height, x and y of five landmarks, score, as `FaceFinder.find_in` gives them; float64 [faces, 15].
Faces = npt.NDArray[np.float64]

#: Longer side to which photos are reduced: a face of 600 px is still there, and hundreds of photos fit into memory.
LONGEST = 1280
#: Longer sides at which the teacher looks at a photo: small faces are plain in an enlarged one, large in a reduced one.
LOOKS = (320, 640, 1280)
#: A photo is not enlarged by more: there is nothing more to see.
LARGEST_FACTOR = 2.0
#: The teacher's answers of this score are faces; those down to the other are neither faces nor background.
SURE, DOUBTFUL = 0.7, 0.3
#: Answers of two looks that overlap by more are one.
OVERLAP = 0.4


@dataclass(frozen=True, eq=False)
class Picture:
    """What scenes are composed from.

    Attributes:
        pixels: uint8 [height, width, 3], RGB.
        faces: those of which the teacher is sure, in its pixels.
        doubtful: float64 [boxes, 4]: x, y, width, height of what may be a face.
        faded: its edges go over into what it is laid on.
    """

    pixels: Pixels
    faces: Faces
    doubtful: npt.NDArray[np.float64]
    faded: bool = False

    @cached_property
    def levels(self) -> list[Image.Image]:
        """The picture as RGBA, and it halved again and again, down to some 16 px."""
        levels = [Image.fromarray(self.pixels)]
        levels[0].putalpha(_ellipse(levels[0].size) if self.faded else 255)
        while min(levels[-1].size) >= 32:
            levels.append(levels[-1].reduce(2))
        return levels


def load_pictures(
    files: Sequence[Path], teacher: FaceFinder, tell: Callable[[str], None] = lambda doing: None
) -> list[Picture]:
    """Photos with what the teacher finds in them; what cannot be read is left out.

    Args:
        files: photos.
        teacher: with a score of `DOUBTFUL` or less, and a find_size of the last of `LOOKS` or more.
        tell: hears what is done now.
    """
    pictures: list[Picture] = []
    unread = 0
    with ThreadPoolExecutor(teacher.streams) as pool:
        for done, picture in enumerate(pool.map(lambda file: _load(file, teacher), files), 1):
            unread += picture is None
            pictures += [picture] if picture is not None else []
            tell(f"{done} of {len(files)} photos")
    if unread:
        log.warning("%s left out: they cannot be read", counted(unread, "photo is", "photos are"))
    return pictures


def set_apart(files: Iterable[Path], share: float) -> tuple[list[Path], list[Path]]:
    """Files to learn from and files to be judged on, by their bytes: copies of one photo stay together."""
    learn: list[Path] = []
    judge: list[Path] = []
    for file in sorted(files):
        number = int.from_bytes(hashlib.blake2b(file.read_bytes(), digest_size=4).digest(), "big")
        (judge if number < share * 2**32 else learn).append(file)
    return learn, judge


def looked_at(pixels: Pixels, teacher: FaceFinder) -> Faces:
    """All that the teacher finds in a picture at any of `LOOKS`, by falling score, each once."""
    height, width = pixels.shape[:2]
    found = []
    for longest in dict.fromkeys(min(look, round(LARGEST_FACTOR * max(height, width))) for look in LOOKS):
        factor = longest / max(height, width)
        size = max(1, round(width * factor)), max(1, round(height * factor))
        seen = np.asarray(Image.fromarray(pixels).resize(size, Image.Resampling.BICUBIC))
        scale = np.array([width / size[0], height / size[1]] * 7 + [1.0])
        found.append(teacher.find_in(seen).astype(np.float64) * scale)
    faces = np.concatenate(found)
    faces = faces[np.argsort(-faces[:, 14], kind="stable")]
    near = intersections_over_unions(faces, faces) > OVERLAP
    kept: list[int] = []
    for place in range(len(faces)):
        if not near[place, kept].any():
            kept.append(place)
    return faces[kept]


def picture_of(pixels: Pixels, teacher: FaceFinder, faded: bool = False) -> Picture:
    """A picture with what the teacher says of it; for `faded` see `Picture`."""
    found = looked_at(pixels, teacher)
    sure = found[:, 14] >= SURE
    return Picture(pixels, found[sure], found[~sure, :4], faded)


def _load(file: Path, teacher: FaceFinder) -> Picture | None:
    try:
        with Image.open(file) as image:
            upright = ImageOps.exif_transpose(image).convert("RGB")
            upright.thumbnail((LONGEST, LONGEST), Image.Resampling.LANCZOS)
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
        return None
    return picture_of(np.asarray(upright), teacher)


def _ellipse(size: tuple[int, int]) -> Image.Image:
    """A mask that is full in the middle and fades towards the edges, as an ellipse does."""
    y, x = (np.linspace(-1, 1, length) for length in size[::-1])
    distance = np.sqrt(y[:, None] ** 2 + x[None, :] ** 2)
    return Image.fromarray((255 * np.clip((1.05 - distance) / 0.25, 0, 1)).astype(np.uint8))


def cut_faces(data: Path, teacher: FaceFinder, most: int = 3000) -> list[Picture]:
    """Faces that are cut out already, those of them that the teacher finds: pictures of one face each.

    Args:
        data: what `fer_fast.datasets.load_split` reads; its training split is taken.
        teacher: as for `load_pictures`.
        most: how many are looked at, evenly over all.
    """
    pixels = load_split(data, "train", 64).pixels
    chosen = pixels[np.linspace(0, len(pixels) - 1, min(most, len(pixels))).round().astype(int)]
    if chosen.ndim == 3:
        chosen = np.repeat(chosen[..., None], 3, axis=3)
    with ThreadPoolExecutor(teacher.streams) as pool:
        pictures = list(pool.map(lambda face: picture_of(np.ascontiguousarray(face), teacher, True), chosen))
    return [picture for picture in pictures if len(picture.faces) == 1]
