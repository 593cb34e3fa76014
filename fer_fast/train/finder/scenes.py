"""Pictures come in, scenes to learn from go out: faces turned, mirrored, of every size, of several photos a scene."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from PIL import Image

from fer_fast.train.finder.material import Faces, Picture, Pixels
from fer_fast.train.finder.recipe import Composition

Matrix = npt.NDArray[np.float64]

#: Landmarks of the mirrored face, by those of the face.
MIRRORED = (1, 0, 2, 4, 3)
#: A face of which less is inside its part of the scene is not asked for.
VISIBLE = 0.6


@dataclass(frozen=True, eq=False)
class Scene:
    """What is learnt from.

    Attributes:
        pixels: uint8 [side, side, 3].
        faces: float64 [faces, 15], in its pixels.
        doubtful: float64 [boxes, 4]: what is neither a face nor background.
    """

    pixels: Pixels
    faces: Faces
    doubtful: npt.NDArray[np.float64]


def compose(pictures: Sequence[Picture], cut: Sequence[Picture], recipe: Composition, seed: int) -> Scene:
    """One scene; the same for the same seed.

    Args:
        pictures: photos; those without a face are backgrounds.
        cut: pictures of one face and nothing else, to be set into a scene; may be empty.
        recipe: how scenes are composed.
        seed: of what is drawn by chance.
    """
    chance = np.random.default_rng(seed)
    photos = [picture for picture in pictures if len(picture.faces)]
    backgrounds = [picture for picture in pictures if not len(picture.faces)]
    parts = int(chance.choice(len(recipe.parts), p=recipe.parts)) + 1
    side = recipe.side
    canvas = Image.new("RGB", (side, side))
    faces, doubtful = [np.empty((0, 15))], [np.empty((0, 4))]
    edges = np.linspace(0, side, parts + 1).round().astype(int).tolist()
    for top, bottom in itertools.pairwise(edges):
        for left, right in itertools.pairwise(edges):
            part = _part(photos, backgrounds, recipe, (right - left, bottom - top), chance)
            canvas.paste(Image.fromarray(part.pixels), (left, top))
            shift = np.array([left, top, 0, 0] + [left, top] * 5 + [0], np.float64)
            faces.append(part.faces + shift)
            doubtful.append(part.doubtful + shift[:4])
    scene = Scene(np.asarray(canvas), np.concatenate(faces), np.concatenate(doubtful))
    if cut and chance.random() < recipe.cut_chance:
        for _ in range(int(chance.integers(1, 5))):
            scene = _set_in(scene, _one_of(cut, chance), recipe, chance)
    return scene


def _part(
    photos: Sequence[Picture],
    backgrounds: Sequence[Picture],
    recipe: Composition,
    size: tuple[int, int],
    chance: np.random.Generator,
) -> Scene:
    """A view of one photo, a face of it somewhere inside, or of a background."""
    bare = not photos or (len(backgrounds) > 0 and chance.random() < recipe.background_chance)
    picture = _one_of(backgrounds if bare else photos, chance)
    height, width = picture.pixels.shape[:2]
    if len(picture.faces):
        x, y, wide, high = picture.faces[int(chance.integers(len(picture.faces))), :4]
        target = np.exp(chance.uniform(np.log(recipe.smallest), np.log(min(recipe.largest, 1.2 * min(size)))))
        factor = min(target / high, recipe.enlarged)
        centre = np.array([x + wide / 2, y + high / 2])
        place = np.array(size) * chance.uniform(0.15, 0.85, 2)
    else:
        fits = max(size[0] / width, size[1] / height)
        factor = np.exp(chance.uniform(np.log(fits), np.log(max(fits, recipe.enlarged))))
        centre = np.array([width, height]) * chance.uniform(0.2, 0.8, 2)
        place = np.array(size) / 2
    matrix = similarity(factor, _angle(recipe, chance), chance.random() < 0.5, centre, place)
    canvas = _background(backgrounds, size, chance)
    seen = warped(picture.levels, matrix, size)
    canvas.paste(seen, (0, 0), seen)
    faces, doubtful = moved(picture.faces, matrix), moved_boxes(picture.doubtful, matrix)
    return _inside(np.asarray(canvas), faces, doubtful, recipe.least)


def _background(backgrounds: Sequence[Picture], size: tuple[int, int], chance: np.random.Generator) -> Image.Image:
    """Something without faces; one tone where no picture is without them."""
    if not backgrounds:
        return Image.new("RGB", size, tuple(chance.integers(0, 256, 3).tolist()))
    levels = _one_of(backgrounds, chance).levels
    level = next((each for each in reversed(levels) if each.width >= size[0] and each.height >= size[1]), levels[0])
    wide, high = min(size[0], level.width), min(size[1], level.height)
    left, top = (int(chance.integers(whole - part + 1)) for whole, part in ((level.width, wide), (level.height, high)))
    return level.resize(size, Image.Resampling.BILINEAR, (left, top, left + wide, top + high)).convert("RGB")


def _one_of(pictures: Sequence[Picture], chance: np.random.Generator) -> Picture:
    return pictures[int(chance.integers(len(pictures)))]


def _angle(recipe: Composition, chance: np.random.Generator) -> float:
    """Degrees that a part is turned by: mostly little."""
    limit = recipe.tilts[int(chance.choice(len(recipe.tilts), p=recipe.tilt_chances))]
    return float(chance.uniform(-limit, limit))


def _inside(pixels: Pixels, faces: Faces, doubtful: npt.NDArray[np.float64], least: float) -> Scene:
    """A scene of what can be seen: faces that are cut off or too small are not asked for."""
    size = np.array(pixels.shape[1::-1], np.float64)

    def visible(boxes: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        low, high = np.clip(boxes[:, :2], 0, size), np.clip(boxes[:, :2] + boxes[:, 2:4], 0, size)
        share: npt.NDArray[np.float64] = (high - low).prod(axis=1) / np.maximum(boxes[:, 2:4].prod(axis=1), 1e-6)
        return share

    asked = (visible(faces) >= VISIBLE) & (faces[:, 2:4].max(axis=1) >= least)
    others = np.concatenate([faces[~asked, :4], doubtful])
    return Scene(pixels, faces[asked], others[visible(others) > 0])


def _set_in(scene: Scene, picture: Picture, recipe: Composition, chance: np.random.Generator) -> Scene:
    """A scene with a cut face in it, its edges faded, in a tone of its own."""
    side = scene.pixels.shape[0]
    x, y, wide, high = picture.faces[0, :4]
    target = np.exp(chance.uniform(np.log(recipe.smallest), np.log(recipe.cut_largest)))
    place = chance.uniform(target, side - target, 2)
    matrix = similarity(
        target / high, _angle(recipe, chance), chance.random() < 0.5, np.array([x + wide / 2, y + high / 2]), place
    )
    face = moved(picture.faces[:1], matrix)
    others = np.concatenate([scene.faces[:, :4], scene.doubtful])
    if _meets(face, others):
        return scene
    seen = warped(picture.levels, matrix, (side, side))
    canvas = Image.fromarray(scene.pixels)
    canvas.paste(Image.fromarray((np.asarray(seen)[..., :3] * chance.uniform(0.7, 1.0, 3)).astype(np.uint8)), mask=seen)
    return Scene(np.asarray(canvas), np.concatenate([scene.faces, face]), scene.doubtful)


def _meets(face: Faces, boxes: npt.NDArray[np.float64]) -> bool:
    """Whether a face lies near any of the boxes."""
    gap = 0.3 * face[0, 2:4]
    low = np.maximum(face[:, :2] - gap, boxes[:, :2])
    high = np.minimum(face[:, :2] + face[:, 2:4] + gap, boxes[:, :2] + boxes[:, 2:4])
    return bool((high > low).all(axis=1).any())


def similarity(factor: float, degrees: float, mirrored: bool, centre: Matrix, place: Matrix) -> Matrix:
    """What moves `centre` to `place`, larger by `factor`, turned and perhaps mirrored first: float64 [2, 3]."""
    turn = np.deg2rad(degrees)
    rotation = factor * np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    if mirrored:
        rotation = rotation @ np.diag([-1.0, 1.0])
    return np.concatenate([rotation, (place - rotation @ centre)[:, None]], axis=1)


def warped(levels: Sequence[Image.Image], matrix: Matrix, size: tuple[int, int]) -> Image.Image:
    """What a picture looks like when its points are moved by a matrix; clear beyond its edges.

    Args:
        levels: the picture and it halved again and again: the one is taken that is reduced by less than a half.
        matrix: float64 [2, 3], from the picture's pixels to the result's.
        size: width and height of the result.
    """
    factor = np.sqrt(abs(np.linalg.det(matrix[:, :2])))
    level = int(np.clip(np.floor(np.log2(1 / factor) + 1e-9), 0, len(levels) - 1))
    scale = np.array(levels[0].size) / np.array(levels[level].size)
    back = np.linalg.inv(np.concatenate([matrix, [[0, 0, 1]]]))[:2]
    coefficients = (back / scale[:, None]).ravel().tolist()
    return levels[level].transform(size, Image.Transform.AFFINE, coefficients, Image.Resampling.BILINEAR)


def moved(faces: Faces, matrix: Matrix) -> Faces:
    """Faces whose picture is moved by a matrix."""
    result = faces.copy()
    result[:, :4] = moved_boxes(faces[:, :4], matrix)
    points = faces[:, 4:14].reshape(-1, 5, 2) @ matrix[:, :2].T + matrix[:, 2]
    if np.linalg.det(matrix[:, :2]) < 0:
        points = points[:, MIRRORED]
    result[:, 4:14] = points.reshape(-1, 10)
    return result


def moved_boxes(boxes: npt.NDArray[np.float64], matrix: Matrix) -> npt.NDArray[np.float64]:
    """Boxes around what was turned; a face is taken for an ellipse, whose box grows less than a box's box."""
    sizes = np.sqrt(boxes[:, 2:4] ** 2 @ (matrix[:, :2] ** 2).T)
    centres = (boxes[:, :2] + boxes[:, 2:4] / 2) @ matrix[:, :2].T + matrix[:, 2]
    return np.concatenate([centres - sizes / 2, sizes], axis=1)
