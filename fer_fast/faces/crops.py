"""Faces and their image come in, crops as a classifier was trained on them go out.

The references of `fer_fast._C.crop_matrices` and `fer_fast._C.crop_faces`, which are what runs, in Python and in C++.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import numpy.typing as npt

    Matrix = npt.NDArray[np.float64]

#: Where a crop of `TEMPLATE_SIDE` pixels has the eyes, the nose and the corners of the mouth.
TEMPLATE: tuple[tuple[float, float], ...] = ((35.0, 43.5), (77.0, 43.5), (56.0, 67.2), (38.9, 84.2), (73.1, 84.2))
TEMPLATE_SIDE = 112
#: A crop by the landmarks is at most so many times as large as the box, or as small, and its centre is in the box: else
#: they fit no face of that box.
MOST_UNLIKE = 2.0


def crop_matrices_reference(faces: npt.NDArray[np.float32], framing: str, size: int) -> Matrix:
    """Where the crops of faces lie in their image.

    Args:
        faces: float32 [faces, 14 or more]: x, y, width, height, x and y of five landmarks.
        framing: "points" is the similarity that brings the landmarks nearest to `TEMPLATE` (Umeyama 1991, without
            reflection); "box" the box, squared on its longer side about its centre; "level" that square, turned so
            that the eyes are level. Landmarks that fit no face give the box.
        size: the crop's side in pixels.

    Returns:
        float64 [faces, 2, 3], from a crop's coordinates to the image's; pixels have their centres at halves in both.
    """
    matrices = []
    for face in faces.astype(np.float64):
        landmarks = face[4:14].reshape(5, 2)
        matrix = _points(landmarks, face, size) if framing == "points" else None
        turn = _turn(landmarks) if framing == "level" else np.eye(2)
        matrices.append(_box(face, turn, size) if matrix is None else matrix)
    return np.array(matrices).reshape(-1, 2, 3)


def _box(face: Matrix, turn: Matrix, size: int) -> Matrix:
    linear = turn * (max(face[2], face[3]) / size)
    center = face[:2] + face[2:4] / 2
    return np.column_stack([linear, center - linear @ np.full(2, size / 2)])


def _turn(landmarks: Matrix) -> Matrix:
    x, y = landmarks[1] - landmarks[0] if np.isfinite(landmarks[:2]).all() else (0.0, 0.0)
    apart = np.hypot(x, y)
    return np.array([[x, -y], [y, x]]) / apart if apart > 0 else np.eye(2)


def _points(landmarks: Matrix, face: Matrix, size: int) -> Matrix | None:
    if not np.isfinite(landmarks).all():
        return None
    wanted = np.array(TEMPLATE) * (size / TEMPLATE_SIDE)
    found_mean, wanted_mean = landmarks.mean(axis=0), wanted.mean(axis=0)
    found, wanted = landmarks - found_mean, wanted - wanted_mean
    if not found.any():
        return None
    # The sine and the cosine of the angle between them, times both lengths.
    along = (found * wanted).sum()
    across = (found[:, 0] * wanted[:, 1] - found[:, 1] * wanted[:, 0]).sum()
    linear = np.array([[along, across], [-across, along]]) * (found**2).sum() / (along**2 + across**2)
    longer, side = max(face[2], face[3]), np.hypot(*linear[0]) * size
    shift = found_mean - linear @ wanted_mean
    center = linear @ np.full(2, size / 2) + shift - face[:2]
    if not longer / MOST_UNLIKE <= side <= longer * MOST_UNLIKE or (center < 0).any() or (center > face[2:4]).any():
        return None
    return np.column_stack([linear, shift])


def crop_faces_reference(image: npt.NDArray[np.uint8], matrices: Matrix, size: int) -> npt.NDArray[np.uint8]:
    """Cuts crops out of an image.

    The part of the image that a crop shows is shrunk, without turning it, to as many pixels as the crop has there, as
    Pillow's bilinear resize does; then the crop is read off that, bilinearly. The image's edges are repeated.

    Args:
        image: uint8 [height, width, 3].
        matrices: float64 [crops, 2, 3], from a crop's coordinates to the image's.
        size: the crops' side in pixels.

    Returns:
        uint8 [crops, size, size, 3].
    """
    crops = [_crop(image.astype(np.float64), matrix, size) for matrix in matrices]
    return np.array(crops, np.uint8).reshape(-1, size, size, 3)


def _crop(image: Matrix, matrix: Matrix, size: int) -> Matrix:
    scale = max(1.0, *np.hypot(*matrix[:, :2]))
    centers = np.arange(size) + 0.5
    crop = np.stack(np.meshgrid(centers, centers, indexing="xy"), axis=-1)  # [size, size, 2], x and y
    places = crop @ matrix[:, :2].T + matrix[:, 2]
    # An image that is not shrunk keeps its own pixels; one that is has them where the crop's begin.
    low = places.min(axis=(0, 1))
    first = low if scale > 1 else np.floor(low - 0.5) + 0.5
    places = (places - first) / scale
    counts = np.floor(places.max(axis=(0, 1))).astype(int) + 2
    across = _shares(first[0] + np.arange(counts[0]) * scale, scale, image.shape[1])
    down = _shares(first[1] + np.arange(counts[1]) * scale, scale, image.shape[0])
    patch = np.einsum("yh,hwc,xw->yxc", down, image, across, optimize=True)
    index = np.clip(np.floor(places).astype(int), 0, counts - 2)
    x, y = index[..., 0], index[..., 1]
    right, lower = np.moveaxis(places - index, -1, 0)[..., None]
    upper_line = patch[y, x] * (1 - right) + patch[y, x + 1] * right
    lower_line = patch[y + 1, x] * (1 - right) + patch[y + 1, x + 1] * right
    crops: Matrix = np.floor(upper_line * (1 - lower) + lower_line * lower + 0.5)
    return crops


def _shares(centers: Matrix, scale: float, side: int) -> Matrix:
    """What each pixel of a side has of pixels about `centers`, [centers, side]: triangles that reach `scale` pixels."""
    reach = int(np.ceil(scale)) + 1
    pixels = np.floor(centers)[:, None].astype(int) + np.arange(-reach, reach + 1)
    weights = np.maximum(0, 1 - np.abs(pixels + 0.5 - centers[:, None]) / scale)
    shares = np.zeros((len(centers), side))
    np.add.at(shares, (np.arange(len(centers))[:, None], np.clip(pixels, 0, side - 1)), weights)
    shares /= shares.sum(axis=1, keepdims=True)
    return shares
