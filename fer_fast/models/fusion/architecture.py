"""The fusion model's architecture: a configuration comes in, the forms of `FusionModel` in which it runs go out."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, ClassVar

from fer_fast.models.classifier import SETTINGS, ClassifierArchitecture, DrawnMap
from fer_fast.models.fusion.backbones import BACKBONES
from fer_fast.models.fusion.config import PRESETS, FusionConfig
from fer_fast.models.fusion.layers import lay_logits
from fer_fast.models.fusion.tensors import fusion_shapes
from fer_fast.models.layers import Layers, Value
from fer_fast.models.tensors import Shape, Tensors

if TYPE_CHECKING:
    from torch import Tensor

    from fer_fast.models.cut import Cut
    from fer_fast.models.files.checkpoint import Checkpoint
    from fer_fast.models.fusion.network import FusionModel
    from fer_fast.models.network import Network

#: torchvision's ResNet18_Weights.IMAGENET1K_V1; the name ends in the first eight digits of its SHA-256.
RESNET18_URL = "https://download.pytorch.org/models/resnet18-f37072fd.pth"


class FusionArchitecture(ClassifierArchitecture):
    """See `ClassifierArchitecture` for the methods."""

    config = FusionConfig
    presets: ClassVar[Mapping[str, FusionConfig]] = PRESETS
    bias = "vit.head.bias"
    maps_title = "Input and feature maps of the backbone, mean over channels"
    parts = frozenset({"backbone", "tokens", "vit"})
    settings = SETTINGS
    graph_facts: ClassVar[dict[str, str]] = {"tokens": "convolutions"}
    eager_facts: ClassVar[dict[str, str]] = {"tokens": "fused op"}

    def shapes(self, config: FusionConfig) -> Iterator[Shape]:
        """Those of `FusionModel`."""
        return fusion_shapes(config)

    def network(self, config: FusionConfig, drop_path: float = 0.0) -> FusionModel:
        """`FusionModel`."""
        from fer_fast.models.fusion.network import FusionModel

        return FusionModel(config, drop_path)

    def has_backbone(self, config: FusionConfig) -> bool:
        """Where it has taps."""
        return bool(config.taps)

    def weights_url(self, config: FusionConfig) -> str:
        """torchvision's ResNet-18, where it has taps of one."""
        return RESNET18_URL if config.taps and config.backbone == "resnet18" else ""

    def begin(self, network: Network, weights: Mapping[str, Tensor], images: Tensor) -> tuple[str, ...]:
        """Backbone and statistics of the taps; names of the backbone's stages that are new."""
        from fer_fast.models.fusion.network import FusionModel
        from fer_fast.models.fusion.start import measure_statistics, start_backbone, start_face_backbone
        from fer_fast.models.fusion.taps import FaceResNetTaps, ResNet18Taps

        assert isinstance(network, FusionModel)
        missing: set[str] = set()
        if isinstance(network.backbone, ResNet18Taps):
            missing = start_backbone(network.backbone, weights)
        elif isinstance(network.backbone, FaceResNetTaps) and weights:
            start_face_backbone(network.backbone, weights)
        measure_statistics(network, images)
        return tuple(sorted({name.partition(".")[0] for name in missing if name.startswith("layer")}))

    def weights_at(self, network: Network, config: FusionConfig) -> Mapping[str, Tensor]:
        """All but the projection of the tokens are the same."""
        from fer_fast.models.fusion.network import FusionModel
        from fer_fast.models.fusion.resampling import resampled

        assert isinstance(network, FusionModel)
        state = network.state_dict()
        return {**state, "vit.proj.weight": resampled(state["vit.proj.weight"], network.config, config)}

    def drawn(self, config: FusionConfig) -> list[DrawnMap]:
        """The image and FM1 to FM4, and of those that are not fused, why."""
        absent = f"the backbone\nends at {config.taps[-1]}" if config.taps else "no backbone:\nthe image alone"
        channels = BACKBONES[config.backbone].channels
        notes = {name: "not fused" if stage <= config.stages else absent for stage, name in enumerate(channels, 1)}
        notes |= {"image": "not fused"} | dict.fromkeys(config.sources, "")
        return [DrawnMap(name, count, notes[name]) for name, count in {"image": 3, **channels}.items()]

    def caption(self, config: FusionConfig) -> str:
        """What is fused to how many tokens, and how many layers they go through."""
        grid = f"{config.grid} \N{MULTIPLICATION SIGN} {config.grid}"
        return f"{' + '.join(config.sources)} fused to {grid} tokens, {config.depth} layers"

    def lay_logits(self, config: FusionConfig, tensors: Tensors, layers: Layers[Value], pixels: Value) -> Value:
        """The algebraic form."""
        return lay_logits(config, tensors, layers, pixels)

    def compiled(self, network: Network) -> Network:
        """The algebraic form."""
        from fer_fast.models.fusion.algebraic import AlgebraicModel
        from fer_fast.models.fusion.network import FusionModel

        assert isinstance(network, FusionModel)
        return AlgebraicModel(network)

    def native(self, network: Network) -> Network:
        """Batch norms folded, tokens by the native op."""
        from fer_fast.models.fusion.network import FusionModel
        from fer_fast.ops import torch_op
        from fer_fast.ops.tokens import fused_tokens

        torch_op.load()  # a missing module is told here, not at the first batch
        assert isinstance(network, FusionModel)
        network.tokens = fused_tokens
        return super().native(network)

    def cut_obstacle(self, checkpoint: Checkpoint) -> str:
        """There must be a backbone before the fused op."""
        assert isinstance(checkpoint.config, FusionConfig)
        return "" if checkpoint.config.taps else "a model of the image alone has no backbone"

    def cut(self, checkpoint: Checkpoint, precision: str) -> Cut:
        """Backbone, its batch norms folded; the native op; Vision Transformer."""
        from fer_fast.models.batch_norm import fold_batch_norm
        from fer_fast.models.dtypes import DTYPES
        from fer_fast.models.fusion.cut import cut
        from fer_fast.models.fusion.network import FusionModel

        if obstacle := self.cut_obstacle(checkpoint):
            raise ValueError(obstacle)
        network = self._built(checkpoint)
        assert isinstance(network, FusionModel)
        fold_batch_norm(network)
        network.round_to(DTYPES[precision])
        return cut(network)
