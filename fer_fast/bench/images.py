"""Folders of made images to measure on; a seed always gives the same files."""

from __future__ import annotations

import shutil
from itertools import cycle
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image

from fer_fast.machine.disk import check_readable_folder

FACE_SIZE = (48, 48)
PHOTO_SIZE = (1280, 960)
JPEG_QUALITY = 90
#: Standard deviation of the grain of a camera's sensor, in grey levels.
GRAIN = 5.0
#: Photos that differ.
SCENES = 4


def make_faces(folder: Path, count: int, seed: int = 0) -> list[Path]:
    """Fills a folder with grey 48 x 48 PNG files: noise with the spectrum of natural images."""
    folder.mkdir(parents=True)
    paths = [folder / f"face{number:06d}.png" for number in range(count)]
    random = np.random.default_rng(seed)
    for path in paths:
        Image.fromarray(scene(random, FACE_SIZE)[..., 0]).save(path)
    return paths


def make_photos(
    folder: Path, count: int, seed: int = 0, size: tuple[int, int] = PHOTO_SIZE, scenes: int = SCENES
) -> list[Path]:
    """Fills a folder with colour JPEG files of a camera's detail (at 1280 x 960 about 300 KB).

    Args:
        folder: made by this call.
        count: files.
        seed: of the noise.
        size: width and height.
        scenes: photos that differ, the others are copies: a photo takes far longer to make than to decode.
    """
    folder.mkdir(parents=True)
    random = np.random.default_rng(seed)
    paths = [folder / f"photo{number:06d}.jpg" for number in range(count)]
    for path in paths[:scenes]:
        grain = random.normal(0, GRAIN, (size[1], size[0], 1)).astype(np.float32)
        pixels = (scene(random, size) + grain).clip(0, 255).astype(np.uint8)
        Image.fromarray(pixels).save(path, quality=JPEG_QUALITY)
    for path, made in zip(paths[scenes:], cycle(paths[:scenes]), strict=False):
        shutil.copyfile(made, path)
    return paths


def scene(random: np.random.Generator, size: tuple[int, int]) -> npt.NDArray[np.uint8]:
    """Noise with the spectrum of natural images, amplitude falling as 1 / frequency: uint8 [height, width, 3]."""
    width, height = size
    total = np.zeros((height, width, 3), np.float32)
    side = 2
    while side <= min(width, height):
        octave = random.integers(0, 256, (side, side, 3), dtype=np.uint8)
        total += np.asarray(Image.fromarray(octave).resize(size, Image.Resampling.BICUBIC), np.float32) / side
        side *= 2
    low, high = total.min(), total.max()
    pixels: npt.NDArray[np.uint8] = ((total - low) / max(high - low, 1e-6) * 255).astype(np.uint8)
    return pixels


def check_images(folder: Path) -> None:
    """Raises a ValueError where there is no folder to measure on."""
    check_readable_folder("--images", folder)
