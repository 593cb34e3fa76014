"""What all classifiers have in common: from pixels to logits by a network of one's own, and from there to answers."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import numpy.typing as npt

from fer_fast.models.architecture import Architecture, Sides
from fer_fast.models.config import LUMA, ClassifierConfig
from fer_fast.models.files.checkpoint import Checkpoint
from fer_fast.models.layers import Array, Layers, Value
from fer_fast.models.prior import logarithms_of, ratios_of
from fer_fast.models.ranges import NO_RANGES
from fer_fast.models.registry import architecture_named
from fer_fast.models.tensors import Shape, Tensors, check_tensors

if TYPE_CHECKING:
    from pathlib import Path

    from torch import Tensor, nn

    from fer_fast.models.network import Network


#: Fields of a recipe that not every architecture can obey; 0 is none of it.
SETTINGS = frozenset({"drop_path", "auxiliary_weight", "backbone_learning_rate"})


@dataclass(frozen=True)
class DrawnMap:
    """What a figure has a panel for.

    Attributes:
        name: of the map, as `Network.stages` has it, or image.
        channels: of which it is the mean.
        note: a word below it, or in its place where the model does not compute it.
    """

    name: str
    channels: int
    note: str = ""


class ClassifierArchitecture(Architecture[Checkpoint]):
    """A classifier: `config`, `shapes`, `network` and `lay_logits` are all that a new one needs.

    Attributes:
        presets: configurations that have a name.
        bias: the tensor [classes] that is added to the logits.
        maps_title: what a figure says above the image and its maps.
        parts: stages of a benchmark that measure a part of it by itself.
        settings: the fields of a recipe, out of `SETTINGS`, that training obeys.
        trainable: whether a recipe makes models of it.
        resizes: whether a stage of a recipe may train it at another size than its own.
        frozen: whether the backbone stays as it begins; what it gives the rest may then be kept while that is trained
            (`Network.features` and `logits_of`, `lay_features`).
        weights_suffix: of another program's files that a new model may begin with; empty: there are none.
    """

    kind = "classifier"
    output = "logits"
    answer = "probabilities"
    measure = "validation accuracy"
    config: ClassVar[type[ClassifierConfig]]
    presets: ClassVar[Mapping[str, ClassifierConfig]] = {}
    bias: ClassVar[str] = "head.bias"
    maps_title: ClassVar[str] = "Input"
    parts: ClassVar[frozenset[str]] = frozenset()
    settings: ClassVar[frozenset[str]] = frozenset()
    trainable: ClassVar[bool] = True
    resizes: ClassVar[bool] = True
    frozen: ClassVar[bool] = False
    weights_suffix: ClassVar[str] = ""

    @abstractmethod
    def shapes(self, config: Any) -> Iterator[Shape]:
        """See `Architecture.shapes`."""

    @abstractmethod
    def network(self, config: Any, drop_path: float = 0.0) -> Network:
        """See `Architecture.network`; with the chance to skip a layer in training, 0 where `settings` have none."""

    @abstractmethod
    def lay_logits(self, config: Any, tensors: Tensors, layers: Layers[Value], pixels: Value) -> Value:
        """Lays `Network.logits`, batch norms folded: layers with weights have the names of `compiled`'s.

        Args:
            config: the model's.
            tensors: its weights; their names and shapes are checked.
            layers: the engine's.
            pixels: normalised, [batch, channels, size, size].

        Returns:
            Logits [batch, classes].
        """

    def lay_features(self, config: Any, tensors: Tensors, layers: Layers[Value], pixels: Value) -> Value:
        """Lays `Network.features`, batch norms folded, see `frozen`; arguments as `lay_logits` takes them."""
        raise NotImplementedError(f"{type(self).__name__} must say what its backbone gives")

    def has_backbone(self, config: Any) -> bool:
        """Whether `network` has one."""
        return False

    def weights_url(self, config: Any) -> str:
        """Where weights are that a new model begins with, a file of tensors by name; empty where it needs none."""
        return ""

    def read_weights(self, path: Path, config: Any) -> dict[str, Array]:
        """Reads another program's file, see `weights_suffix`: tensors by name, as `begin` takes them.

        Raises:
            ValueError: it is damaged, or its weights are not of this architecture and configuration.
        """
        whose = (
            f"architecture {self.config.architecture!r} has weights_suffix {self.weights_suffix!r} and no read_weights"
        )
        raise ValueError(f"start must be a model or a checkpoint, not {str(path)!r}: {whose}")

    def begin(self, network: Network, weights: Mapping[str, Tensor], images: Tensor) -> tuple[str, ...]:
        """Makes a new network, whose weights are of chance, ready to be trained.

        Args:
            network: changed in place.
            weights: the tensors of `weights_url`, of `read_weights`, or of what the caller has in their place.
            images: typical faces, float [batch, 3, size, size], values 0..255.

        Returns:
            Names of the backbone's parts that `weights` lack, at least in part.

        Raises:
            ValueError: the weights do not fit.
        """
        return ()

    def weights_at(self, network: Network, config: Any) -> Mapping[str, Tensor]:
        """A network's weights for a configuration that differs in `image_size` alone, of the same names.

        The same, unless some depend on the size and can be made for another; those that cannot keep their shapes, by
        which the caller tells.
        """
        return network.state_dict()

    def drawn(self, config: Any) -> list[DrawnMap]:
        """The image, then up to four maps, shallow to deep."""
        return [DrawnMap("image", 3)]

    def caption(self, config: Any) -> str:
        """A model in a few words, below a figure."""
        return str(config.architecture)

    def compiled(self, network: Network) -> Network:
        """The same network as graph compilers take it, without custom ops, and changed at will; in fp32, eval mode."""
        return _folded(network)

    def native(self, network: Network) -> Network:
        """The same network as torch runs it, with the native ops, and changed at will; in fp32, eval mode."""
        from fer_fast.ops.image import normalised_image

        network.image_op = normalised_image
        # Before the weights are rounded: a norm that follows a rounded convolution adds half of its error again.
        return _folded(network)

    def sides(self, checkpoint: Checkpoint) -> Sides:
        """One size."""
        return Sides(checkpoint.config.image_size, checkpoint.config.image_size)

    def output_shape(self, checkpoint: Checkpoint, images: tuple[int, ...]) -> tuple[int, ...]:
        """[batch, classes]."""
        return images[0], len(checkpoint.config.classes)

    def facts(self, checkpoint: Checkpoint) -> list[tuple[str, str]]:
        """The size, how faces are cut for it, the classes, and their shares where they are known."""
        config = checkpoint.config
        classes = [("class", " ".join(name.split())) for name in config.classes]
        shares = [("prior", f"{share:.9g}") for share in checkpoint.target or config.prior]
        return [("image_size", str(config.image_size)), ("framing", config.framing), *classes, *shares]

    def int8_obstacle(self, checkpoint: Checkpoint) -> str:
        """It needs ranges."""
        return "" if checkpoint.config.activation_ranges else NO_RANGES

    def lay(self, checkpoint: Checkpoint, layers: Layers[Value], images: Value) -> Value:
        """To logits."""
        config = checkpoint.config
        check_tensors(checkpoint.tensors, self.shapes(config))
        return self.lay_views(config, Tensors(checkpoint.tensors), layers, layers.maps(images))

    def lay_kept(self, checkpoint: Checkpoint, layers: Layers[Value], images: Value) -> Value:
        """To what a frozen backbone gives the rest, of the images alone."""
        config = checkpoint.config
        check_tensors(checkpoint.tensors, self.shapes(config))
        pixels = self._lay_pixels(config, layers, layers.maps(images))
        return self.lay_features(config, Tensors(checkpoint.tensors), layers, pixels)

    def lay_exported(self, checkpoint: Checkpoint, layers: Layers[Value], images: Value) -> Value:
        """To calibrated probabilities [batch, classes] that presume the checkpoint's target."""
        logits = self.lay(checkpoint, layers, images)
        calibrated = layers.multiply(logits, np.array([[1 / checkpoint.config.temperature]]))
        if (shift := prior_shift(checkpoint)) is not None:
            calibrated = layers.add(calibrated, shift.reshape(1, -1))
        return layers.softmax(calibrated)

    def lay_views(self, config: Any, tensors: Tensors, layers: Layers[Value], maps: Value) -> Value:
        """From maps [batch, 3, size, size] of 0 to 255 to logits, those of the mirror image among them."""
        pixels = self._lay_pixels(config, layers, maps)
        if not config.flip_average:
            return self.lay_logits(config, tensors, layers, pixels)
        both = layers.concatenate([pixels, layers.mirrored(pixels, 3)], 0)
        logits = self.lay_logits(config, tensors, layers, both)
        return layers.mean(layers.reshape(logits, [2, -1, len(config.classes)]), 0)

    def _lay_pixels(self, config: Any, layers: Layers[Value], maps: Value) -> Value:
        """What the network sees, normalised, of maps [batch, 3, size, size] of 0 to 255."""
        inv_std = 1 / (np.array(config.std).reshape(1, -1, 1, 1) * 255)
        mean = np.array(config.mean).reshape(1, -1, 1, 1) * 255
        if config.colour == "grey":  # the mean over three channels of thrice what each counts
            maps = layers.mean(layers.multiply(maps, 3 * np.array(LUMA).reshape(1, 3, 1, 1)), 1, keep=True)
        return layers.add(layers.multiply(maps, inv_std), -mean * inv_std)

    def graph(
        self, checkpoint: Checkpoint, precision: str = "fp32", symmetric: bool = False, rest: str = "fp32"
    ) -> nn.Module:
        """To logits."""
        from fer_fast.models.forms import Logits, rounded

        return Logits(rounded(self.compiled(self._built(checkpoint)), precision, symmetric, rest)).eval()

    def exported(
        self, checkpoint: Checkpoint, precision: str = "fp32", symmetric: bool = False, rest: str = "fp32"
    ) -> nn.Module:
        """To calibrated probabilities."""
        from fer_fast.models.forms import Probabilities, rounded

        network = rounded(self.compiled(self._built(checkpoint)), precision, symmetric, rest)
        return Probabilities(network, prior_shift(checkpoint)).eval()

    def eager(self, checkpoint: Checkpoint, precision: str) -> nn.Module:
        """To logits, batch norms folded, by the native ops."""
        from fer_fast.models.batch_norm import channels_last
        from fer_fast.models.dtypes import DTYPES

        network = self.native(self._built(checkpoint))
        network.round_to(DTYPES[precision])
        channels_last(network)
        return network

    def _built(self, checkpoint: Checkpoint) -> Network:
        from fer_fast.models.files.storage import build_model

        return build_model(checkpoint)


def _folded(network: Network) -> Network:
    from fer_fast.models.batch_norm import fold_batch_norm

    fold_batch_norm(network)
    return network


def classifier_named(name: str) -> ClassifierArchitecture:
    """The architecture of a name.

    Raises:
        ValueError: there is none of that name, or it is a face finder's.
    """
    found = architecture_named(name)
    if not isinstance(found, ClassifierArchitecture):
        raise ValueError(f"architecture must be a classifier's; {name!r} is a face {found.kind}'s")
    return found


def classifier_of(config: ClassifierConfig) -> ClassifierArchitecture:
    """The architecture of a configuration."""
    return classifier_named(config.architecture)


def prior_shift(checkpoint: Checkpoint) -> npt.NDArray[np.float64] | None:
    """What an export adds to calibrated logits, [classes], so that they presume the checkpoint's target; None: nothing.

    Before the softmax it is the same as a factor behind it, and no row can sum to 0.
    """
    config = checkpoint.config
    ratios = ratios_of(checkpoint.target, config.prior, config.classes)
    return None if ratios is None else logarithms_of(ratios)
