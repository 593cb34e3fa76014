"""Exported models that are damaged, or are others: what Python and the C++ library refuse, and in which words."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path

import pytest

from fer_fast.export.graph import sealed

Spoil = Callable[[bytes], bytes]


def same(data: bytes) -> bytes:
    return data


def replaced(old: bytes, new: bytes) -> Spoil:
    def spoil(data: bytes) -> bytes:
        assert old in data
        return data.replace(old, new)

    return spoil


def flipped(place: int) -> Spoil:
    return lambda data: data[:place] + bytes([data[place] ^ 1]) + data[place + 1 :]


#: What becomes of a classifier's graph and weights; C++'s error code (`ErrorCode`); a pattern of what is said.
DAMAGE = [
    pytest.param(*case, id=case[-1])
    for case in (
        (lambda data: data[: len(data) // 2], same, 4, "is cut short, or was not written by fer-fast export"),
        (lambda data: b"", same, 4, "is cut short"),
        (replaced(b'"Convolution"', b'"convolution"'), same, 3, "its graph changed since it was"),
        (replaced(b"format 1\n", b"format 2\n"), same, 4, "has format 2, this (library|package) reads 1"),
        (replaced(b"format 1\n", b"format one\n"), same, 3, "its description has no format"),
        (replaced(b"image_size", b"image_sise"), same, 3, "its description has no image_size"),
        (replaced(b"batch_size ", b"batch_size +"), same, 3, "its description has no batch_size"),
        (replaced(b"class neutral", b"class naughty"), same, 3, "its description changed since it"),
        (replaced(b"class neutral", b"class \xffeutral"), same, 3, "its description changed since it was"),
        (replaced(b"class neutral\n", b""), same, 3, r"its description (must have \d+ bytes, not \d+|has no prior)"),
        (replaced(b"framing ", b"framing p"), same, 4, "has framing .p(points|level)., which this"),
        (replaced(b"?>\n", b"more facts\n?>\n"), same, 3, "its description is not whole"),
        (replaced(b"weights ", b"waits "), same, 3, "its description changed since it was exported|must have"),
        (same, lambda data: data[:-1], 3, r"its weights must have \d+ bytes, not \d+"),
        (same, flipped(99), 3, "its weights changed since"),
    )
]

#: What a classifier of two classes may say of their mix, and whether that can be read.
PRIORS = [
    (("0.75", "0.25"), True),
    (("1", "0"), True),
    (("7.5e-1", "2.5E-01"), True),
    (("0.333333333", "0.666666667"), True),
    (("0.75",), False),
    (("0.5", "0.25", "0.25"), False),
    (("0.75", "0.2501"), False),
    (("1.25", "-0.25"), False),
    (("0.75", "+0.25"), False),
    (("0.75", " 0.25"), False),
    (("0.75", ".25"), False),
    (("0.75", "0.25 "), False),
    (("0,75", "0.25"), False),
    (("nan", "nan"), False),
    (("inf", "0"), False),
    (("3", "1"), False),
]

#: What a finder's description says, what it says then, its sums right; C++'s error code; what is said.
OTHER_FINDERS = [
    ("kind finder", "kind painter", 4, "has kind 'painter', which this"),
    ("strides 8 16 32", "strides 4 8 16", 4, "has strides '4 8 16', which this"),
    ("cells 15\n", "", 4, "has cells '', which this"),
    ("sides 32 16384", "sides 24 16384", 4, "has sides '24 16384', which this"),
    ("sides 32 16384", "sides 64 32", 3, "its description has no sides"),
    ("kind finder", "kind classifier", 3, "its description has no image_size"),
]


def other_finder(finder: Path, old: str, new: str, folder: Path) -> Path:
    """The .xml of a finder whose description says something else: not a damaged one, its sums are right."""
    graph, _, rest = finder.read_bytes().rpartition(b"<?fer_fast\n")
    facts = rest.decode().partition("graph ")[0]
    weights = finder.with_suffix(".bin").read_bytes()
    assert old in facts
    text = sealed(facts.replace(old, new), graph=graph, weights=weights)
    (folder / "finder.xml").write_bytes(graph + f"<?fer_fast\n{text}?>\n".encode())
    (folder / "finder.bin").write_bytes(weights)
    return folder / "finder.xml"


def changes(data: bytes, count: int, seed: int) -> list[bytes]:
    """So many files with a change each: a bit, a byte too few or too many, an end too early, two places exchanged."""
    chance = random.Random(seed)
    found = []
    while len(found) < count:
        place = chance.randrange(len(data))
        other = chance.randrange(place + 1, len(data) + 1)
        middle = (place + other) // 2
        changed = (
            flipped(place)(data),
            data[:place] + data[place + 1 :],
            data[:place] + b"\0" + data[place:],
            data[:place],
            data[:place] + data[middle:other] + data[place:middle] + data[other:],
        )[len(found) % 5]
        if changed != data:
            found.append(changed)
    return found
