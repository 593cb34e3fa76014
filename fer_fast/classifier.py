"""The one object that users hold: pixels come in, probabilities go out."""

from __future__ import annotations

import threading
from collections.abc import Callable, Generator, Iterable
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from numbers import Integral
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from fer_fast.decode import DEFAULT_MAX_PIXELS, DEFAULT_MAX_SECONDS, Decoder, check_decoder, open_decoder
from fer_fast.decode.images import check_images
from fer_fast.decode.limits import check_count
from fer_fast.engines import open_engine
from fer_fast.engines.opened import Opened
from fer_fast.face_predictions import predict_faces
from fer_fast.faces.looking import Looking, check_choice
from fer_fast.models.files.exported import ExportedModel
from fer_fast.models.files.opening import about_classifier, begin_classifier
from fer_fast.models.files.paths import packaged_models
from fer_fast.models.prior import by_class, prior_text, ratios_of, shares_of, with_ratios
from fer_fast.predictions import Means, Predictions
from fer_fast.types import Face, FerFastError, Prediction

if TYPE_CHECKING:
    import numpy.typing as npt

    from fer_fast.decode import Pixels
    from fer_fast.faces.finder import FaceFinder
    from fer_fast.models.prior import PriorLike
    from fer_fast.predictions import ImageLike

#: Large enough that a batch's fixed cost vanishes, small enough that its activations stay near the caches.
DEFAULT_BATCH_SIZE = 32


