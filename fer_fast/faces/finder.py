"""Photos come in, the faces in them go out."""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from fer_fast.decode.limits import check_count
from fer_fast.engines.opened import Opened, alone
from fer_fast.engines.openvino_graph import CompiledGraph, compile_options, openvino_core, trace
from fer_fast.faces.cells import faces_in_reference
from fer_fast.models.checkpoint import read_finder
from fer_fast.types import Face

if TYPE_CHECKING:
    import numpy.typing as npt

    from fer_fast.predictions import ImageLike

    Pixels = npt.NDArray[np.uint8]
    Found = npt.NDArray[np.float32]

#: The sides of what the network sees are multiples of this.
STEP = 32


class FaceFinder(Opened):
    """Finds faces in photos; safe to use from many threads at once, and a context manager.

    Args:
        finder: the name of a packaged finder, or the path of a .safetensors checkpoint or of YuNet's .onnx.
        device, engine, precision: as for `fer_fast.Classifier`.
        find_size: a photo is reduced to this longer side before it is looked at; a smaller one stays as it is.
        score: faces of a smaller one are left out, 0 to 1.
        min_face: faces whose box has a smaller longer side are left out, in pixels of the photo.
        max_faces: of more than so many the largest stay; None is no limit.

    Attributes:
        streams: how many calls at once keep the engine busy.
        identity: the finder and all that its faces depend on, for telling runs apart.
    """

    kind = "finder"

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
        self._arguments = {key: value for key, value in locals().items() if key not in ("self", "__class__")}
        check_count("find_size", find_size)
        checkpoint = read_finder(finder)
        self.find_size, self.score, self.min_face, self.max_faces = find_size, score, min_face, max_faces
        import torch

        from fer_fast.models.storage import build_finder

        with alone():
            core = openvino_core()
            graph = trace(build_finder(checkpoint), torch.zeros(2, 64, 64, 3, dtype=torch.uint8))
            graph.reshape([-1, -1, -1, 3])
            self._graph = CompiledGraph(core.compile_model(graph, "CPU", compile_options(core, "fp32")))
            self._graph([np.zeros((1, 64, 64, 3), np.uint8)])
        self.streams = self._graph.streams
        self.identity = f"{checkpoint.digest} openvino fp32 {find_size} {score} {min_face} {max_faces}"

    def find(self, images: Iterable[ImageLike], *, exif: bool = True) -> list[list[Face]]:
        """Finds the faces of images in memory or on disk.

        Args:
            images, exif: as for `Classifier.predict_iter`.

        Returns:
            Of each image its faces by falling area, without predictions.
        """
        found = []
        for image in images:
            pixels = np.asarray(image if isinstance(image, np.ndarray) else Image.open(image).convert("RGB"))  # type: ignore
            height, width = pixels.shape[:2]
            reduced = Image.fromarray(pixels)
            if max(width, height) > self.find_size:
                factor = self.find_size / max(width, height)
                size = max(1, round(width * factor)), max(1, round(height * factor))
                reduced = reduced.resize(size, Image.Resampling.BILINEAR)
            found.append(self.faces(self.find_in(np.asarray(reduced)), reduced.size, (width, height)))
        return found

    def find_in(self, pixels: Pixels) -> Found:
        """Finds the faces of one image that is reduced already; from several threads at once.

        Args:
            pixels: uint8 [height, width, 3], RGB, C-contiguous.

        Returns:
            float32 [faces, 15] by falling score: x, y, width, height, x and y of five landmarks, score; in pixels of
            this image, of any size.
        """
        height, width = pixels.shape[:2]
        canvas = np.zeros((1, -(-height // STEP) * STEP, -(-width // STEP) * STEP, 3), np.uint8)
        canvas[0, :height, :width] = pixels
        with self._call():
            cells = self._graph([canvas])[0][0]
        return faces_in_reference(cells, canvas.shape[1], canvas.shape[2], self.score)

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
        """What runs."""
        return {"finder": str(self._arguments["finder"]), "find_size": self.find_size}

    def _release(self) -> None:
        self.__dict__.pop("_graph", None)

    def __reduce__(self) -> tuple[partial[FaceFinder], tuple[()]]:
        return partial(type(self), **self._arguments), ()

    def __enter__(self) -> FaceFinder:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def face_of(row: list[float]) -> Face:
    """A face of the columns that `FaceFinder.find_in` gives."""
    x, y, width, height, *points, score = row
    landmarks = tuple(zip(points[::2], points[1::2], strict=True))
    return Face(x, y, width, height, landmarks, score)  # type: ignore[arg-type]
