"""A wish for a mix of classes comes in, its shares go out; and what probabilities become that are to presume them.

A model learns how common each class is where it is trained, and its probabilities presume that mix, its prior. Of
images with another mix they are too high for what is rarer there. The C++ library does the same, in the same words.
"""

from __future__ import annotations

import json
import math
import os
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from fer_fast.models.config import SMALLEST_SHARE

#: A word, shares as text, the path of a file, or shares by class.
PriorLike: TypeAlias = str | os.PathLike[str] | Mapping[str, float]
Shares: TypeAlias = tuple[float, ...]

TRAIN, BALANCED = "train", "balanced"
#: The logarithm of a share of 0 inside a graph: exp of it is 0, and fp16 and bf16 can hold it.
NEVER = -1e4
#: Bytes that a file of shares may have.
_MOST_BYTES = 1 << 20
#: Of what surrounds a class or a share: what C++ takes away, too, where other spaces are bytes like any.
_SPACES = " \t\n\v\f\r\x1c\x1d\x1e\x1f"
_NUMBER = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?")


def shares_of(prior: PriorLike, classes: tuple[str, ...]) -> Shares:
    """Reads what a caller wishes the probabilities to presume.

    Args:
        prior: train leaves them as they are, of an export as it was exported; balanced is every class as common as the
            others; shares or counts by class, as a mapping or as text, `anger=0.2,fear=0.8`; or the path of a file with
            a JSON object of them, or with a line `class=share` each and comments behind a #. Text with a = is no path.
        classes: the model's; each must have a share, and a share of 0 says that it is never the answer; one that
            float32 cannot hold, below 1.2e-38, is 0.

    Returns:
        A share a class, 0 or more, that sum to 1; none for train.

    Raises:
        ValueError: it is none of these, or a class is missing, unknown, named twice, or has no number of 0 or more.
        TypeError: it is of another type.
    """
    if isinstance(prior, Mapping):
        return _in_order(prior.items(), classes)
    if not isinstance(prior, (str, os.PathLike)):  # of an array a comparison with a word is no answer
        raise TypeError(f"prior must be a word, text, a path or shares by class, not {prior!r}")
    if prior == TRAIN:
        return ()
    if prior == BALANCED:
        return (1 / len(classes),) * len(classes)
    if isinstance(prior, str) and "=" in prior:
        return _in_order(_pairs(prior.split(",")), classes)
    return _in_order(_read(os.fspath(prior)), classes)


def is_prior_text(prior: object) -> bool:
    """Whether it is a word or shares, so that `shares_of` looks for no file of that name."""
    return isinstance(prior, str) and (prior in (TRAIN, BALANCED) or "=" in prior)


def prior_text(shares: Shares, classes: tuple[str, ...]) -> str:
    """What `shares_of` would read as these shares: the same for the same."""
    if not shares:
        return TRAIN
    if min(shares) == max(shares):
        return BALANCED
    return ",".join(f"{name}={share:.9g}" for name, share in zip(classes, shares, strict=True))


def by_class(shares: Shares, classes: tuple[str, ...]) -> str | dict[str, float]:
    """The same as a wish that no file can change any more: exactly these shares."""
    return dict(zip(classes, shares, strict=True)) if shares else TRAIN


def ratios_of(target: Shares, own: Shares, classes: tuple[str, ...]) -> npt.NDArray[np.float64] | None:
    """What each class's probability is multiplied by: [classes]; None where they are left as they are.

    Args:
        target: the shares to presume; empty for `own`.
        own: those that the model presumes; empty if it does not say.
        classes: the model's.

    Raises:
        ValueError: it does not say, or never answers a class that has a share in `target`.
    """
    if not target:
        return None
    if not own:
        raise ValueError(
            "prior must be train for this model, which does not say the mix of classes that it was trained on: "
            "fer-fast recalibrate writes one that does, from the training data (and what was exported is to be "
            "exported again)"
        )
    for name, wished, share in zip(classes, target, own, strict=True):
        if wished > 0 and share == 0:
            raise ValueError(f"prior must be 0 for {name!r}, which this exported model never answers")
    return np.array([wished / share if wished else 0.0 for wished, share in zip(target, own, strict=True)])


