"""What an exported model says of itself: text comes in, facts go out; damage is found before an engine reads the model.

The C++ library reads the same (csrc/classifier/description.cpp), by the same rules and in the same words.
"""

from __future__ import annotations

import re
import zlib
from dataclasses import dataclass
from typing import Any, NoReturn

from fer_fast.models.architecture import Sides
from fer_fast.models.config import FRAMINGS, is_mix
from fer_fast.models.finder.config import COLUMNS, STRIDES
from fer_fast.types import CheckpointError
from fer_fast.version import __version__

#: Of the description and the graph's input and output; raise it when a program that reads them must change. A fact that
#: older programs may do without needs no other: they pass over the lines that they do not know.
FORMAT = 1
#: Beyond what can be exported; what is allocated is checked against them.
_MOST_BATCH, _MOST_SIDE, _MOST_CLASSES = 1 << 32, 1 << 16, 1 << 20
#: A share of a class; what C++ reads, too: no sign, no space, no word.
_SHARE = re.compile(r"[0-9]+\.?[0-9]*([eE][+-]?[0-9]+)?")
#: What is around the description in OpenVINO's graph, an instruction of XML.
OPENING, CLOSING = b"<?fer_fast\n", b"?>\n"


@dataclass(frozen=True)
class Description:
    """What a program needs besides the graph.

    Attributes:
        version: of the fer-fast that exported it.
        kind: classifier or finder.
        model: digest of the checkpoint.
        precision: that it was exported in.
        batch_size: the largest batch that it takes.
        sides: what images may be.
        classes: names of a classifier's probabilities.
        framing: how the faces of a photo are cut for a classifier, one of `fer_fast.models.config.FRAMINGS`.
        library: what built an .engine, tensorrt or tensorrt-rtx.
        prior: the mix of classes that a classifier's probabilities presume: shares of 0 to 1 that sum to 1, in the
            order of `classes`; of a share of 0 the class is never answered. Empty if it is not known.
    """

    version: str
    kind: str
    model: str
    precision: str
    batch_size: int
    sides: Sides
    classes: tuple[str, ...] = ()
    framing: str = ""
    library: str = "tensorrt"
    prior: tuple[float, ...] = ()

    @property
    def image_size(self) -> int:
        """Side in pixels of what a classifier sees."""
        return self.sides.step


@dataclass(frozen=True)
class Sum:
    """What a part of a model must be: its size in bytes and its CRC-32."""

    part: str
    size: int
    crc: int

    def check_size(self, size: int, name: str) -> None:
        """Before the part is read: it may have any size.

        Raises:
            CheckpointError: it has another.
        """
        if size != self.size:
            _damaged(name, f"its {self.part} must have {self.size} bytes, not {size}")

    def check(self, content: bytes | memoryview, name: str) -> None:
        """Compares the part.

        Raises:
            CheckpointError: it is another.
        """
        self.check_size(len(content), name)
        if zlib.crc32(content) != self.crc:
            _damaged(name, f"its {self.part} changed since it was exported")


def graph_with_seal(content: bytes, name: str) -> tuple[Description, Sum]:
    """Reads OpenVINO's graph, whose last instruction is a sealed description, and compares the graph with it.

    Args:
        content: the .xml.
        name: of the file, for messages.

    Returns:
        The description, and what the weights must be.

    Raises:
        CheckpointError: it was not exported by this package, is damaged, or is of a format that is not known.
    """
    begin = content.rfind(OPENING)
    if begin < 0 or len(content) < begin + len(OPENING) + len(CLOSING) or not content.endswith(CLOSING):
        foreign(name, "openvino")
    text = content[begin + len(OPENING) : -len(CLOSING)]
    description = sealed_description(text, name)
    sum_of(text, "graph", name).check(memoryview(content)[:begin], name)
    return description, sum_of(text, "weights", name)


def sealed_description(text: bytes, name: str) -> Description:
    """Reads a description whose last line is its own sum.

    Raises:
        CheckpointError: as `graph_with_seal`.
    """
    description = parse_description(text, name)  # first: one of another format may have other sums
    before = text.rfind(b"\ndescription ")
    if before < 0 or text.find(b"\n", before + 1) != len(text) - 1:
        _damaged(name, "its description is not whole")
    sum_of(text[before + 1 :], "description", name).check(text[: before + 1], name)
    return description


def sum_of(text: bytes, part: str, name: str) -> Sum:
    """What a sealed description says of a part.

    Raises:
        CheckpointError: nothing.
    """
    size, _, crc = _Facts(text).one_or(part, "").partition(" ")
    if not re.fullmatch("[0-9]{1,19}", size) or not re.fullmatch("[0-9a-fA-F]{1,8}", crc):
        _damaged(name, f"it lacks the sum of its {part}")
    return Sum(part, int(size), int(crc, 16))


