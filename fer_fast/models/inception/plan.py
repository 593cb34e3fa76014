"""What Inception v3 is made of (Szegedy et al. 2016), by torchvision's names: channels come in, convolutions go out.

Said once, it is built in torch, laid for engines, and compared with a file's tensors. All widths are divided by one
number: by 1 it is the network that ImageNet weights are of, by more a small one of the same form.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

#: What its batch norms add to the variance.
EPSILON = 1e-3
#: Channels of the last map, and pixels on the side of the smallest image that leaves a map of one.
LAST, SMALLEST = 2048, 75
Pair = tuple[int, int]


class Convolution(NamedTuple):
    """A convolution without bias, a batch norm and a ReLU; pairs are heights and widths."""

    name: str
    inputs: int
    outputs: int
    kernel: Pair = (1, 1)
    stride: int = 1
    padding: Pair = (0, 0)


class Branch(NamedTuple):
    """One way through a block.

    Attributes:
        chain: convolutions, one after the other.
        pool: what is before them: mean or max, of 3 x 3 pixels, or nothing; max halves the map.
        fork: convolutions that each get what the chain gives, and whose maps stand side by side.
    """

    chain: tuple[Convolution, ...] = ()
    pool: str = ""
    fork: tuple[Convolution, ...] = ()


#: A block's name and its branches, whose maps stand side by side.
Block = tuple[str, tuple[Branch, ...]]
_ACROSS, _DOWN = ((1, 7), (0, 3)), ((7, 1), (3, 0))
_FORKED = (("a", (1, 3), (0, 1)), ("b", (3, 1), (1, 0)))


def stem(channels: int, divisor: int) -> list[Convolution]:
    """The five convolutions before the blocks; behind the third and the fifth a max-pooling of stride 2."""
    return [
        Convolution("Conv2d_1a_3x3", channels, 32 // divisor, (3, 3), 2),
        Convolution("Conv2d_2a_3x3", 32 // divisor, 32 // divisor, (3, 3)),
        Convolution("Conv2d_2b_3x3", 32 // divisor, 64 // divisor, (3, 3), padding=(1, 1)),
        Convolution("Conv2d_3b_1x1", 64 // divisor, 80 // divisor),
        Convolution("Conv2d_4a_3x3", 80 // divisor, 192 // divisor, (3, 3)),
    ]


#: Of the stem: behind which a max-pooling is.
POOLED = ("Conv2d_2b_3x3", "Conv2d_4a_3x3")


def blocks(divisor: int) -> list[Block]:
    """The eleven blocks, mixed to mixed_10 as the paper has them."""
    made = [
        *(("Mixed_5" + letter, _of_35, width) for letter, width in zip("bcd", (32, 64, 64), strict=True)),
        ("Mixed_6a", _to_17, 0),
        *(("Mixed_6" + letter, _of_17, width) for letter, width in zip("bcde", (128, 160, 160, 192), strict=True)),
        ("Mixed_7a", _to_8, 0),
        ("Mixed_7b", _of_8, 0),
        ("Mixed_7c", _of_8, 0),
    ]
    found, inputs = [], 192
    for name, make, width in made:
        branches = make(inputs, width)
        found.append((name, tuple(_divided(branch, divisor) for branch in branches)))
        inputs = sum(_outputs(branch, inputs) for branch in branches)
    return found


def convolutions(channels: int, divisor: int) -> Iterator[Convolution]:
    """All 94, first to last, those of blocks by the block's name and their own."""
    yield from stem(channels, divisor)
    for block, branches in blocks(divisor):
        for branch in branches:
            for each in (*branch.chain, *branch.fork):
                yield each._replace(name=f"{block}.{each.name}")


def last_side(image_size: int) -> int:
    """Pixels on a side of the last map."""
    side = (image_size - 3) // 2 + 1
    side = (side - 2 - 3) // 2 + 1
    side = (side - 2 - 3) // 2 + 1
    for _ in range(2):
        side = (side - 3) // 2 + 1
    return side


