"""What a fusion model is, apart from its weights: sources, tokens, the Vision Transformer's shape."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from fer_fast.models.config import LARGEST, ClassifierConfig, is_number
from fer_fast.models.face_resnet.config import DLIB_MEAN, DLIB_STD, smallest
from fer_fast.models.fusion.backbones import BACKBONES

SOURCES: tuple[str, ...] = ("image", "FM1", "FM2", "FM3", "FM4")

#: Layers of a Vision Transformer; to build more of them, by a slip, would take all of a machine's memory.
_DEEPEST = 1000


@dataclass(frozen=True, kw_only=True)
class FusionConfig(ClassifierConfig):
    """A classifier's configuration, with what is the fusion model's own.

    Attributes:
        sources: non-empty selection of image, FM1..FM4; kept in that order. Oh & Yoo 2023 find
            image + FM2 + FM3 + FM4 best (Table 3).
        backbone: what the maps come from: resnet18, whose start is torchvision's, or face-resnet, the network of dlib's
            face recognition, which costs a third and sees pixels normalised as dlib does (preset `face-fusion`).
        grid: tokens a side; the Vision Transformer sees grid * grid tokens.
        reduce_mean: take the channel mean of each tap (the paper's Figure 3) instead of all channels.
        width, depth, heads, mlp_ratio: the Vision Transformer's shape.

    Raises:
        ValueError: if a value breaks its rule; the message names the field, the rule and what came.
    """

    architecture: ClassVar[str] = "fusion"
    sources: tuple[str, ...] = ("image", "FM2", "FM3", "FM4")
    backbone: str = "resnet18"
    grid: int = 7
    reduce_mean: bool = False
    width: int = 192
    depth: int = 6
    heads: int = 3
    mlp_ratio: float = 4.0

    def __post_init__(self) -> None:
        super().__post_init__()
        self.keep_lists("sources")
        unknown = [name for name in self.sources if name not in SOURCES]
        if not self.sources or unknown or len(set(self.sources)) != len(self.sources):
            raise ValueError(
                f"sources must be a non-empty selection of {', '.join(SOURCES)}, each once, not {self.sources!r}"
            )
        object.__setattr__(self, "sources", tuple(name for name in SOURCES if name in self.sources))
        if self.backbone not in tuple(BACKBONES):  # a list, which has no hash, is in no dictionary
            raise ValueError(f"backbone must be one of {', '.join(BACKBONES)}, not {self.backbone!r}")
        if self.backbone == "face-resnet" and self.image_size < (least := smallest(max(self.stages, 2))):
            raise ValueError(f"image_size must be {least} or more for backbone face-resnet, not {self.image_size}")
        if self.colour != "rgb":
            raise ValueError(f"colour must be rgb for a fusion model, not {self.colour!r}")
        self.check_counts("grid", "width", "heads")
        self.check_counts("depth", most=_DEEPEST)
        self.check_switches("reduce_mean")
        if self.image_size % self.grid:
            raise ValueError(f"image_size must be a multiple of grid {self.grid}, not {self.image_size}")
        if self.width % self.heads:
            raise ValueError(f"width must be a multiple of heads {self.heads}, not {self.width}")
        if not is_number(self.mlp_ratio) or self.mlp_ratio <= 0:
            raise ValueError(f"mlp_ratio must be a number above 0, not {self.mlp_ratio!r}")
        if not 1 <= self.width * self.mlp_ratio <= LARGEST:
            rule = f"mlp_ratio must make 1 to {LARGEST} units of {self.width}"
            raise ValueError(f"{rule}, not {self.mlp_ratio!r}")

    @property
    def taps(self) -> tuple[str, ...]:
        """The sources that come from the backbone."""
        return tuple(name for name in self.sources if name != "image")

    @property
    def stages(self) -> int:
        """Stages of the backbone that there are: up to the deepest tap in use."""
        return int(self.taps[-1][2]) if self.taps else 0


def fusion_config(config: ClassifierConfig) -> FusionConfig:
    """The same, for what is about this architecture alone.

    Raises:
        ValueError: it is another architecture's.
    """
    if not isinstance(config, FusionConfig):
        raise ValueError(f"architecture must be {FusionConfig.architecture!r} here, not {config.architecture!r}")
    return config


#: The models that have a name; `paper` is the best row of Oh & Yoo 2023 at their image size.
PRESETS: dict[str, FusionConfig] = {
    "tiny": FusionConfig(sources=("image", "FM2", "FM3"), image_size=64, grid=4, depth=2, framing="level"),
    "fast": FusionConfig(image_size=112, grid=7, depth=4),
    "accurate": FusionConfig(image_size=112, grid=7, depth=4, flip_average=True),
    "paper": FusionConfig(image_size=224, grid=14),
    "face-fusion": FusionConfig(backbone="face-resnet", image_size=112, grid=7, depth=4, mean=DLIB_MEAN, std=DLIB_STD),
}
