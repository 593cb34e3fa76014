"""Averages over a track's predictions: by hand, against the sum they stand for, and over states."""

from __future__ import annotations

import json
import math
from typing import Any

import numpy as np
import pytest

from fer_fast.films.smoothing import Smoother
from fer_fast.types import Prediction

CLASSES = ("no", "yes")


def prediction(yes: float, classes: tuple[str, ...] = CLASSES) -> Prediction:
    return Prediction(classes, np.array([1 - yes, yes], np.float32))


def yes(found: list[Prediction | None]) -> list[float | None]:
    return [None if each is None else round(float(each.probabilities[1]), 6) for each in found]


def test_a_case_worked_by_hand() -> None:
    """After ln 2 times `seconds` a prediction counts a half."""
    smoother, half = Smoother(1.0), math.log(2)
    assert yes(smoother.update(0.0, [0], [prediction(0.9)])) == [0.9]
    # (0.9 / 2 + 0.3) / 1.5
    assert yes(smoother.update(half, [0], [prediction(0.3)])) == [0.5]
    # (0.9 / 8 + 0.3 / 4 + 1) / 1.375
    assert yes(smoother.update(3 * half, [0], [prediction(1.0)])) == [round(1.1875 / 1.375, 6)]


def test_it_is_the_weighted_mean_of_all_until_then() -> None:
    rng = np.random.default_rng(3)
    times = np.cumsum(rng.uniform(0, 0.3, 200))
    rows = rng.dirichlet([1, 1, 1], 200).astype(np.float32)
    smoother = Smoother(0.4)
    for last, time in enumerate(times.tolist()):
        (found,) = smoother.update(time, [7], [Prediction(("a", "b", "c"), rows[last])])
        assert found is not None
        weights = np.exp((times[: last + 1] - time) / 0.4)
        np.testing.assert_allclose(found.probabilities, weights @ rows[: last + 1] / weights.sum(), atol=1e-6)
        assert found.probabilities.dtype == np.float32
        assert found.probabilities.sum() == pytest.approx(1, abs=1e-6)


def test_tracks_are_apart_and_what_has_none_has_no_average() -> None:
    smoother = Smoother(1e9)
    smoother.update(0.0, [0, 1], [prediction(0.2), prediction(1.0)])
    found = smoother.update(1.0, [1, None, 0, 2], [prediction(0.5), prediction(0.7), prediction(0.4), None])
    assert yes(found) == [0.75, None, 0.3, None]
    assert yes(smoother.update(2.0, [2], [prediction(0.1)])) == [0.1]


def test_a_gap_ages_what_was_before() -> None:
    smoother = Smoother(0.5)
    for number in range(50):
        smoother.update(number / 25, [0], [prediction(0.0)])
    (found,) = yes(smoother.update(12.0, [0], [prediction(1.0)]))
    assert found == 1.0


def test_what_was_given_does_not_change_any_more() -> None:
    smoother, first = Smoother(1.0), prediction(0.5)
    (found,) = smoother.update(0.0, [0], [first])
    smoother.update(0.1, [0], [prediction(0.0)])
    assert yes([found, first]) == [0.5, 0.5]


def test_it_goes_on_from_its_state_to_the_same_averages() -> None:
    rng = np.random.default_rng(5)
    whole = halved = Smoother(0.3)
    halved = Smoother.of(json.loads(json.dumps(whole.state())))
    for number in range(60):
        time = number / 25
        tracks = [track for track in range(4) if rng.random() < 0.8]
        predictions = [prediction(float(rng.random())) for _ in tracks]
        assert halved.update(time, tracks, predictions) == whole.update(time, tracks, predictions)
        assert halved.state() == whole.state()
        halved = Smoother.of(json.loads(json.dumps(halved.state())))


def test_tracks_that_are_over_are_forgotten() -> None:
    smoother = Smoother(0.5)
    for number in range(1000):
        smoother.update(number, [number, number + 1], [prediction(0.5)] * 2)
    assert len(smoother.state()["tracks"]) <= 13


@pytest.mark.parametrize("seconds", [0, -1, math.inf, math.nan])
def test_refused_numbers(seconds: float) -> None:
    with pytest.raises(ValueError, match=r"seconds must be a number"):
        Smoother(seconds)


@pytest.mark.parametrize("seconds", ["1", True, None])
def test_refused_types(seconds: Any) -> None:
    with pytest.raises(TypeError, match=r"seconds must be a number"):
        Smoother(seconds)


def test_refused_frames() -> None:
    smoother = Smoother(1.0)
    smoother.update(1.0, [0], [prediction(0.5)])
    for time in (0.9, math.nan, math.inf):
        with pytest.raises(ValueError, match=r"time must be finite and not before the last, 1\.0, not "):
            smoother.update(time, [], [])
    with pytest.raises(ValueError, match="tracks must be as many as predictions, 1, not 0"):
        smoother.update(1.0, [], [prediction(0.5)])
    with pytest.raises(ValueError, match="predictions must be of the classes"):
        smoother.update(1.0, [0], [prediction(0.5, ("yes", "no"))])


@pytest.mark.parametrize("state", [{}, {"seconds": 1.0}, None, [], "state"])
def test_refused_states(state: Any) -> None:
    with pytest.raises(ValueError, match=r"state must be what Smoother\.state gave, not"):
        Smoother.of(state)
    damaged = Smoother(1.0)
    damaged.update(0.0, [0], [prediction(0.5)])
    with pytest.raises(ValueError, match=r"Smoother\.state"):
        Smoother.of(damaged.state() | {"classes": ["no"]})
