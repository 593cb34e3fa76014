"""The one object that users hold: pixels come in, probabilities go out."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from fer_fast.decode import DEFAULT_MAX_PIXELS, DEFAULT_MAX_SECONDS, Decoder, check_decoder, open_decoder, pixels_of
from fer_fast.engines import open_engine
from fer_fast.engines.opened import Opened
from fer_fast.models.checkpoint import packaged_models, read_checkpoint
from fer_fast.types import DecodeError, FerFastError, Prediction

if TYPE_CHECKING:
    from typing import TypeAlias

    import numpy.typing as npt
    from PIL import Image

    from fer_fast.decode import Pixels

    ImageLike: TypeAlias = npt.NDArray[np.uint8] | Image.Image | str | os.PathLike[str]

#: Large enough that a batch's fixed cost vanishes, small enough that its activations stay near the caches.
DEFAULT_BATCH_SIZE = 32


class Classifier(Opened):
    """Classifies facial expressions; safe to use from many threads at once, and a context manager.

    It belongs to the process that opened it. Pickled, it is opened anew with the same arguments where it is unpickled;
    in a forked child its calls raise, and a new one is to be opened.

    Args:
        model: the name of a packaged model, or the path of a .safetensors checkpoint.
        device: auto, cpu, cuda, cuda:N, or several cards as cuda:0,cuda:1.
        engine: auto, openvino, torch or tensorrt.
        precision: auto, fp32, bf16, fp16 or int8.
        batch_size: images that the engine takes at once; None chooses.
        workers: files decoded at once; None takes the processors that this process may use.
        decoder: auto, pillow or dali; auto is DALI on a GPU, where it is installed.
        max_pixels, max_memory, max_seconds: what decoding a file may cost; see `fer_fast.decode.open_decoder`.

    Attributes:
        classes: names of the probabilities' columns.
        image_size: side in pixels of what the model sees.
        batch_size: the largest batch that `predict_batch` takes.
        streams: how many calls of `predict_batch` at once keep the engine busy.
        decoder: turns files into pixels for this model.
        identity: the model and the precision it runs in, for telling runs apart.

    Raises:
        ValueError: on an unknown name or a number out of range; the message names the known ones.
        CheckpointError: if the model is missing, damaged or of the wrong shape.
        FerFastError: if the device is not there.
    """

    kind = "classifier"

    def __init__(
        self,
        model: str | Path = "fast",
        *,
        device: str = "auto",
        engine: str = "auto",
        precision: str = "auto",
        batch_size: int | None = None,
        workers: int | None = None,
        decoder: str = "auto",
        max_pixels: int = DEFAULT_MAX_PIXELS,
        max_memory: int | None = None,
        max_seconds: float = DEFAULT_MAX_SECONDS,
    ) -> None:
        super().__init__()
        checkpoint = read_checkpoint(model)
        self._arguments: dict[str, Any] = {
            # Absolute: another process may have another working directory.
            "model": model if str(model) in packaged_models() else Path(model).absolute(),
            "device": device,
            "engine": engine,
            "precision": precision,
            "batch_size": batch_size,
            "workers": workers,
            "decoder": decoder,
            "max_pixels": max_pixels,
            "max_memory": max_memory,
            "max_seconds": max_seconds,
        }
        self.model = str(model)
        self.classes = checkpoint.config.classes
        self.image_size = checkpoint.config.image_size
        self.temperature = checkpoint.config.temperature
        self.batch_size = DEFAULT_BATCH_SIZE if batch_size is None else batch_size
        # Before an engine is compiled.
        check_decoder(decoder, self.image_size, workers, max_pixels, max_memory, max_seconds)
        self._engine = open_engine(
            checkpoint, engine=engine, device=device, precision=precision, batch_size=self.batch_size
        )
        try:
            self.decoder: Decoder = open_decoder(
                decoder, self.image_size, workers, max_pixels, self._engine.device, max_memory, max_seconds
            )
        except BaseException:
            self._engine.close()
            raise
        self.streams = self._engine.streams
        ran = self._engine.describe()
        self.identity = f"{checkpoint.digest} {ran['engine']} {ran['precision']}"

    def predict_batch(self, pixels: Pixels) -> npt.NDArray[np.float32]:
        """Classifies one batch of pixels.

        Args:
            pixels: uint8 [batch, image_size, image_size, 3], RGB; batch from 1 to `batch_size`. An array, or a torch
                tensor that lies where the engine computes.

        Returns:
            Calibrated probabilities, float32 [batch, classes], rows sum to 1.

        Raises:
            TypeError: if `pixels` is not a uint8 array or tensor.
            ValueError: if its shape is another.
            FerFastError: if the device fails, the model gives a value that is not a number, or the classifier is closed
                or another process's.
        """
        with self._call():
            return self._probabilities(pixels)

    def _probabilities(self, pixels: Pixels) -> npt.NDArray[np.float32]:
        side = self.image_size
        if str(getattr(pixels, "dtype", "")) not in ("uint8", "torch.uint8"):
            raise TypeError(f"pixels must be a uint8 array, not {getattr(pixels, 'dtype', type(pixels).__name__)}")
        if pixels.ndim != 4 or pixels.shape[1:] != (side, side, 3) or not 1 <= pixels.shape[0] <= self.batch_size:
            wanted = f"[1..{self.batch_size}, {side}, {side}, 3]"
            raise ValueError(f"pixels must be {wanted}, not {list(pixels.shape)}")
        contiguous = np.ascontiguousarray(pixels) if isinstance(pixels, np.ndarray) else pixels.contiguous()
        logits = self._engine.infer(contiguous) / np.float32(self.temperature)
        if not np.isfinite(logits).all():
            raise FerFastError("the model gave a value that is not a number; another precision may help")
        exponentials = np.exp(logits - logits.max(axis=1, keepdims=True))
        return exponentials / exponentials.sum(axis=1, keepdims=True)  # type: ignore[no-any-return]

    def predict(self, images: Iterable[ImageLike]) -> list[Prediction]:
        """Classifies images in memory or on disk, cropped to the face.

        Args:
            images: uint8 arrays [height, width, 3] (RGB) or [height, width] (grey), Pillow images, or paths, mixed
                as you like; or one array [images, height, width, 3]. For very many files `classify_folder` overlaps
                the work and keeps memory bounded.

        Returns:
            One prediction an image, in order.

        Raises:
            TypeError: if `images` is one image or path instead of several, or one of them is of another type.
            ValueError: if an array has another shape.
            DecodeError: if a file gives no pixels; the message names it.
            FerFastError: as `predict_batch`.
        """
        one_array = isinstance(images, np.ndarray) and images.ndim != 4
        if one_array or isinstance(images, (str, os.PathLike)) or not isinstance(images, Iterable):
            raise TypeError(f"images must be several images, such as a list, not one {type(images).__name__}")
        every = list(images)
        batches = [every[start : start + self.batch_size] for start in range(0, len(every), self.batch_size)]
        with self._call():
            if len(batches) == 1:
                results = [self._probabilities(self._pixels(every))]
            else:
                with ThreadPoolExecutor(self.streams) as pool:
                    results = list(pool.map(lambda batch: self._probabilities(self._pixels(batch)), batches))
        return [Prediction(self.classes, row) for result in results for row in result]

    def describe(self) -> dict[str, Any]:
        """What runs: the model, its image size, the batch, the decoder, and what the engine says of itself."""
        return {
            "model": self.model,
            "image_size": self.image_size,
            "batch_size": self.batch_size,
            **self._engine.describe(),
            "decoder": self.decoder.name,
            "workers": self.decoder.workers,
            "decoding": self.decoder.runs_on,
        }

    def _release(self) -> None:
        self.decoder.close()
        self._engine.close()

    def __reduce__(self) -> tuple[partial[Classifier], tuple[()]]:
        return partial(type(self), **self._arguments), ()

    def __enter__(self) -> Classifier:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _pixels(self, images: Sequence[ImageLike]) -> npt.NDArray[np.uint8]:
        pixels = np.empty((len(images), self.image_size, self.image_size, 3), np.uint8)
        paths = {place: os.fspath(image) for place, image in enumerate(images) if isinstance(image, (str, os.PathLike))}
        decoded = self.decoder.decode(list(paths.values()))
        for number, failure in decoded.failures:
            raise DecodeError(failure.status, f"{list(paths.values())[number]}: {failure}")
        pixels[list(paths)] = decoded.on_host()
        for place, image in enumerate(images):
            if not isinstance(image, (str, os.PathLike)):
                pixels[place] = pixels_of(image, self.image_size)
        return pixels
