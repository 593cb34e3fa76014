"""Training recipes: checked settings from a TOML file."""

from __future__ import annotations

import dataclasses
import tomllib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from fer_fast.datasets.split import FERPLUS_PROTOCOLS
from fer_fast.models.classifier import SETTINGS, ClassifierArchitecture, classifier_named
from fer_fast.models.config import LARGEST_IMAGE, ClassifierConfig, is_number
from fer_fast.models.registry import UNSAID
from fer_fast.train.rules import check_number, check_one_of, check_seed, table_of, values_of

#: Kinds of file that may hold a backbone to start from.
WEIGHTS_FILES = ".safetensors or .pth"
#: Handcrafted features that training knows (`handcrafted.FEATURES`, which needs torch).
FEATURE_NAMES = ("hog", "lbp", "gabor")
RECIPES = Path(__file__).parent / "recipes"


@dataclass(frozen=True)
class Augmentation:
    """Random changes of a training face; lengths are fractions of the image's side. The default changes nothing.

    Attributes:
        flip: left and right change places in half of the faces.
        rotation_degrees: largest rotation either way.
        scale: largest relative change of size.
        shift: largest shift either way.
        contrast: largest relative change of contrast; of brightness, half of it as a fraction of 255.
        erase_chance: how often a rectangle is painted black.
        erase_area: smallest and largest area of that rectangle, as a fraction of the image's.
        hard_chance: how often a face is seen, after all that, as `hard_views` shows it.
        mixup: alpha of mixup's Beta distribution (Zhang et al. 2018); 0 mixes nothing.
    """

    flip: bool = False
    rotation_degrees: float = 0.0
    scale: float = 0.0
    shift: float = 0.0
    contrast: float = 0.0
    erase_chance: float = 0.0
    erase_area: tuple[float, float] = (0.02, 0.2)
    hard_chance: float = 0.0
    mixup: float = 0.0

    def __post_init__(self) -> None:
        if not isinstance(self.flip, bool):
            raise ValueError(f"flip must be true or false, not {self.flip!r}")
        check_number(self, "rotation_degrees", "a number from 0 to 180", lambda value: 0 <= value <= 180)
        for name in ("shift", "erase_chance", "hard_chance"):
            check_number(self, name, "a number from 0 to 1", lambda value: 0 <= value <= 1)
        for name in ("scale", "contrast"):
            check_number(self, name, "a number from 0 to below 1", lambda value: 0 <= value < 1)
        check_number(
            self, "mixup", "0 or a number from 0.01 to 1000", lambda value: value == 0 or 0.01 <= value <= 1000
        )
        areas = self.erase_area
        if not isinstance(areas, (list, tuple)):
            raise ValueError(f"erase_area must be a list, not {areas!r}")
        if len(areas) != 2 or not all(map(is_number, areas)) or not 0 < areas[0] <= areas[1] <= 1:
            raise ValueError(f"erase_area must be two ascending numbers above 0, at most 1, not {list(areas)!r}")
        object.__setattr__(self, "erase_area", tuple(areas))


@dataclass(frozen=True)
class Stage:
    """A part of a run.

    Attributes:
        image_size: side of the training images in pixels; 0 is the model's own.
        epochs, steps: how long, one of the two.
        part: what is trained: "backbone" (with its auxiliary head, as a plain ResNet) or "all".
    """

    image_size: int = 0
    epochs: int = 0
    steps: int = 0
    part: str = "all"

    def __post_init__(self) -> None:
        size = self.image_size
        check_number(
            self,
            "image_size",
            f"0 or an integer from 32 to {LARGEST_IMAGE}",
            lambda _: type(size) is int and (size == 0 or 32 <= size <= LARGEST_IMAGE),
        )
        for name in ("epochs", "steps"):
            check_number(self, name, "an integer of 0 or more", lambda value: isinstance(value, int) and value >= 0)
        if (self.epochs == 0) == (self.steps == 0):
            raise ValueError(f"a stage must have epochs or steps, not epochs {self.epochs} and steps {self.steps}")
        check_one_of(self, "part", ("backbone", "all"))


