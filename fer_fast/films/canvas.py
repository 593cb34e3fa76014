"""A frame and its faces come in; what is shown of both goes out, all frames of one size."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from fer_fast.decode.views import reduced_size
from fer_fast.films.classify import FrameFaces, TrackedFace
from fer_fast.reports import legend
from fer_fast.reports.drawing import draw_in_film
from fer_fast.reports.marks import Mark, mark_of
from fer_fast.reports.notes import GROUND

if TYPE_CHECKING:
    import numpy.typing as npt

    from fer_fast.films.frame import Frame

    Pixels = npt.NDArray[np.uint8]

_BOX = ("x", "y", "width", "height")


def label_of(face: TrackedFace) -> str:
    """What a face is called: by the average over its track where there is one."""
    prediction = face.smoothed or face.face.prediction
    return "" if prediction is None else prediction.label


class Canvas:
    """What frames are drawn on: beneath each stands what the colours mean, so that all are of one size.

    Args:
        film: width and height of its frames.
        longest: of what is drawn.
        classes: of the predictions.

    Attributes:
        size: width and height, both even.
    """

    def __init__(self, film: tuple[int, int], longest: int, classes: Sequence[str]) -> None:
        self._longest, self._classes = longest, tuple(classes)
        wide, self._tall = reduced_size(film, longest)
        self._factor = wide / film[0]
        foot = legend.strip(legend.names(classes), wide, max(wide, self._tall))
        self.size = foot.width + foot.width % 2, (height := self._tall + foot.height) + height % 2
        self._ground = Image.new("RGB", self.size, GROUND)
        self._ground.paste(foot, (0, self._tall))

    def drawn(self, frame: Frame, faces: Sequence[TrackedFace], label: Callable[[TrackedFace], str]) -> Pixels:
        """A frame with its faces, uint8 RGB [height, width, 3].

        Raises:
            ValueError: a prediction has other classes.
            DecodeError: the frame cannot be made RGB.
        """
        picture = Image.fromarray(frame.reduced(self._longest))
        draw_in_film(picture, [mark for face in faces if (mark := self._mark(face, label))])
        whole = self._ground.copy()
        whole.paste(picture)
        return np.asarray(whole)

    def _mark(self, face: TrackedFace, label: Callable[[TrackedFace], str]) -> Mark | None:
        prediction = face.smoothed or face.face.prediction
        if prediction is None:
            return None
        if prediction.classes != self._classes:
            raise ValueError(f"classes must be those of the predictions, {prediction.classes}, not {self._classes}")
        name = "" if face.track is None else f"#{face.track}"
        return replace(mark_of(face.face, prediction, self._factor), label=label(face), name=name)


def between(last: FrameFaces, look: FrameFaces, time: float) -> list[TrackedFace]:
    """The faces of a look, a while later.

    Args:
        last: the look.
        look: the next one: faces of a track that is in both have moved a part of the way to it.
        time: seconds, between the two.
    """
    share = (time - last.time) / (look.time - last.time) if last.time < time < look.time else 0.0
    ends = {each.track: each.face for each in look.faces if each.track is not None}
    moved = []
    for each in last.faces:
        face, end = each.face, None if each.track is None else ends.get(each.track)
        if end is not None and share:
            box = {name: (1 - share) * getattr(face, name) + share * getattr(end, name) for name in _BOX}
            each = replace(each, face=replace(face, **box))
        moved.append(each)
    return moved
