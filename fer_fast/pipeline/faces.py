"""A classifier and a face finder come in, one that classifies the faces in photos goes out."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from concurrent.futures import Future
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from fer_fast.decode.choice import LIBRARIES
from fer_fast.engines.opened import Opened
from fer_fast.machine.begun import begun
from fer_fast.types import ItemRows, Row, Status

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from fer_fast.decode import Decoder, Pixels
    from fer_fast.faces.decoder import CropSink
    from fer_fast.faces.finder import FaceFinder
    from fer_fast.pipeline.batches import BatchClassifier

#: What a run makes of a picture: it is a face, or its faces are looked for.
FACES: tuple[str, ...] = ("none", "all", "largest")

#: Of a box's longer side in pixels of the photo: labels of smaller faces are less certain, of yet smaller ones none.
SMALL, SMALLEST = 32, 24

#: Batches of the model that may wait for it.
_BATCHES = 4


class FaceClassifier:
    """A classifier whose decoder finds faces; a `BatchClassifier`.

    Args:
        classifier: what classifies.
        finder: what finds faces.
        faces: which of them count, all or largest.
        crops: see `CropSink`.
        owned: what is closed with it.

    Attributes:
        settings: what rows depend on besides the classifier.
        looking: how faces are found and cut.
        crops: who gets them.
    """

    def __init__(
        self,
        classifier: BatchClassifier,
        finder: FaceFinder,
        faces: str,
        crops: CropSink | None = None,
        owned: tuple[BatchClassifier | FaceFinder, ...] = (),
    ) -> None:
        from fer_fast.faces.decoder import FaceDecoder  # Pillow and numpy: only once there is work

        self.classes, self.batch_size, self.streams = classifier.classes, classifier.batch_size, classifier.streams
        self.identity, self.model = classifier.identity, getattr(classifier, "model", "")
        self.settings = {"faces": faces, "finder": finder.identity}
        self._classifier, self._finder, self._owned = classifier, finder, owned
        own = classifier.decoder
        most = _BATCHES * classifier.streams * classifier.batch_size
        framing = getattr(classifier, "framing", "points")
        decoder = FaceDecoder(
            finder, own.image_size, framing, faces, own.workers, own.limits, most_waiting=most, crops=crops
        )
        self.decoder: Decoder = decoder
        self.looking, self.crops = decoder.looking, crops

    def predict_batch(self, pixels: Pixels) -> npt.NDArray[np.float32]:
        """See `BatchClassifier`."""
        return self._classifier.predict_batch(pixels)

    def describe(self) -> dict[str, Any]:
        """See `BatchClassifier`."""
        found = {f"finder_{name}" if name != "finder" else name: each for name, each in self._finder.describe().items()}
        return self._classifier.describe() | {"decoder": self.decoder.name, "decoding": self.decoder.runs_on} | found

    def close(self) -> None:
        """Closes its decoder, and what it owns."""
        self.decoder.close()
        for each in self._owned:
            each.close()


def check_faces(
    faces: str,
    finder: FaceFinder | Mapping[str, Any] | None,
    options: Mapping[str, Any],
    crops: CropSink | None = None,
) -> None:
    """Refuses a run over photos that cannot be, before anything is opened.

    Raises:
        ValueError: an unknown name, a finder or `crops` where no faces are looked for, or a library's decoder
            where they are.
        TypeError: the finder is something else.
        FerFastError: the finder is closed, or was opened before a fork.
    """
    if faces not in FACES:
        raise ValueError(f"faces must be one of {', '.join(FACES)}, not {faces!r}")
    if faces == "none":
        if finder is not None:
            raise ValueError("a finder is for faces 'all' or 'largest', not 'none'")
        if crops is not None:
            raise ValueError("crops are for faces 'all' or 'largest', not 'none'")
        return
    if (decoder := options.get("decoder")) in LIBRARIES:
        raise ValueError(
            f"faces are found in photos that Pillow decodes: decoder must be auto or pillow, not {decoder!r}"
        )
    if not (finder is None or isinstance(finder, Mapping) or hasattr(finder, "find_in")):
        raise TypeError(f"finder must be a FaceFinder, a mapping of its arguments or None, not {finder!r}")
    if isinstance(finder, Opened):
        finder.check_open()


def open_faces(
    classifier: BatchClassifier | None,
    finder: FaceFinder | Mapping[str, Any] | None,
    faces: str,
    options: Mapping[str, Any],
    opened: Callable[[dict[str, Any]], BatchClassifier],
    crops: CropSink | None = None,
) -> FaceClassifier:
    """Opens what is not given, both at the same time.

    Args:
        classifier: None is `opened(options)`.
        finder: None is a `FaceFinder` as it is by default, a mapping one with these arguments; on the classifier's
            device.
        faces, crops: see `FaceClassifier`.
        options, opened: make a classifier.

    Raises:
        Exception: what either raises.
    """
    owned: list[BatchClassifier | FaceFinder] = []
    given, finding = None, None
    if finder is None or isinstance(finder, Mapping):
        device = options.get("device", getattr(classifier, "device", "auto"))
        arguments = {"device": device, **(finder or {})}
        finding = begun(lambda: _finder(arguments), "fer-fast-open-finder")
    else:
        given = finder
    try:
        if classifier is None:
            classifier = opened({**options, "decoder": "pillow"})
            owned.append(classifier)
        if finding is not None:
            given = finding.result()
            owned.append(given)
        assert given is not None
        return FaceClassifier(classifier, given, faces, crops, tuple(owned))
    except BaseException:
        if finding is not None:
            finding.add_done_callback(_close_result)
        for each in owned:
            each.close()
        raise


def judged(row: Row) -> Row:
    """This row, abstained if its face is too small to be told."""
    if row.prediction is None or longer_side(row) >= SMALLEST:
        return row
    return replace(row, status=Status.ABSTAINED)


def small_faces(results: list[ItemRows]) -> int:
    """How many faces of some photos are small."""
    return sum(longer_side(row) < SMALL for result in results for row in result.rows if row.prediction is not None)


def longer_side(row: Row) -> float:
    """Of a face's box, in pixels of its photo."""
    width, height = row.cells[3:5]
    return float(max(width, height))


def _finder(arguments: dict[str, Any]) -> FaceFinder:
    from fer_fast.faces.finder import FaceFinder

    return FaceFinder(**arguments)


def _close_result(future: Future[FaceFinder]) -> None:
    if future.exception() is None:
        future.result().close()
