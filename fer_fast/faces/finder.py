"""Photos come in, the faces in them go out."""

from __future__ import annotations

import math
import sys
from collections.abc import Iterable
from functools import partial
from numbers import Real
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from fer_fast.decode.images import check_images
from fer_fast.decode.limits import check_count
from fer_fast.decode.pixels import reduced
from fer_fast.decode.views import LEAST_SEEN, reduced_size
from fer_fast.engines import open_engine
from fer_fast.engines.opened import Opened
from fer_fast.faces.found import found_in
from fer_fast.models.files.exported import ExportedModel
from fer_fast.models.files.opening import read_any_finder
from fer_fast.models.files.paths import packaged_finders
from fer_fast.models.finder.config import LARGEST_SIDE
from fer_fast.ops import native
from fer_fast.types import Face, FerFastError

if TYPE_CHECKING:
    import numpy.typing as npt

    from fer_fast.predictions import ImageLike

    Pixels = npt.NDArray[np.uint8]
    Found = npt.NDArray[np.float32]

#: Where nothing is found, the longer side of a second look: of a face that fills a large photo the network sees parts.
SECOND_LOOK = 160
#: Images a call: a batch of photos gains nothing on a processor, and a card takes calls from several threads.
_BATCH = 1


class FaceFinder(Opened):
    """Finds faces in photos; safe to use from many threads at once, and a context manager.

    It belongs to the process that opened it, as a `fer_fast.Classifier` does.

    Args:
        finder: the name of a packaged finder, or the path of a .safetensors checkpoint, of YuNet's .onnx or of an
            exported finder (.xml, .onnx, .engine).
        device, engine, precision: as for `fer_fast.Classifier`.
        find_size: a photo is reduced to this longer side before it is looked at; one of less than `LEAST_SEEN` (128)
            pixels is enlarged to that.
        score: faces of a smaller one are left out, 0 to 1.
        min_face: faces whose box has a smaller longer side are left out, in pixels of the photo.
        max_faces: of more than so many the largest stay; None is no limit.

    Attributes:
        streams: how many calls at once keep the engine busy.
        identity: the finder and all that its faces depend on, for telling runs apart.

    Raises:
        ValueError, TypeError: on an unknown name or a number out of range; the message names the rule.
        CheckpointError: if the finder is missing, damaged, or no finder.
        MissingExtraError: if the engine or the device needs a package that is not installed.
        FerFastError: if the device is not there.
    """

    kind = "finder"
    owner = "FaceFinder"

    def __init__(
        self,
        finder: str | Path = "finder",
        *,
        device: str = "auto",
        engine: str = "auto",
        precision: str = "auto",
        find_size: int = 640,
        score: float = 0.6,
        min_face: float = 24,
        max_faces: int | None = None,
    ) -> None:
        super().__init__()
        check_count("find_size", find_size)
        if find_size > LARGEST_SIDE:
            raise ValueError(f"find_size must be at most {LARGEST_SIDE}, not {find_size}")
        check_count("max_faces", max_faces)
        score = _checked_number("score", score, 1)
        min_face = _checked_number("min_face", min_face, math.inf)
        found = read_any_finder(finder)
        if isinstance(found, ExportedModel) and find_size > (most := found.sides.most):
            raise ValueError(f"find_size must be at most the {most} that the model was exported for, not {find_size}")
        self._arguments: dict[str, Any] = {
            # Absolute: another process may have another working directory.
            "finder": finder if str(finder) in packaged_finders() else Path(finder).absolute(),
            "device": device,
            "engine": engine,
            "precision": precision,
            "find_size": find_size,
            "score": score,
            "min_face": min_face,
            "max_faces": max_faces,
        }
        self.find_size, self.score, self.min_face, self.max_faces = find_size, score, min_face, max_faces
        self._faces_in = native.core().faces_in  # a missing library is told here, not at the first photo
        self._engine = open_engine(
            found, engine=engine, device=device, precision=precision, batch_size=_BATCH, side=find_size
        )
        self.streams = self._engine.streams
        ran = self._engine.describe()
        sees = f"find_size {min(LEAST_SEEN, find_size)}..{find_size} or {SECOND_LOOK}"
        limits = f"{sees} score {score:g} min_face {min_face:g} max_faces {max_faces}"
        self.identity = f"{found.digest} {ran['engine']} {ran['precision']} {limits}"

    def find(self, images: Iterable[ImageLike], *, exif: bool = True) -> list[list[Face]]:
        """Finds the faces of images in memory or on disk.

        Args:
            images, exif: as for `Classifier.predict_iter`.

        Returns:
            Of each image its faces by falling area, without predictions; an empty list where there is none.

        Raises:
            Exception: as `Classifier.predict`, at the first image that gives no pixels.
        """
        check_images(images, exif)
        self.check_open()
        return found_in(images, self, exif)

    def find_in(self, pixels: Pixels) -> Found:
        """Finds the faces of one image that is reduced already; from several threads at once.

        Where there is none it is looked at again, reduced to `SECOND_LOOK`.

        Args:
            pixels: uint8 [height, width, 3], RGB; each side from 1 to `find_size`.

        Returns:
            float32 [faces, 15] by falling score: x, y, width, height, x and y of five landmarks, score; in pixels of
            this image.

        Raises:
            TypeError, ValueError: `pixels` is something else.
            FerFastError: the device fails, the model gives a value that is not a number, or the finder is closed or
                another process's.
        """
        self._check_pixels(pixels)
        found, size = self._look(pixels), pixels.shape[1::-1]
        if len(found) or max(size) <= SECOND_LOOK:
            return found
        less = reduced_size(size, SECOND_LOOK)
        again = self._look(np.asarray(reduced(Image.fromarray(pixels), less)))
        factors = np.array([size[0] / less[0], size[1] / less[1]] * 7 + [1.0])
        enlarged: Found = (again * factors).astype(np.float32)
        return enlarged

    def _look(self, pixels: Pixels) -> Found:
        """What the network finds in an image as it is."""
        height, width = pixels.shape[:2]
        canvas = np.zeros((1, *self._engine.sides.canvas(height, width), 3), np.uint8)
        canvas[0, :height, :width] = pixels
        with self._call():
            cells = self._engine.infer(canvas)[0]
        if not np.isfinite(cells[:, 0].sum()):
            raise FerFastError("the finder gave a value that is not a number; another precision may help")
        return self._faces_in(cells, canvas.shape[1], canvas.shape[2], self.score)  # type: ignore[no-any-return]

    def _check_pixels(self, pixels: Pixels) -> None:
        if not isinstance(pixels, np.ndarray) or pixels.dtype != np.uint8:
            raise TypeError(f"pixels must be a uint8 array, not {getattr(pixels, 'dtype', type(pixels).__name__)}")
        sides = pixels.shape[:2]
        if pixels.ndim != 3 or pixels.shape[2] != 3 or not 1 <= min(sides) <= max(sides) <= self.find_size:
            most = self.find_size
            raise ValueError(f"pixels must be [1..{most}, 1..{most}, 3], not {list(pixels.shape)}")

    def faces(self, found: Found, seen: tuple[int, int], size: tuple[int, int]) -> list[Face]:
        """Those that are large enough, in pixels of the photo.

        Args:
            found: what `find_in` gave.
            seen: width and height of what it was given.
            size: width and height of the photo, upright.
        """
        x_factor, y_factor = size[0] / seen[0], size[1] / seen[1]
        scaled = found.astype(np.float64) * np.array([x_factor, y_factor] * 7 + [1.0])
        scaled = scaled[np.maximum(scaled[:, 2], scaled[:, 3]) >= self.min_face]
        scaled = scaled[np.argsort(-scaled[:, 2] * scaled[:, 3], kind="stable")][: self.max_faces]
        return [face_of(row) for row in scaled.tolist()]

    def describe(self) -> dict[str, Any]:
        """What runs: the finder, its limits, and what the engine says of itself."""
        limits = {name: self._arguments[name] for name in ("find_size", "score", "min_face", "max_faces")}
        return {"finder": str(self._arguments["finder"]), **limits, **self._engine.describe()}

    def _release(self) -> None:
        self._engine.close()

    def __reduce__(self) -> tuple[partial[FaceFinder], tuple[()]]:
        return partial(type(self), **self._arguments), ()


def face_of(row: list[float]) -> Face:
    """A face of the columns that `FaceFinder.find_in` gives."""
    x, y, width, height, *points, score = row
    landmarks = tuple(zip(points[::2], points[1::2], strict=True))
    return Face(x, y, width, height, landmarks, score)  # type: ignore[arg-type]


def _checked_number(what: str, number: float, most: float) -> float:
    rule = "a number of 0 or more" if math.isinf(most) else f"a number from 0 to {most}"
    if isinstance(number, bool) or not isinstance(number, Real):
        raise TypeError(f"{what} must be {rule}, not {number!r}")
    if not 0 <= number <= min(most, sys.float_info.max):
        raise ValueError(f"{what} must be {rule}, not {number}")
    return float(number)
