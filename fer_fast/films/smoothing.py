"""The predictions of a track's faces come in one after another; their averages go out.

Causal: an average is of what came until then, so that a camera has it at once and a run that goes on needs no frame
twice. It lags behind by about `seconds`. Each prediction's weight falls with its age, to 1/e after `seconds`: a track's
past is one row, whatever the frame rate, where a window with an edge would have to keep every prediction in it, and
jump when one leaves.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from fer_fast.decode.limits import number
from fer_fast.types import Prediction

#: A track is forgotten when its weight has fallen to e to the power of -20: no float32 shows it any more.
_FORGOTTEN = 20.0


class Smoother:
    """Averages of tracks' probabilities; for one film or camera, on one thread.

    Args:
        seconds: the age at which a prediction counts 1/e of a new one's weight; above 0.

    Raises:
        TypeError, ValueError: `seconds` is none, or out of range.
    """

    def __init__(self, seconds: float) -> None:
        self._seconds = number("seconds", seconds)
        if not 0 < self._seconds < math.inf:
            raise ValueError(f"seconds must be a number above 0, not {seconds!r}")
        self._time = -math.inf
        self._classes: tuple[str, ...] = ()
        # By track: when it last had a prediction, the sum of weights then, the averages, float64 [classes].
        self._tracks: dict[int, tuple[float, float, Any]] = {}

    def update(
        self, time: float, tracks: Sequence[int | None], predictions: Sequence[Prediction | None]
    ) -> list[Prediction | None]:
        """Takes the predictions of the next frame's faces.

        Args:
            time: seconds; not before the last. Times may be uneven.
            tracks: of each face its track; each track once.
            predictions: of each face, all of the same classes.

        Returns:
            Of each face its track's average, this prediction included; None without a track or a prediction.

        Raises:
            ValueError: a time that is not finite or lies before the last, other classes, or as many tracks as not
                predictions.
        """
        if not self._time <= time < math.inf:
            raise ValueError(f"time must be finite and not before the last, {self._time}, not {time!r}")
        if len(tracks) != len(predictions):
            raise ValueError(f"tracks must be as many as predictions, {len(predictions)}, not {len(tracks)}")
        self._time = float(time)
        oldest = self._time - _FORGOTTEN * self._seconds
        self._tracks = {track: past for track, past in self._tracks.items() if past[0] >= oldest}
        return [
            None if track is None or prediction is None else self._average(track, prediction)
            for track, prediction in zip(tracks, predictions, strict=True)
        ]

    def _average(self, track: int, prediction: Prediction) -> Prediction:
        self._classes = self._classes or prediction.classes
        if prediction.classes != self._classes:
            raise ValueError(f"predictions must be of the classes {self._classes}, not {prediction.classes}")
        new = prediction.probabilities.astype(np.float64)
        then, weight, average = self._tracks.get(track, (self._time, 0.0, new))
        weight = weight * math.exp((then - self._time) / self._seconds) + 1
        average = average + (new - average) / weight
        self._tracks[track] = self._time, weight, average
        return Prediction(self._classes, average.astype(np.float32))

    def state(self) -> dict[str, Any]:
        """All that the next averages depend on, for JSON; `of` goes on from it to the same averages."""
        return {
            "seconds": self._seconds,
            "time": self._time if self._time > -math.inf else None,
            "classes": list(self._classes),
            "tracks": [
                [track, then, weight, average.tolist()] for track, (then, weight, average) in self._tracks.items()
            ],
        }

    @classmethod
    def of(cls, state: Mapping[str, Any]) -> Smoother:
        """A smoother that goes on from what `state` gave.

        Raises:
            ValueError: it is something else.
        """
        try:
            smoother = cls(state["seconds"])
            smoother._time = -math.inf if state["time"] is None else float(state["time"])
            smoother._classes = tuple(state["classes"])
            for track, then, weight, average in state["tracks"]:
                averages = np.array(average, np.float64).reshape(len(smoother._classes))
                smoother._tracks[int(track)] = float(then), float(weight), averages
        except (KeyError, TypeError, ValueError) as error:
            raise ValueError(f"state must be what Smoother.state gave, not {str(state)[:100]}") from error
        return smoother
