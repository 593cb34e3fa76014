"""A face and its prediction come in; what is drawn of it goes out, in pixels of the picture."""

from __future__ import annotations

from dataclasses import dataclass

from fer_fast.types import Face, Prediction


@dataclass(frozen=True, slots=True)
class Mark:
    """A face as it is drawn.

    Attributes:
        x, y, width, height: of its box, in pixels of the picture.
        prediction: its probabilities.
        label: what it is called; empty where it is not sure enough.
        name: what tells it from other faces, before the label; empty where nothing does.
    """

    x: float
    y: float
    width: float
    height: float
    prediction: Prediction
    label: str
    name: str = ""

    @property
    def side(self) -> float:
        """The longer one of the box."""
        return max(self.width, self.height)


def mark_of(face: Face, prediction: Prediction, factor: float) -> Mark:
    """The mark of a face in a photo that is shown so many times as large."""
    x, y, width, height = (factor * length for length in (face.x, face.y, face.width, face.height))
    return Mark(x, y, width, height, prediction, prediction.label)