def parse_description(text: bytes, name: str) -> Description:
    """Reads a line a fact.

    Args:
        text: names and values.
        name: of the file, for messages.

    Raises:
        CheckpointError: a fact is missing, or says what is not known here.
    """
    facts = _Facts(text)
    if (format_ := _number(facts.one("format"))) is None:
        _damaged(name, "its description has no format")
    if format_ != FORMAT:
        raise CheckpointError(
            f"the model {name!r} has format {format_}, this package reads {FORMAT}: export it with the fer-fast of "
            f"this package's version, {__version__}"
        )
    said: dict[str, Any] = {}
    for fact in ("version", "model", "precision"):
        if (value := facts.one(fact)) is None:
            _damaged(name, f"its description has no {fact}")
        said[fact] = value
    said["batch_size"] = _number_within(facts.one("batch_size"), 1, _MOST_BATCH, "batch_size", name)
    # Older exports do not say their library, nor their kind: they have none but classifiers.
    for fact, known in (("library", ("tensorrt", "tensorrt-rtx")), ("kind", ("classifier", "finder"))):
        if (value := facts.one_or(fact, known[0])) not in known:
            _unknown(name, fact, value)
        said[fact] = value
    of_kind = _of_finder(facts, name) if said["kind"] == "finder" else _of_classifier(facts, name)
    return Description(**said, **of_kind)


def foreign(name: str, format: str) -> NoReturn:
    """Refuses a file without a description at its end."""
    raise CheckpointError(f"the model {name!r} is cut short, or was not written by fer-fast export --format {format}")


class _Facts:
    """Facts that occur once, and the classes."""

    def __init__(self, text: bytes) -> None:
        # What is no text, a class with a changed byte, say, is told by its sum.
        self._lines = text.decode(errors="surrogateescape").split("\n")

    def all(self, name: str) -> list[str]:
        return [line[len(name) + 1 :] for line in self._lines if line.startswith(f"{name} ")]

    def one(self, name: str) -> str | None:
        found = self.all(name)
        return found[0] if len(found) == 1 else None

    def one_or(self, name: str, otherwise: str) -> str:
        value = self.one(name)
        return otherwise if value is None else value


def _of_classifier(facts: _Facts, name: str) -> dict[str, Any]:
    side = _number_within(facts.one("image_size"), 1, _MOST_SIDE, "image_size", name)
    classes = tuple(facts.all("class"))
    if not 2 <= len(classes) <= _MOST_CLASSES:
        _damaged(name, "its description has no classes")
    if (framing := facts.one_or("framing", "points")) not in FRAMINGS:  # older exports do not say
        _unknown(name, "framing", framing)
    return {"sides": Sides(side, side), "classes": classes, "framing": framing, "prior": _prior(facts, classes, name)}


def _prior(facts: _Facts, classes: tuple[str, ...], name: str) -> tuple[float, ...]:
    """The shares, a line each; none where the mix is not known, as in older exports."""
    lines = facts.all("prior")
    shares = tuple(float(line) if _SHARE.fullmatch(line) else -1.0 for line in lines)
    if shares and (len(shares) != len(classes) or not is_mix(shares)):
        _damaged(name, "its description has no prior")
    return shares


def _of_finder(facts: _Facts, name: str) -> dict[str, Any]:
    said = facts.one_or("sides", "")
    least, _, most = said.partition(" ")
    step = _number_within(least, 1, _MOST_SIDE, "sides", name)
    sides = Sides(step, _number_within(most, step, _MOST_SIDE, "sides", name))
    # What becomes of an image is part of this package, not of the model.
    for fact, known in (("strides", " ".join(map(str, STRIDES))), ("cells", str(COLUMNS))):
        if (value := facts.one_or(fact, "")) != known:
            _unknown(name, fact, value)
    if step % max(STRIDES):
        _unknown(name, "sides", said)
    return {"sides": sides}


def _number(text: str | None) -> int | None:
    return int(text) if text is not None and re.fullmatch("-?[0-9]{1,18}", text) else None


def _number_within(text: str | None, least: int, most: int, what: str, name: str) -> int:
    number = _number(text)
    if number is None or not least <= number <= most:
        _damaged(name, f"its description has no {what}")
    return number


def _damaged(name: str, why: str) -> NoReturn:
    raise CheckpointError(f"the model {name!r} is damaged: {why}")


def _unknown(name: str, what: str, value: str) -> NoReturn:
    raise CheckpointError(
        f"the model {name!r} has {what} {value!r}, which this package, fer-fast {__version__}, does not know"
    )
