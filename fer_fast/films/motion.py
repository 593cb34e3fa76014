"""Tracks and a later time come in; how likely each face continues each of them goes out, and what is known of it then.

A velocity fades and is renewed (an Ornstein-Uhlenbeck process), and with it a face's place after any time has a normal
distribution: exact however uneven the times are, and over a gap a face does not run away as at constant velocity. What
is seen of it is joined by a Kalman filter. Lengths are in sizes of the face, the root of its box's area: so one
variance is that of both coordinates, and what is twice as large may move twice as far.

A face's cost is twice the logarithm of how much likelier it is to be new than to continue a track. Against the overlap
of boxes, by which ByteTrack pairs, that counts how well a track is known, and has no limit at which boxes no longer
touch. The numbers below were chosen by how often drawn faces change theirs, at 5 to 25 looks a second. Only the error
of a place decides much: with half of it a camera that shakes makes new faces, with twice as much a velocity takes
longer to be known.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    import numpy.typing as npt

    Array = npt.NDArray[np.float64]

#: The usual speed in sizes a second, and the seconds after which a velocity has faded to 1/e.
_SPEED, _MEMORY = 1.5, 0.8
#: Sizes: however long a face was not seen, it is not expected farther away. Who is still there has mostly stayed.
_FARTHEST = 2.0
#: By how many sizes a box misses its face's place, the camera's shaking included, and by what part its size.
_PLACE_ERROR, _SIZE_ERROR = 0.12, 0.1
#: By what part a size changes in a second.
_GROWTH = 0.4
#: New faces that are to be expected in a square of a face's size, of sizes within a factor of e.
_NEW = 0.005

#: Columns of a track, as when its face was last seen: the centre in pixels, the velocity in pixels a second; the
#: variances of place and velocity and their covariance, in sizes; the logarithm of the size in pixels; when that was.
COLUMNS = 9
SEEN = 8
_CENTRE, _VELOCITY, _PLACE_VARIANCE, _COVARIANCE, _VELOCITY_VARIANCE, _SIZE = slice(0, 2), slice(2, 4), 4, 5, 6, 7


def seen_of(boxes: Array) -> Array:
    """What tracks know faces by: [faces, 3], their centres in pixels and the logarithms of their sizes.

    Args:
        boxes: [faces, 4], x, y, width and height in pixels.
    """
    sizes = np.log(boxes[:, 2:]).mean(axis=1, keepdims=True)
    return np.concatenate([boxes[:, :2] + boxes[:, 2:] / 2, sizes], axis=1)


def begun(seen: Array, time: float) -> Array:
    """Tracks [faces, COLUMNS] of new faces."""
    tracks = np.zeros((len(seen), COLUMNS))
    tracks[:, _CENTRE], tracks[:, _SIZE], tracks[:, SEEN] = seen[:, :2], seen[:, 2], time
    tracks[:, _PLACE_VARIANCE], tracks[:, _VELOCITY_VARIANCE] = _PLACE_ERROR**2, _SPEED**2
    return tracks


class Ahead(NamedTuple):
    """What is to be expected of tracks at a time.

    Attributes:
        centres, velocities: [tracks, 2], in pixels and pixels a second.
        place, both, velocity: [tracks], the variance of the place, its covariance with the velocity, and the
            velocity's variance.
        sizes, size: [tracks], the logarithm of the size and its variance.
    """

    centres: Array
    velocities: Array
    place: Array
    both: Array
    velocity: Array
    sizes: Array
    size: Array


def ahead(tracks: Array, time: float) -> Ahead:
    """What is to be expected of tracks [tracks, COLUMNS] at a time, in seconds."""
    elapsed = time - tracks[:, SEEN]
    fade = np.exp(elapsed / -_MEMORY)
    reach = _MEMORY * (1 - fade)
    place, both, velocity = tracks[:, _PLACE_VARIANCE], tracks[:, _COVARIANCE], tracks[:, _VELOCITY_VARIANCE]
    # What the process adds (Gillespie 1996, "Exact numerical simulation of the Ornstein-Uhlenbeck process and its
    # integral").
    wandered = _SPEED**2 * _MEMORY * (2 * elapsed - reach * (3 - fade))
    return Ahead(
        tracks[:, _CENTRE] + tracks[:, _VELOCITY] * reach[:, None],
        tracks[:, _VELOCITY] * fade[:, None],
        np.minimum(place + reach * (2 * both + velocity * reach) + np.maximum(wandered, 0), _FARTHEST**2),
        (both + velocity * reach) * fade + (_SPEED * reach) ** 2 / _MEMORY,
        velocity * fade**2 + _SPEED**2 * (1 - fade**2),
        tracks[:, _SIZE],
        _SIZE_ERROR**2 + _GROWTH**2 * elapsed,
    )


def costs(expected: Ahead, seen: Array) -> Array:
    """How unlikely it is that faces continue tracks: [tracks, faces], below 0 where likelier than that they are new.

    Args:
        expected: of the tracks, at the time of the look.
        seen: [faces, 3], see `seen_of`.
    """
    place = expected.place + _PLACE_ERROR**2
    off = seen[:, :2] - expected.centres[:, None]
    grown = seen[:, 2] - expected.sizes[:, None]
    near = np.exp(-2 * expected.sizes) / place
    # Twice the logarithm of the density of new faces, against that of a normal distribution in three dimensions.
    against = 3 * math.log(2 * math.pi) + 2 * math.log(_NEW)
    known = 2 * np.log(place) + np.log(expected.size) + against
    found: Array = (off**2).sum(axis=2) * near[:, None] + grown**2 / expected.size[:, None] + known[:, None]
    return found


def continued(expected: Ahead, pairs: list[int], seen: Array, time: float) -> Array:
    """Tracks [pairs, COLUMNS] whose faces were seen.

    Args:
        expected: of all tracks, at the time of the look.
        pairs: which of them.
        seen: [pairs, 3], the face of each.
        time: of the look, in seconds.
    """
    of = Ahead(*(values[pairs] for values in expected))
    share, pull = np.stack([of.place, of.both]) / (of.place + _PLACE_ERROR**2)
    off = seen[:, :2] - of.centres
    tracks = np.empty((len(pairs), COLUMNS))
    tracks[:, _CENTRE] = of.centres + share[:, None] * off
    tracks[:, _VELOCITY] = of.velocities + pull[:, None] * off
    tracks[:, _PLACE_VARIANCE], tracks[:, _COVARIANCE] = of.place * (1 - share), of.both * (1 - share)
    tracks[:, _VELOCITY_VARIANCE] = of.velocity - pull * of.both
    tracks[:, _SIZE], tracks[:, SEEN] = seen[:, 2], time
    return tracks
