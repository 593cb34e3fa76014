"""What an ensemble is, apart from its members' weights: their configurations, and how much each counts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from fer_fast.models.config import ClassifierConfig, is_mix
from fer_fast.models.registry import config_of


@dataclass(frozen=True, kw_only=True)
class EnsembleConfig(ClassifierConfig):
    """A classifier's configuration, with its members.

    It sees pixels as they are, 0 to 255, of the largest member's size; members normalise them, and in the graph they
    are resized for a smaller one. That each has its own size costs two products of matrices, and lets any two models
    be joined; the same size for all would leave out a small model beside a large one, where the mean gains most.

    Attributes:
        members: the configurations, two or more, of any architecture, with the ensemble's classes and framing.
        shares: how much each member's probabilities count: above 0, their sum is 1.
        activation_ranges: those of all members, a layer's name behind `members.N.`.

    Raises:
        ValueError: if a value breaks its rule; the message names the field, the rule and what came.
    """

    architecture: ClassVar[str] = "ensemble"
    mean: tuple[float, ...] = (0.0,) * 3
    std: tuple[float, ...] = (1 / 255,) * 3
    members: tuple[ClassifierConfig, ...]
    shares: tuple[float, ...]

    def __post_init__(self) -> None:
        super().__post_init__()
        self.keep_lists("shares", "members")
        object.__setattr__(self, "members", tuple(map(_member, self.members)))
        if len(self.members) < 2:
            raise ValueError(f"members must be two or more, not {len(self.members)}")
        if len(self.shares) != len(self.members) or not is_mix(self.shares) or min(self.shares) <= 0:
            raise ValueError(
                f"shares must be above 0, one of each of the {len(self.members)} members, and sum to 1, "
                f"not {self.shares!r}"
            )
        for field in ("classes", "framing"):
            for member in self.members:
                if getattr(member, field) != getattr(self, field):
                    rule = f"members must have the ensemble's {field}, {getattr(self, field)!r}"
                    raise ValueError(f"{rule}, not {getattr(member, field)!r}")
        if self.image_size != (largest := max(member.image_size for member in self.members)):
            raise ValueError(f"image_size must be the largest member's, {largest}, not {self.image_size}")
        if self.mean != EnsembleConfig.mean or self.std != EnsembleConfig.std:
            raise ValueError(f"mean and std must be 0 and 1 / 255, as members normalise, not {self.mean}, {self.std}")

    def as_dict(self) -> dict[str, Any]:
        """See `ClassifierConfig.as_dict`."""
        return {**super().as_dict(), "members": [member.as_dict() for member in self.members]}

    def built(self) -> dict[str, Any]:
        """See `ClassifierConfig.built`."""
        return {**super().built(), "members": [member.built() for member in self.members]}


def _member(member: ClassifierConfig | Mapping[str, Any]) -> ClassifierConfig:
    """A member's configuration, which in JSON is values by name."""
    config = member if isinstance(member, ClassifierConfig) else config_of(member)
    if not isinstance(config, ClassifierConfig):
        raise ValueError(f"members must be classifiers, not of architecture {config.architecture!r}")
    return config
