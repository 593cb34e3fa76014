"""What a face finder is, apart from its weights."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any, ClassVar

from fer_fast.models.config import check_fields, check_precision_falls

#: Pixels of the image a cell of each scale stands for, in the order of the cells.
STRIDES: tuple[int, ...] = (8, 16, 32)
#: What the network says of a cell: whether it is a face, whether it is an object, a box, five landmarks.
HEADS: tuple[tuple[str, int], ...] = (("face", 1), ("object", 1), ("box", 4), ("landmarks", 10))
#: Pixels of a side beyond what memory holds: graph compilers want a bound.
LARGEST_SIDE = 1 << 14
#: Numbers that its output has of a cell: the first two heads are one score there.
COLUMNS = sum(width for _, width in HEADS) - 1


def cell_count(height: int, width: int) -> int:
    """Cells of an image whose sides are multiples of the largest stride."""
    return sum((height // stride) * (width // stride) for stride in STRIDES)


@dataclass(frozen=True)
class FinderConfig:
    """Everything that a checkpoint's metadata says of a finder.

    Attributes:
        origin: where its weights come from, in a sentence.
        precision_falls: what each precision costs, in average precision of 0 to 1: fp32's less its own. Precisions
            that were not measured are not in it.

    Raises:
        ValueError: a value breaks its rule; the message names the field, the rule and what came.
    """

    architecture: ClassVar[str] = "yunet"
    origin: str = ""
    precision_falls: dict[str, float] = dataclasses.field(default_factory=dict)

    def __post_init__(self) -> None:
        if not isinstance(self.origin, str):
            raise ValueError(f"origin must be text, not {self.origin!r}")
        check_precision_falls(self.precision_falls)

    def as_dict(self) -> dict[str, Any]:
        """The configuration as JSON types."""
        return {"architecture": self.architecture, **dataclasses.asdict(self)}

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> FinderConfig:
        """The inverse of `as_dict`, without the architecture.

        Raises:
            ValueError: on an unknown field or a value that breaks its rule.
        """
        check_fields(cls, values)
        return cls(**values)