@dataclass(frozen=True)
class Recipe:
    """Everything that decides a training run, data apart. recipes/fast.toml says what each is good for.

    Attributes:
        stages: what is trained, one after the other.
        learning_rate: largest rate, reached after a fifth of the steps where `schedule` is "one-cycle".
        model: the name of an `architecture` (default: fusion), that of one of its presets as `preset`, and fields of
            its configuration, as they differ from the preset or the defaults; the classes come from the data. A run
            that starts from a model has that model's instead, but for flip_average and framing.
        seed: of weights, order and views.
        protocol: which FERPlus images are used, with which classes (`ferplus.PROTOCOLS`).
        targets: "votes" (distributions) or "labels".
        batch_size: images a step.
        backbone_learning_rate: the same for pre-trained layers; 0 freezes the backbone, batch norms included.
        schedule: "one-cycle" (Smith & Topin 2019) or "constant".
        weight_decay: AdamW's; with 0 it is Adam.
        drop_path: stochastic depth of a Vision Transformer.
        auxiliary_weight: share of the loss of a head on the backbone while everything is trained.
        average_decay: decay a step of the averaged weights that are judged and kept; 0 keeps the last ones.
        balance: exponent of the class weights, 0 (none) to 1 (every class counts the same).
        distillation: share of the teacher's probabilities in the targets, where a teacher is given.
        augmentation: random changes of the images.
        feature_loss: handcrafted features, "hog", "lbp", "gabor" or a list of them, that a layer is held near early in
            the training (`feature_loss.FeatureLoss`).
        feature_layer: that layer, of those that `fer-fast visualize --layers` knows.
        feature_weight: of the features' loss in the first step.
        feature_epochs: after which it has fallen, evenly, to 0.
        weighting: of several features: "fixed", all the same, or "adaptive", by uncertainty.
    """

    stages: tuple[Stage, ...]
    learning_rate: float
    model: dict[str, Any] = field(default_factory=dict)
    seed: int = 1
    protocol: str = "argmax10"
    targets: str = "votes"
    batch_size: int = 64
    backbone_learning_rate: float = 0.0
    schedule: str = "one-cycle"
    weight_decay: float = 0.0
    drop_path: float = 0.0
    auxiliary_weight: float = 0.0
    average_decay: float = 0.0
    balance: float = 0.0
    distillation: float = 0.0
    augmentation: Augmentation = field(default_factory=Augmentation)
    # Said apart, by `feature_words`: without them a run is the same as before there were any.
    feature_loss: tuple[str, ...] = field(default=(), repr=False)
    feature_layer: str = field(default="", repr=False)
    feature_weight: float = field(default=0.0, repr=False)
    feature_epochs: float = field(default=0.0, repr=False)
    weighting: str = field(default="fixed", repr=False)

    def __post_init__(self) -> None:
        if not self.stages:
            raise ValueError("stages must be one or more, got none")
        check_seed(self.seed)
        # Batch norm cannot learn from one image.
        check_number(self, "batch_size", "an integer of 2 or more", lambda value: isinstance(value, int) and value >= 2)
        check_number(self, "learning_rate", "a number above 0, at most 1", lambda value: 0 < value <= 1)
        check_number(self, "backbone_learning_rate", "a number from 0 to 1", lambda value: 0 <= value <= 1)
        for name in ("weight_decay", "auxiliary_weight"):
            check_number(self, name, "a number from 0 to 1000", lambda value: 0 <= value <= 1000)
        for name in ("drop_path", "average_decay"):
            check_number(self, name, "a number from 0 to below 1", lambda value: 0 <= value < 1)
        for name in ("balance", "distillation"):
            check_number(self, name, "a number from 0 to 1", lambda value: 0 <= value <= 1)
        check_one_of(self, "protocol", FERPLUS_PROTOCOLS)
        check_one_of(self, "targets", ("votes", "labels"))
        check_one_of(self, "schedule", ("one-cycle", "constant"))
        self._check_features()
        config = self.config(("0", "1"))
        if any(stage.part == "backbone" for stage in self.stages) and self.backbone_learning_rate == 0:
            raise ValueError("backbone_learning_rate must be above 0, where a stage trains the backbone")
        if self.model:
            self.check_for(config)

    def _check_features(self) -> None:
        names = self.feature_loss
        names = (names,) if isinstance(names, str) else names
        listed = isinstance(names, (list, tuple)) and all(names.count(name) == 1 for name in names)
        if not listed or not all(name in FEATURE_NAMES for name in names):
            said = list(names) if isinstance(names, tuple) else names
            raise ValueError(f"feature_loss must be different ones of {', '.join(FEATURE_NAMES)}, not {said!r}")
        names = tuple(names)
        object.__setattr__(self, "feature_loss", names)
        check_one_of(self, "weighting", ("fixed", "adaptive"))
        if not names and self.weighting != "fixed":
            raise ValueError(f"weighting must be fixed without feature_loss, not {self.weighting!r}")
        if not isinstance(self.feature_layer, str) or bool(self.feature_layer) != bool(names):
            rule = "name a layer" if names else "be left out without feature_loss"
            raise ValueError(f"feature_layer must {rule}, not {self.feature_layer!r}")
        rule = "a number above 0" if names else "left out without feature_loss"
        for name in ("feature_weight", "feature_epochs"):
            check_number(self, name, rule, lambda value: value > 0 if names else value == 0)

    def feature_words(self) -> str:
        """What is said of the features in a run's identity; empty where there are none."""
        names = ("feature_loss", "feature_layer", "feature_weight", "feature_epochs", "weighting")
        return ", ".join(f"{name}={getattr(self, name)!r}" for name in names) if self.feature_loss else ""

    def check_for(self, config: ClassifierConfig) -> None:
        """Raises a ValueError where the recipe has what a model of this configuration does not."""
        if (said := self.model.get("architecture", config.architecture)) != config.architecture:
            raise ValueError(f"start must be of the recipe's architecture, {said!r}, not {config.architecture!r}")
        architecture = _trainable(config.architecture)
        for name in sorted(SETTINGS - architecture.settings):
            if getattr(self, name):
                raise ValueError(
                    f"{name} must be 0 for architecture {config.architecture!r}, not {getattr(self, name)!r}"
                )
        if any(stage.part == "backbone" for stage in self.stages) and not architecture.has_backbone(config):
            raise ValueError("part must be all for a model without a backbone, not 'backbone'")
        sizes = [stage.image_size for stage in self.stages if stage.image_size not in (0, config.image_size)]
        if sizes and not architecture.resizes:
            rule = f"the model's {config.image_size} for architecture {config.architecture!r}"
            raise ValueError(f"a stage's image_size must be {rule}, not {sizes[0]}")

    def check_keeps_features(self, config: ClassifierConfig) -> None:
        """Raises a ValueError unless a run may keep what a frozen backbone gives, in place of the images.

        Args:
            config: of the model that the run is of.
        """
        if not _trainable(config.architecture).frozen:
            raise ValueError(f"features must not be given for architecture {config.architecture!r}: none stay the same")
        for name, given, plain in (
            ("augmentation", self.augmentation, Augmentation()),
            ("feature_loss", self.feature_loss, ()),
            ("flip_average", config.flip_average, False),
        ):
            if given != plain:
                raise ValueError(f"features must not be given for a recipe with {name}: they are of faces as they are")

    def config(self, classes: tuple[str, ...]) -> ClassifierConfig:
        """The model to train.

        Raises:
            ValueError: if there is no such architecture or preset, or a field of `model` is unknown, breaks its rule,
                or is for the training to find.
        """
        if not isinstance(self.model, dict):
            raise ValueError(f"model must be a table of fields, preset may be one, not {self.model!r}")
        if found := {"classes", "temperature", "activation_ranges", "precision_falls", "prior"} & set(self.model):
            raise ValueError(f"model must leave {min(found)!r} to the training")
        fields = dict(self.model)
        architecture = _trainable(str(fields.pop("architecture", UNSAID)))
        preset = fields.pop("preset", None)
        if preset is not None:
            if str(preset) not in architecture.presets:
                known = ", ".join(architecture.presets) or "none"
                raise ValueError(f"preset must be one of {known}, not {preset!r}")
            fields = architecture.presets[preset].as_dict() | fields
        return architecture.config.from_dict({**fields, "classes": classes})


