"""The ensemble's architecture: a configuration comes in, the forms of `Ensemble` in which it runs go out."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from fer_fast.models.classifier import ClassifierArchitecture, classifier_of
from fer_fast.models.ensemble.config import EnsembleConfig
from fer_fast.models.ensemble.layers import ensemble_shapes, lay_mean
from fer_fast.models.layers import Layers, Value
from fer_fast.models.tensors import Shape, Tensors

if TYPE_CHECKING:
    from fer_fast.models.ensemble.network import Ensemble
    from fer_fast.models.network import Network


class EnsembleArchitecture(ClassifierArchitecture):
    """See `ClassifierArchitecture` for the methods."""

    config = EnsembleConfig
    bias = "bias"
    trainable = False

    def shapes(self, config: EnsembleConfig) -> Iterator[Shape]:
        """Those of `Ensemble`."""
        return ensemble_shapes(config)

    def network(self, config: EnsembleConfig, drop_path: float = 0.0) -> Ensemble:
        """`Ensemble`."""
        from fer_fast.models.ensemble.network import Ensemble

        return Ensemble(config)

    def lay_logits(self, config: EnsembleConfig, tensors: Tensors, layers: Layers[Value], pixels: Value) -> Value:
        """Each member, and the mean."""
        return lay_mean(config, tensors, layers, pixels)

    def versions(self, config: EnsembleConfig) -> dict[str, str]:
        """Those of its members' architectures."""
        return {name: text for each in config.members for name, text in classifier_of(each).versions(each).items()}

    def caption(self, config: EnsembleConfig) -> str:
        """Each member's, with its share."""
        members = zip(config.shares, config.members, strict=True)
        return ", ".join(f"{100 * share:.0f} % {classifier_of(member).caption(member)}" for share, member in members)

    def compiled(self, network: Network) -> Network:
        """Each member as its architecture has it."""
        from fer_fast.models.ensemble.network import Ensemble

        assert isinstance(network, Ensemble)
        return network.change(lambda member: classifier_of(member.config).compiled(member))

    def native(self, network: Network) -> Network:
        """Each member as its architecture has it."""
        from fer_fast.models.ensemble.network import Ensemble

        assert isinstance(network, Ensemble)
        return network.change(lambda member: classifier_of(member.config).native(member))
