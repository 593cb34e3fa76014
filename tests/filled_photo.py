"""A photo that one face fills, with the grain of a camera in the dark."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from PIL import Image

from fer_fast.bench.portraits import photo_with_faces


def filled_photo(width: int, height: int) -> npt.NDArray[np.uint8]:
    """A grainy photo, uint8 [height, width, 3], that one drawn face fills."""
    drawn, boxes = photo_with_faces(np.random.default_rng(7), (400, 300), 1)
    random, (x, y, wide, high) = np.random.default_rng(0), boxes[0]
    face = drawn.crop((round(x), round(y), round(x + wide), round(y + high)))
    pixels = np.asarray(face.resize((width, height), Image.Resampling.BICUBIC))
    grain = random.normal(0, 40, (height, width, 1))
    return np.clip(pixels + grain, 0, 255).astype(np.uint8)
