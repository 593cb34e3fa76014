"""What a file says of its numbers, from the format that reads its header to what turns them into grey levels."""

from __future__ import annotations

from typing import NamedTuple, TypeAlias

Limits: TypeAlias = tuple[float, float]

#: Where an image's `info` has its `Meaning`.
MEANING = "fer_fast numbers"


class Meaning(NamedTuple):
    """What a file says of its numbers, where they are of more than 8 bits; see `numbers`.

    Attributes:
        bits: of unsigned ones.
        limits: what is black, what is white; None if it does not say.
        is_negative: the picture is a negative.
        dtype: numpy's name of the numbers where Pillow has whole numbers in their place; of several samples that share
            one the first counts.
    """

    bits: int = 16
    limits: Limits | None = None
    is_negative: bool = False
    dtype: str = ""
