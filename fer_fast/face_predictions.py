"""Images come in, the faces in each go out with their predictions; the model's batches are filled across images."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from concurrent.futures import Future
from contextlib import closing
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from fer_fast.decode.threads import Threads
from fer_fast.faces.looking import Looking
from fer_fast.faces.photos import PhotoReader
from fer_fast.faces.turns import in_turn
from fer_fast.types import Face, Prediction

if TYPE_CHECKING:
    import numpy.typing as npt

    from fer_fast.predictions import ImageLike, Means

    Pixels = npt.NDArray[np.uint8]


def predict_faces(images: Iterable[ImageLike], means: Means, looking: Looking, exif: bool) -> list[list[Face]]:
    """Finds and classifies the faces of images.

    Args:
        images, exif: see `Classifier.predict_faces`.
        means: what classifies.
        looking: what finds, and cuts crops of the model's size.

    Raises:
        Exception: as `Classifier.predict_faces`.
    """
    limits, workers = means.decoder.limits, means.decoder.workers
    found: list[list[Face]] = []
    with closing(PhotoReader(looking.finder.find_size, workers, limits)) as reader, closing(_Batches(means)) as batches:
        for looked in in_turn(
            images, lambda image: reader.look(image, looking, exif), workers, limits.max_pixels, exif
        ):
            found.append(looked.faces)
            batches.add(looked.pixels)
        rows = iter(batches.rows())
    return [[replace(face, prediction=Prediction(means.classes, next(rows))) for face in faces] for faces in found]


class _Batches:
    """Crops that the model sees together; those of many images are never held at once."""

    def __init__(self, means: Means) -> None:
        self._means = means
        self._open: list[Pixels] = []
        self._model = Threads(means.streams, thread_name_prefix="fer-fast-model")
        self._flight: deque[Future[npt.NDArray[np.float32]]] = deque()
        self._rows: list[npt.NDArray[np.float32]] = []

    def add(self, pixels: Pixels) -> None:
        """Takes an image's crops, [crops, S, S, 3], in order."""
        while len(pixels):
            room = self._means.batch_size - sum(map(len, self._open))
            self._open.append(pixels[:room])
            if len(pixels) >= room:
                self._send()
            pixels = pixels[room:]

    def rows(self) -> list[npt.NDArray[np.float32]]:
        """The probabilities of all crops, in order."""
        if self._open:
            self._send()
        while self._flight:
            self._rows.extend(self._flight.popleft().result())
        return self._rows

    def close(self) -> None:
        """Waits for what is in the model; nothing else begins."""
        self._model.shutdown(wait=False, cancel_futures=True)
        self._model.shutdown()

    def _send(self) -> None:
        pieces, self._open = self._open, []
        self._flight.append(self._model.submit(self._means.infer, np.concatenate(pieces)))
        if len(self._flight) > self._means.streams:  # one more than are in the model
            self._rows.extend(self._flight.popleft().result())
