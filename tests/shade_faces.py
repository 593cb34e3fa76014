"""Photos whose faces are squares of one shade on black, and a finder that finds those: no network, known boxes."""

import threading

import numpy as np
from PIL import Image

from fer_fast.faces.finder import FaceFinder

#: Shades of faces; all else is darker, and JPEG leaves each nearer to itself than to another.
SHADES = (70, 120, 170, 220)


class ShadeFinder:
    """Finds the squares that `draw` draws, each of another shade, by falling score."""

    score = 0.6

    def __init__(self, find_size=64, min_face=4, max_faces=None, name="shades", device="auto"):
        self.find_size, self.min_face, self.max_faces, self.name = find_size, min_face, max_faces, name
        self.seen, self.closed, self.fails = [], False, None
        self._lock = threading.Lock()

    @property
    def identity(self):
        return f"{self.name} {self.find_size} {self.min_face} {self.max_faces}"

    def find_in(self, pixels):
        with self._lock:
            self.seen.append(pixels.shape)
        if self.fails:
            raise self.fails
        found = []
        for shade in SHADES:
            y, x = np.nonzero(np.abs(pixels.astype(int).mean(axis=2) - shade) < 12)
            if len(x) >= 4:
                left, top, right, bottom = x.min(), y.min(), x.max() + 1, y.max() + 1
                width, height = right - left, bottom - top
                points = [(0.3, 0.3), (0.7, 0.3), (0.5, 0.55), (0.35, 0.75), (0.65, 0.75)]
                landmarks = [value for a, b in points for value in (left + a * width, top + b * height)]
                found.append([left, top, width, height, *landmarks, shade / 255])
        return np.array(found[::-1], np.float32).reshape(-1, 15)

    faces = FaceFinder.faces

    def describe(self):
        return {"finder": self.name}

    def close(self):
        self.closed = True


class SureFinder(ShadeFinder):
    """As sure of a dark face as of a light one: who is not sure begins no track."""

    def find_in(self, pixels):
        found = super().find_in(pixels)
        found[:, 14] = 0.9
        return found


def draw(size, boxes):
    """A photo of this width and height; `boxes` are shade, x, y, side."""
    pixels = np.zeros((size[1], size[0], 3), np.uint8)
    for shade, x, y, side in boxes:
        pixels[y : y + side, x : x + side] = shade
    return Image.fromarray(pixels)
