"""How faces are expected to move: the process by its own laws, the filter by what it says of itself."""

from __future__ import annotations

import numpy as np
import pytest

from fer_fast.films import motion

SEEN = np.array([[100.0, 50.0, np.log(40.0)], [300.0, 80.0, np.log(20.0)]])


def tracks(*times: float, speed: float = 0.0) -> np.ndarray:
    """Both faces, seen so often, going to the right."""
    found = motion.begun(SEEN, times[0])
    for time in times[1:]:
        moved = SEEN + np.array([speed * (time - times[0]), 0, 0])
        found = motion.continued(motion.ahead(found, time), [0, 1], moved, time)
    return found


def test_what_is_seen_of_a_box() -> None:
    np.testing.assert_allclose(motion.seen_of(np.array([[10.0, 20.0, 8.0, 2.0]])), [[14.0, 21.0, np.log(4.0)]])


def test_a_new_face_is_expected_where_it_was() -> None:
    soon, late = (motion.ahead(tracks(1.0), time) for time in (1.04, 2.0))
    np.testing.assert_array_equal(soon.centres, SEEN[:, :2])
    np.testing.assert_array_equal(late.centres, SEEN[:, :2])
    assert (late.place > 10 * soon.place).all() and (late.size > soon.size).all()


def test_expectations_are_the_same_in_one_step_or_two() -> None:
    """As the process has no memory but its state: an uneven film is no other film."""
    rows = tracks(0.0, 0.04, 0.1, speed=60)
    half = motion.ahead(rows, 0.4)
    rows_then = rows.copy()
    rows_then[:, :7] = np.column_stack([half.centres, half.velocities, half.place, half.both, half.velocity])
    rows_then[:, motion.SEEN] = 0.4
    once, twice = motion.ahead(rows, 0.9), motion.ahead(rows_then, 0.9)
    for name in ("centres", "velocities", "place", "both", "velocity"):
        np.testing.assert_allclose(getattr(once, name), getattr(twice, name), rtol=1e-12, err_msg=name)


def test_what_is_seen_is_joined_as_by_any_kalman_filter() -> None:
    """In matrices, a coordinate by itself; in sizes of the face."""
    rows = tracks(0.0, 0.04, 0.1, speed=60)
    before, seen = motion.ahead(rows, 0.3), SEEN + np.array([9, 4, 0.0])
    after = motion.ahead(motion.continued(before, [0, 1], seen, 0.3), 0.3)
    error = motion.begun(SEEN, 0.0)[0, 4]  # what is known of a place that was seen once
    for face, size in enumerate(np.exp(SEEN[:, 2])):
        covariance = np.array([[before.place[face], before.both[face]], [before.both[face], before.velocity[face]]])
        gain = covariance[:, 0] / (covariance[0, 0] + error)
        left = covariance - np.outer(gain, covariance[0])
        found = [after.place[face], after.both[face], after.velocity[face]]
        np.testing.assert_allclose(found, [left[0, 0], left[0, 1], left[1, 1]], rtol=1e-12)
        for axis in range(2):
            state = np.array([before.centres[face, axis], before.velocities[face, axis]]) / size
            joined = (state + gain * (seen[face, axis] / size - state[0])) * size
            np.testing.assert_allclose([after.centres[face, axis], after.velocities[face, axis]], joined, rtol=1e-12)


def test_variances_are_those_of_simulated_faces() -> None:
    """Euler's method in small steps, without a formula for the integral."""
    rng = np.random.default_rng(1)
    seconds, step = 0.6, 0.002
    expected = motion.ahead(motion.begun(SEEN[:1], 0.0), seconds)
    start = motion.begun(SEEN[:1], 0.0)[0]
    place = rng.normal(0, np.sqrt(start[4]), 20_000)
    velocity = rng.normal(0, np.sqrt(start[6]), 20_000)
    usual, memory = start[6], 0.8
    for _ in range(round(seconds / step)):
        place += velocity * step
        velocity += -velocity * step / memory + rng.normal(0, np.sqrt(2 * usual / memory * step), len(velocity))
    found = np.cov(place, velocity)
    np.testing.assert_allclose(found[0, 0], expected.place[0], rtol=0.05)
    np.testing.assert_allclose(found[0, 1], expected.both[0], rtol=0.05)
    np.testing.assert_allclose(found[1, 1], expected.velocity[0], rtol=0.05)


def test_a_velocity_is_learnt_and_fades() -> None:
    rows = tracks(*np.arange(0, 1, 0.04).tolist(), speed=80)
    last = SEEN[0, 0] + 80 * 0.96
    soon, late, very_late = (motion.ahead(rows, time).centres[0, 0] - last for time in (1.0, 1.5, 100.0))
    assert soon == pytest.approx(80 * 0.04, abs=2)
    assert 10 < late < 80 * 0.54
    assert late < very_late < 80


def test_however_long_it_is_a_face_is_not_expected_at_the_end_of_the_world() -> None:
    early, late = (motion.ahead(tracks(0.0), time) for time in (10.0, 1e6))
    np.testing.assert_array_equal(early.place, late.place)
    assert np.isfinite(np.concatenate([np.ravel(values) for values in late])).all()


def test_nothing_depends_on_the_size_of_pixels() -> None:
    """A film of twice the resolution has the same tracks."""
    rows, near = tracks(0.0, 0.04, 0.08, speed=60), SEEN + np.array([7, -3, 0.1])
    large = rows.copy()
    large[:, :4] *= 2
    large[:, 7] += np.log(2)
    found = motion.costs(motion.ahead(rows, 0.12), near)
    np.testing.assert_allclose(
        motion.costs(motion.ahead(large, 0.12), near * [2, 2, 1] + [0, 0, np.log(2)]), found, rtol=1e-9, atol=1e-9
    )
    assert (np.diagonal(found) < 0).all() and found[0, 1] > 0 and found[1, 0] > 0


def test_what_is_nearer_and_of_a_like_size_is_likelier() -> None:
    expected = motion.ahead(tracks(0.0, 0.04), 0.08)
    offs = [[0, 0, 0], [10, 0, 0], [0, -20, 0], [0, 0, 0.2], [0, 0, -0.4]]
    costs = motion.costs(expected, SEEN[0] + np.array(offs))[0]
    assert costs[0] == costs.min() and costs[1] < costs[2] and costs[3] < costs[4]


def test_of_two_tracks_the_better_known_one_has_the_face() -> None:
    """One that was lost long ago could be anywhere: it does not take another's face that happens to be nearer."""
    rows = tracks(0.0, 0.04)
    rows[1] = rows[0]
    rows[1, 0] += 10
    rows[1, motion.SEEN] = -0.9
    costs = motion.costs(motion.ahead(rows, 0.08), SEEN[:1] + np.array([6, 0, 0]))[:, 0]
    assert costs[0] < costs[1] < 0