class Classifier(Opened):
    """Classifies facial expressions; safe to use from many threads at once, and a context manager.

    It belongs to the process that opened it. Pickled, it is opened anew with the same arguments where it is unpickled;
    in a forked child its calls raise, and a new one is to be opened.

    Args:
        model: the name of a packaged model, or the path of a .safetensors checkpoint or of what `fer-fast export`
            wrote: an .xml or an .onnx, which OpenVINO runs, or an .engine, which TensorRT runs.
        device: auto, cpu, cuda, cuda:N, or several cards as cuda:0,cuda:1.
        engine: auto, openvino, torch, tensorrt or tensorrt-fused; on a card auto measures, see docs/gpu.md.
        precision: auto, fp32, bf16, fp16 or int8; of an exported model auto or, for OpenVINO, fp32 or bf16: what was
            exported in int8 stays so, and the rest is computed in it.
        batch_size: images that the engine takes at once; None chooses, or is what the model was exported for.
        workers: files decoded at once; None takes the processors that this process may use.
        decoder: auto, pillow or dali; auto is DALI on a GPU, where it is installed.
        max_pixels: an image with more is refused, in a file or in memory; an encoded one is not decoded then.
        max_memory, max_seconds: what decoding a file may cost besides; see `fer_fast.decode.open_decoder`.
        prior: the mix of classes that the probabilities are to presume: train, that of the training, or what an export
            was made for; balanced; or shares by class as a mapping, as text or in a file; see
            `fer_fast.models.prior.shares_of`. Of a model that does not say its training's mix train alone.

    Attributes:
        classes: names of the probabilities' columns.
        image_size: side in pixels of what the model sees.
        framing: how the faces of a photo are cut for it, one of `fer_fast.models.config.FRAMINGS`.
        batch_size: the largest batch that `predict_batch` takes.
        streams: how many calls of `predict_batch` at once keep the engine busy.
        device: as it was asked for; a finder that is opened for this runs there, too.
        decoder: turns files into pixels for this model.
        prior: the mix that the probabilities presume, in words.
        identity: the model, the precision it runs in and the prior, if it is not train, for telling runs apart.

    Raises:
        ValueError: on an unknown name or a number out of range; the message names the known ones.
        CheckpointError: if the model is missing, damaged or of the wrong shape.
        MissingExtraError: if the engine, the device or the decoder needs a package that is not installed.
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
        prior: PriorLike = "train",
    ) -> None:
        super().__init__()
        found = begin_classifier(model)
        about = about_classifier(found)
        shares = shares_of(prior, about.classes)
        self._ratios = ratios_of(shares, about.prior, about.classes)
        self.prior = prior_text(shares, about.classes)
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
            "prior": by_class(shares, about.classes),
        }
        self.model, self.device = str(model), device
        self.classes, self.image_size, self.framing = about.classes, about.image_size, about.framing
        self._temperature: float | None = None  # what is exported answers with probabilities, a checkpoint with logits
        if isinstance(found, ExportedModel):
            usual = found.description.batch_size
        else:
            usual, self._temperature = DEFAULT_BATCH_SIZE, found.config.temperature
        self.batch_size = usual if batch_size is None else batch_size
        # Before an engine is compiled.
        check_count("batch_size", batch_size)
        check_decoder(decoder, self.image_size, workers, max_pixels, max_memory, max_seconds)
        self._engine = open_engine(found, engine=engine, device=device, precision=precision, batch_size=self.batch_size)
        try:
            self.decoder: Decoder = open_decoder(
                decoder, self.image_size, workers, max_pixels, self._engine.device, max_memory, max_seconds
            )
        except BaseException:
            self._engine.close()
            raise
        self._finder: FaceFinder | None = None
        self._finder_lock = threading.Lock()
        self.streams = self._engine.streams
        ran = self._engine.describe()
        ways = [ran[name] for name in ("engine", "precision", "rest") if name in ran]
        mix = [] if self._ratios is None else [f"prior {self.prior}"]
        self.identity = " ".join([found.digest, *ways, *mix])

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
        answer = self._engine.infer(contiguous)
        if not np.isfinite(answer).all():
            raise FerFastError("the model gave a value that is not a number; another precision may help")
        probabilities = answer if self._temperature is None else _softmax(answer / np.float32(self._temperature))
        return probabilities if self._ratios is None else with_ratios(probabilities, self._ratios)

    def predict(self, images: Iterable[ImageLike], *, exif: bool = True) -> list[Prediction]:
        """Classifies images in memory or on disk, cropped to the face; `predict_iter` says more.

        Args:
            images: as for `predict_iter`. They are taken one by one, however many there are; for very many files
                `classify_folder` keeps the answers on disk, and goes on after a broken one.
            exif: as for `predict_iter`.

        Returns:
            One prediction an image, in order.

        Raises:
            Exception: as `predict_iter`, at the first image that gives no prediction.
        """
        check_images(images, exif)
        with self._call():
            return list(Predictions(images, self._means(nullcontext), exif=exif))

    def predict_iter(
        self, images: Iterable[ImageLike], *, ahead: int | None = None, exif: bool = True
    ) -> Generator[Prediction, None, None]:
        """Classifies images as they come; memory does not grow with their number.

        Each image is taken on the caller's thread, and copied before the next one is taken, so that a camera or a film
        may write all of its frames to one buffer. In a list, a tuple or an array images are not copied: they are to
        stay as they are until they are answered.

        By default images are taken some batches ahead of the answers, and a batch waits until it is full: right for
        a million files. A live source wants `ahead=0`: each image is answered before the next one is taken.

        Args:
            images: mixed as you like, of these kinds: paths; uint8 arrays [height, width, 3] (RGB) or [height, width]
                (grey); Pillow images; encoded image files as bytes, bytearray, memoryview or binary file object. Or
                one array [images, height, width, 3]. bytes are never a path. A file object that can seek is read from
                its beginning, and stands afterwards where it stood.
            ahead: images that are taken at most before an earlier one is answered; None is as many as keep the engine
                busy, 2 `streams` + 2 batches.
            exif: False leaves Pillow images as Pillow loads them: they may have been turned by hand and have kept
                their EXIF orientation, and would be turned once more. Files, by path or encoded in memory, are turned
                as their EXIF says whatever this is; arrays have no EXIF.

        Returns:
            An iterator of one prediction an image, in order. Its `close`, and its end, leave no thread behind.

        Raises:
            TypeError: if `images` is one image instead of several, `ahead` is no integer or `exif` no bool; while
                iterating, if an image is of another type.
            ValueError: if `ahead` is negative; while iterating, if an array has another shape.
            DecodeError: while iterating, if an image gives no pixels or has more than `max_pixels`, in a file or in
                memory; the message has its path, or its place as images[3].
            FerFastError: at once and while iterating, as `predict_batch`.
            Exception: while iterating, whatever `images` raises. It and all that is raised for one image come once the
                images before are answered.
        """
        check_images(images, exif)
        if ahead is not None:
            if isinstance(ahead, bool) or not isinstance(ahead, Integral):
                raise TypeError(f"ahead must be None or an integer of 0 or more, not {ahead!r}")
            if ahead < 0:
                raise ValueError(f"ahead must be None or an integer of 0 or more, not {ahead}")
        with self._call():
            return iter(Predictions(images, self._means(self._call), ahead, exif))

    def predict_faces(
        self, images: Iterable[ImageLike], *, faces: str = "all", finder: FaceFinder | None = None, exif: bool = True
    ) -> list[list[Face]]:
        """Finds the faces in photos and classifies them; batches are filled across photos.

        Args:
            images: as for `predict_iter`; not cropped.
            faces: which faces count: all, or the largest of each photo.
            finder: what finds them; None is a `FaceFinder` as it is by default, opened once and closed with this.
            exif: as for `predict_iter`.

        Returns:
            Of each image its faces by falling area, each with its prediction; an empty list where none was found.

        Raises:
            ValueError: `faces` is another word.
            TypeError: `finder` is something else.
            Exception: else as `predict`, at the first image that gives no pixels; an image without a face gives some.
        """
        check_images(images, exif)
        check_choice(faces)
        with self._call():
            own = self.own_finder() if finder is None else finder
            looking = Looking(own, self.image_size, self.framing, faces)
            return predict_faces(images, self._means(nullcontext), looking, exif)

    def own_finder(self) -> FaceFinder:
        """The finder of whoever brings none: as it is by default, on this device; opened once and closed with this."""
        from fer_fast.faces.finder import FaceFinder  # for nobody who has faces already

        with self._finder_lock:
            if self._finder is None:
                self._finder = FaceFinder(device=self.device)
            return self._finder

    def describe(self) -> dict[str, Any]:
        """What runs: the model, its image size, prior and batch, the decoder, and what the engine says of itself."""
        return {
            "model": self.model,
            "image_size": self.image_size,
            "prior": self.prior,
            "batch_size": self.batch_size,
            **self._engine.describe(),
            "decoder": self.decoder.name,
            "workers": self.decoder.workers,
            "decoding": self.decoder.runs_on,
        }

    def _release(self) -> None:
        self.decoder.close()
        self._engine.close()
        if self._finder is not None:
            self._finder.close()

    def __reduce__(self) -> tuple[partial[Classifier], tuple[()]]:
        return partial(type(self), **self._arguments), ()

    def _means(self, call: Callable[[], AbstractContextManager[None]]) -> Means:
        infer = self._probabilities
        return Means(self.classes, self.image_size, self.batch_size, self.streams, self.decoder, infer, call)


def _softmax(logits: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    exponentials = np.exp(logits - logits.max(axis=1, keepdims=True))
    return exponentials / exponentials.sum(axis=1, keepdims=True)  # type: ignore[no-any-return]
