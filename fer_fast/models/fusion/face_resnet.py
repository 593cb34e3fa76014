"""The network of dlib's face recognition as a backbone, without torch: the first four stages of `FaceResNet`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import islice
from typing import TYPE_CHECKING, ClassVar

from fer_fast.models.face_resnet.config import STAGES, UnitPlan, stem_side, units
from fer_fast.models.face_resnet.layers import LaidFaceResNet, map_shapes
from fer_fast.models.fusion.backbone import Backbone
from fer_fast.models.layers import Layers, Value
from fer_fast.models.tensors import Shape, Tensors

if TYPE_CHECKING:
    from fer_fast.models.fusion.taps import FaceResNetTaps

#: Channels of the stages' maps, those of dlib's file.
_WIDTHS = (32, 64, 128, 256)


class FaceResNetBackbone(Backbone):
    """See `Backbone` for the methods."""

    channels: ClassVar[Mapping[str, int]] = {f"FM{stage}": width for stage, width in enumerate(_WIDTHS, 1)}

    def side(self, tap: str, image_size: int) -> int:
        """Each stage but the first has half of the one before, rounded down."""
        return stem_side(image_size) >> (int(tap[2]) - 1)

    def shapes(self, image_size: int, stages: int) -> Iterator[Shape]:
        """Those of `FaceResNetTaps`."""
        return map_shapes(3, plans_of(image_size, stages))

    def lay(
        self, layers: Layers[Value], tensors: Tensors, image_size: int, pixels: Value, stages: int
    ) -> Iterator[Value]:
        """`FaceResNetTaps`."""
        maps = LaidFaceResNet(layers, tensors, "backbone.").maps(plans_of(image_size, stages), pixels)
        for count, _ in STAGES[:stages]:
            *_, last = islice(maps, count)
            yield last

    def network(self, taps: tuple[str, ...], image_size: int) -> FaceResNetTaps:
        """`FaceResNetTaps`."""
        from fer_fast.models.fusion.taps import FaceResNetTaps

        return FaceResNetTaps(taps, image_size)


def plans_of(image_size: int, stages: int) -> list[UnitPlan]:
    """The units of the first stages."""
    return units(image_size, _WIDTHS, stages)