def _of_35(inputs: int, pooled: int) -> tuple[Branch, ...]:
    return (
        Branch((Convolution("branch1x1", inputs, 64),)),
        Branch(_chain("branch5x5", inputs, (48, (1, 1), (0, 0)), (64, (5, 5), (2, 2)))),
        Branch(_chain("branch3x3dbl", inputs, (64, (1, 1), (0, 0)), (96, (3, 3), (1, 1)), (96, (3, 3), (1, 1)))),
        Branch((Convolution("branch_pool", inputs, pooled),), "mean"),
    )


def _to_17(inputs: int, _: int) -> tuple[Branch, ...]:
    double = _chain("branch3x3dbl", inputs, (64, (1, 1), (0, 0)), (96, (3, 3), (1, 1)), (96, (3, 3), (0, 0)))
    return (
        Branch((Convolution("branch3x3", inputs, 384, (3, 3), 2),)),
        Branch(_halving(double)),
        Branch(pool="max"),
    )


def _of_17(inputs: int, width: int) -> tuple[Branch, ...]:
    first, across, down = (width, (1, 1), (0, 0)), (width, *_ACROSS), (width, *_DOWN)
    return (
        Branch((Convolution("branch1x1", inputs, 192),)),
        Branch(_chain("branch7x7", inputs, first, across, (192, *_DOWN))),
        Branch(_chain("branch7x7dbl", inputs, first, down, across, down, (192, *_ACROSS))),
        Branch((Convolution("branch_pool", inputs, 192),), "mean"),
    )


def _to_8(inputs: int, _: int) -> tuple[Branch, ...]:
    first = (192, (1, 1), (0, 0))
    single = _chain("branch3x3", inputs, first, (320, (3, 3), (0, 0)))
    seven = _chain("branch7x7x3", inputs, first, (192, *_ACROSS), (192, *_DOWN), (192, (3, 3), (0, 0)))
    return Branch(_halving(single)), Branch(_halving(seven)), Branch(pool="max")


def _of_8(inputs: int, _: int) -> tuple[Branch, ...]:
    double = _chain("branch3x3dbl", inputs, (448, (1, 1), (0, 0)), (384, (3, 3), (1, 1)))
    return (
        Branch((Convolution("branch1x1", inputs, 320),)),
        Branch((Convolution("branch3x3_1", inputs, 384),), fork=_fork("branch3x3_2")),
        Branch(double, fork=_fork("branch3x3dbl_3")),
        Branch((Convolution("branch_pool", inputs, 192),), "mean"),
    )


def _chain(name: str, inputs: int, *layers: tuple[int, Pair, Pair]) -> tuple[Convolution, ...]:
    """Convolutions of stride 1, by their outputs, kernels and paddings, with the number of each behind the name."""
    found = []
    for number, (outputs, kernel, padding) in enumerate(layers, 1):
        found.append(Convolution(f"{name}_{number}", inputs, outputs, kernel, 1, padding))
        inputs = outputs
    return tuple(found)


def _halving(chain: tuple[Convolution, ...]) -> tuple[Convolution, ...]:
    return (*chain[:-1], chain[-1]._replace(stride=2))


def _fork(name: str) -> tuple[Convolution, ...]:
    return tuple(Convolution(f"{name}{letter}", 384, 384, kernel, 1, padding) for letter, kernel, padding in _FORKED)


def _outputs(branch: Branch, inputs: int) -> int:
    if branch.fork:
        return sum(each.outputs for each in branch.fork)
    return branch.chain[-1].outputs if branch.chain else inputs


def _divided(branch: Branch, divisor: int) -> Branch:
    chain, fork = (
        tuple(each._replace(inputs=each.inputs // divisor, outputs=each.outputs // divisor) for each in part)
        for part in (branch.chain, branch.fork)
    )
    return Branch(chain, branch.pool, fork)