def with_ratios(probabilities: npt.NDArray[np.float32], ratios: npt.NDArray[np.float64]) -> npt.NDArray[np.float32]:
    """Probabilities that presume another mix (Saerens et al. 2002, equation 2.4).

    Args:
        probabilities: float32 [batch, classes], rows sum to 1.
        ratios: [classes], see `ratios_of`.

    Returns:
        float32 [batch, classes], rows sum to 1.
    """
    # No probability is quite 0: else a row could be, that has nothing but what is never to be the answer.
    weighted = np.maximum(probabilities, np.finfo(np.float32).tiny) * ratios
    return (weighted / weighted.sum(axis=1, keepdims=True)).astype(np.float32)  # type: ignore[no-any-return]


def logarithms_of(ratios: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """What is added to calibrated logits for the same: [classes]."""
    return np.array([math.log(ratio) if ratio else NEVER for ratio in ratios])


def _in_order(pairs: Iterable[tuple[str, Any]], classes: tuple[str, ...]) -> Shares:
    """The shares in the order of the classes, made to sum to 1."""
    rule = f"prior must have a share for each of {', '.join(classes)}"
    found: dict[str, float] = {}
    for name, value in pairs:
        if name not in classes:
            raise ValueError(f"{rule}; {name!r} is none of them")
        if name in found:
            raise ValueError(f"{rule}; {name!r} is there twice")
        found[name] = _share(name, value)
    for name in classes:
        if name not in found:
            raise ValueError(f"{rule}; {name!r} is missing")
    if not (most := max(found.values())):
        raise ValueError("prior must have a share above 0; all are 0")
    shares = [found[name] / most for name in classes]  # the sum of counts might be too large for a float
    total = math.fsum(shares)
    # Of a share that float32 cannot hold an export answers never: what divides by it later would have no number.
    return tuple(share / total if share / total >= SMALLEST_SHARE else 0.0 for share in shares)


def _share(name: str, value: Any) -> float:
    is_number = isinstance(value, (int, float, np.number)) and not isinstance(value, bool)
    is_text = isinstance(value, _Text) and _NUMBER.fullmatch(value)
    try:
        share = float(value) if is_number or is_text else math.nan
    except OverflowError:  # an integer of 400 digits
        share = math.inf
    if not 0 <= share < math.inf:
        said = value if isinstance(value, _Text) else json.dumps(value, default=repr)
        raise ValueError(f"prior must have numbers of 0 or more; {name!r} has {said}")
    return share


class _Text(str):
    """A share as it was written, which is no string of JSON."""


def _pairs(parts: Iterable[str]) -> list[tuple[str, _Text]]:
    """What is before and behind the last = of each part."""
    pairs = []
    for part in parts:
        name, sign, share = part.rpartition("=")
        if not sign:
            raise ValueError(f"prior must have a class, a = and its share in each part, not {part.strip(_SPACES)!r}")
        pairs.append((name.strip(_SPACES), _Text(share.strip(_SPACES))))
    return pairs


def _read(path: str) -> list[tuple[str, Any]]:
    """The shares in a file."""
    if not os.path.exists(path):  # noqa: PTH110 (of a name that is too long Path raises, and no name is its folder)
        raise ValueError(
            f"prior must be train, balanced, shares such as anger=0.2,fear=0.8 or a file of them, not {path!r}"
        )
    try:
        with Path(path).open("rb") as file:
            content = file.read(_MOST_BYTES + 1)
    except OSError as error:
        raise ValueError(f"prior cannot be read from {path!r}: {error.strerror or error}") from error
    try:
        if len(content) > _MOST_BYTES:
            raise ValueError
        text = content.decode("utf-8-sig")  # editors of Windows put a byte order mark before UTF-8
        if text.lstrip(_SPACES).startswith("{"):
            pairs: list[tuple[str, Any]] = json.loads(text, object_pairs_hook=list)
            return pairs
    except (ValueError, RecursionError) as error:
        raise ValueError(
            f"prior cannot be read from {path!r}: it must be a JSON object or lines of class=share"
        ) from error
    lines = (line.partition("#")[0].strip(_SPACES) for line in text.split("\n"))
    return [*_pairs(filter(None, lines))]
