"""What a run is to be done with comes in; what classifies, and what rows depend on besides their files, goes out."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from fer_fast.pipeline.faces import FaceClassifier, open_faces
from fer_fast.types import Column

if TYPE_CHECKING:
    from fer_fast.faces.decoder import CropSink
    from fer_fast.faces.finder import FaceFinder
    from fer_fast.pipeline.batches import BatchClassifier


class About(NamedTuple):
    """What a table needs to know of what classifies.

    Attributes:
        classes: the names of the probabilities.
        columns: that the decoder adds.
        settings: what rows depend on besides their files.
        model: what it was called, for messages.
    """

    classes: tuple[str, ...]
    columns: tuple[Column, ...]
    settings: dict[str, Any]
    model: str


def about_of(classifier: BatchClassifier) -> About:
    """What a table needs to know of a classifier in this process."""
    decoder = classifier.decoder
    settings = {
        "model": classifier.identity,
        "decoder": decoder.name,
        "max_pixels": decoder.limits.max_pixels,
        **(classifier.settings if isinstance(classifier, FaceClassifier) else {}),
    }
    return About(classifier.classes, decoder.columns, settings, getattr(classifier, "model", ""))


def open_runner(
    classifier: BatchClassifier | None,
    options: dict[str, Any],
    faces: str,
    finder: FaceFinder | Mapping[str, Any] | None,
    crops: CropSink | None = None,
) -> BatchClassifier:
    """What classifies: the given classifier, one that is opened here, or either with a finder.

    Args:
        classifier, faces, finder, crops: see `classify_folder`.
        options: of the classifier that is opened.
    """
    if faces != "none":
        return open_faces(classifier, finder, faces, options, _open, crops)
    return classifier if classifier is not None else _open(options)


def _open(options: dict[str, Any]) -> BatchClassifier:
    from fer_fast.classifier import Classifier  # torch takes seconds: only once there is work

    return Classifier(**options)
