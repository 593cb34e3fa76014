"""What a face finder is, apart from its weights."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any, ClassVar


@dataclass(frozen=True)
class FinderConfig:
    """Everything that a checkpoint's metadata says of a finder.

    Attributes:
        origin: where its weights come from, in a sentence.
        activation_ranges: smallest and largest input of each convolution, measured on photos; what precision int8
            needs. Empty if it was not measured.
        precision_falls: what each precision costs, in average precision of 0 to 1: fp32's less its own. Precisions
            that were not measured are not in it.

    Raises:
        ValueError: a value breaks its rule; the message names the field, the rule and what came.
    """

    architecture: ClassVar[str] = "yunet"
    origin: str = ""
    activation_ranges: dict[str, tuple[float, float]] = dataclasses.field(default_factory=dict)
    precision_falls: dict[str, float] = dataclasses.field(default_factory=dict)

    def as_dict(self) -> dict[str, Any]:
        """The configuration as JSON types."""
        return {"architecture": self.architecture, **dataclasses.asdict(self)}

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> FinderConfig:
        """The inverse of `as_dict`, without the architecture.

        Raises:
            ValueError: on an unknown field or a value that breaks its rule.
        """
        known = {field.name for field in dataclasses.fields(cls)}
        if unknown := set(values) - known:
            raise ValueError(f"unknown configuration field {sorted(unknown)[0]!r}; known: {', '.join(sorted(known))}")
        return cls(**values)