def load_recipe(recipe: str | Path) -> Recipe:
    """Reads a recipe.

    Args:
        recipe: the name of a recipe in the package, or the path of a .toml file.

    Raises:
        ValueError: if there is no such recipe, or a field is missing, unknown or out of its range.
    """
    named = RECIPES / f"{recipe}.toml"
    path = named if named.is_file() else Path(recipe)
    if not path.is_file():
        raise ValueError(f"recipe must be a .toml file or one of: {', '.join(packaged())}; there is no {str(recipe)!r}")
    try:
        values = values_of(path)
        stages = values.pop("stages")
        if not isinstance(stages, list):
            raise ValueError(f"stages must be a list of tables, not {stages!r}")
        stages = tuple(Stage(**table_of(stage, "a stage")) for stage in stages)
        augmentation = Augmentation(**table_of(values.pop("augmentation", {}), "augmentation"))
        return Recipe(stages=stages, augmentation=augmentation, **values)
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, KeyError, TypeError, AttributeError) as error:
        names = ", ".join(each.name for each in dataclasses.fields(Recipe))
        raise ValueError(f"recipe {str(path)!r} must have the fields of {names}: {error}") from error


def packaged() -> list[str]:
    """Names of the recipes in the package."""
    return sorted(file.stem for file in RECIPES.glob("*.toml"))


def _trainable(name: str) -> ClassifierArchitecture:
    """An architecture that recipes make models of."""
    architecture = classifier_named(name)
    if not architecture.trainable:
        raise ValueError(f"architecture must be one that is trained, not {name!r}")
    return architecture
