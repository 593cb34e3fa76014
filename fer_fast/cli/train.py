"""`fer-fast train`: a model made of labelled faces by a recipe; a run that was stopped goes on."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fer_fast.cli.arguments import path, positive
from fer_fast.cli.console import check_stdout, print_out
from fer_fast.cli.resumable import STATE, alone, check_run_folder, resumable
from fer_fast.machine.extras import need

if TYPE_CHECKING:
    from fer_fast.models.layers import Array
    from fer_fast.models.network import Network
    from fer_fast.train.faces import Faces
    from fer_fast.train.kept_features import KeptFeatures
    from fer_fast.train.recipe import Recipe
    from fer_fast.train.run import Training


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds what `fer-fast train` takes."""
    from fer_fast.train.recipe import packaged

    add = parser.add_argument
    add("recipe", metavar="RECIPE", help=f"a .toml file, or one of: {', '.join(packaged())}")
    add(
        "--data",
        type=path,
        required=True,
        metavar="DIR",
        help="FERPlus (fer2013new.csv beside FER2013Train/ ... or fer2013.csv), "
        "or a folder whose sub-folders are classes, in train/ and valid/ or alone",
    )
    add("--out", type=path, required=True, metavar="RUN", help="folder of the run; an unfinished run there goes on")
    start = parser.add_mutually_exclusive_group()
    start.add_argument(
        "--backbone",
        type=path,
        action="append",
        default=[],
        metavar="FILE",
        help="a file of ResNet-18 weights; may be repeated, later files win; without it torchvision's are downloaded",
    )
    start.add_argument(
        "--start",
        metavar="MODEL",
        help="a packaged model or a .safetensors checkpoint to go on from; of the recipe face-resnet dlib's .dat, too",
    )
    add(
        "--image-size",
        type=positive,
        default=0,
        metavar="S",
        help="train the model of --start for images of S pixels a side (default: its own size)",
    )
    add(
        "--teacher",
        action="append",
        default=[],
        metavar="MODEL",
        help="a model whose answers are learnt, too; may be repeated",
    )
    add(
        "--keep-every",
        type=positive,
        default=0,
        metavar="N",
        help="keep the model of each Nth epoch, and of the start, in RUN/epochs, for visualize (default: none)",
    )
    add(
        "--features",
        type=path,
        metavar="DIR",
        help="where what a backbone that stays frozen gives of each face is kept, once for any number of runs; without "
        "augmentation",
    )
    add("--device", choices=("auto", "cpu", "cuda"), default="auto", help="where to train (default: auto)")


def run(arguments: argparse.Namespace) -> int:
    """Trains; returns 0."""
    check_stdout()
    with resumable(arguments, "from the last saved state", arguments.out / STATE):
        ready = training(arguments)
        with alone(arguments.out):
            ready.run(_print_row)
    return 0


def training(arguments: argparse.Namespace) -> Training:
    """What the options ask for, ready to run.

    Raises:
        ValueError: options that do not go together, or a wrong recipe or data.
        MissingExtraError: torch or kornia is not installed.
        FerFastError: a model is missing or damaged.
    """
    recipe, weights = _checked(arguments)
    need("fer-fast train", "train", modules=("torch", "kornia"))  # torch takes seconds: not for a wrong option
    if recipe.feature_loss:
        need("feature_loss", "features")
    import torch

    from fer_fast.models.classifier import classifier_of
    from fer_fast.models.files.checkpoint import read_checkpoint
    from fer_fast.models.loading import load_model
    from fer_fast.train.distil import taught
    from fer_fast.train.faces import load_faces
    from fer_fast.train.handcrafted import described
    from fer_fast.train.learner import check_feature_layer
    from fer_fast.train.run import Training
    from fer_fast.train.start import at_size, new_start, read_backbone_weights, tuned_start

    teachers = arguments.teacher
    if arguments.device == "cuda" and not torch.cuda.is_available():
        raise ValueError("device must be cpu where torch sees no GPU")
    device = "cuda" if arguments.device != "cpu" and torch.cuda.is_available() else "cpu"
    start = at_size(load_model(arguments.start), arguments.image_size) if arguments.start and not weights else None
    config = start.config if start else recipe.config(("0", "1"))
    size = max(config.image_size, *(read_checkpoint(teacher).config.image_size for teacher in teachers), 0)
    train, valid = load_faces(arguments.data, size, recipe.protocol, recipe.targets)
    if start is not None:
        beginning = tuned_start(recipe, train, start)
    elif weights:
        beginning = new_start(recipe, train, {name: torch.from_numpy(values) for name, values in weights.items()})
    else:
        url = classifier_of(config).weights_url(config)
        given = read_backbone_weights(arguments.backbone, url) if url or arguments.backbone else {}
        beginning = new_start(recipe, train, given)
    if recipe.feature_loss:  # what takes minutes comes last
        check_feature_layer(beginning.model, recipe.feature_layer, recipe.backbone_learning_rate == 0)
    if arguments.features:
        recipe.check_keeps_features(beginning.model.config)
    if teachers:
        train = taught(train, teachers, recipe.distillation, arguments.out / "answers.safetensors", device)
    cache = arguments.out / "features.safetensors"
    features = described(train, recipe.feature_loss, cache) if recipe.feature_loss else {}
    kept = _kept(arguments.features, train, valid, beginning.model) if arguments.features else None
    return Training(recipe, train, valid, arguments.out, beginning, device, arguments.keep_every, features, kept)


def _kept(folder: Path, train: Faces, valid: Faces, model: Network) -> tuple[KeptFeatures, KeptFeatures]:
    """What the frozen backbone gives of both splits."""
    from fer_fast.train.kept_features import KeptFeatures

    return KeptFeatures(folder / "train", train.pixels, model), KeptFeatures(folder / "valid", valid.pixels, model)


def _checked(arguments: argparse.Namespace) -> tuple[Recipe, dict[str, Array]]:
    """The recipe, when all that the options name is there and goes together, and another program's weights, if any."""
    from fer_fast.datasets import check_data, check_no_class
    from fer_fast.machine.disk import check_file
    from fer_fast.models.classifier import classifier_of
    from fer_fast.models.files.paths import checkpoint_path
    from fer_fast.train.recipe import WEIGHTS_FILES, load_recipe

    recipe = load_recipe(arguments.recipe)
    if bool(arguments.teacher) != (recipe.distillation > 0):
        raise ValueError(f"teacher must be given if and only if distillation is above 0; it is {recipe.distillation}")
    if not arguments.start and not recipe.model:
        raise ValueError(f"start must be given: recipe {arguments.recipe!r} has no [model] of its own")
    if arguments.image_size and not arguments.start:
        raise ValueError("image_size must not be given without start: the recipe's [model] says it")
    check_data(arguments.data)
    check_run_folder(arguments.out)
    for name in ("out", "features"):
        if (folder := getattr(arguments, name)) is not None:
            check_no_class(name, folder, arguments.data)
    for teacher in arguments.teacher:
        checkpoint_path(teacher)
    for file in arguments.backbone:
        check_file("backbone", file, WEIGHTS_FILES)
    config = recipe.config(("0", "1"))
    architecture = classifier_of(config)
    if arguments.backbone and not (architecture.weights_url(config) or architecture.has_backbone(config)):
        raise ValueError("backbone must not be given: the recipe's model has none that starts trained")
    start, suffix = arguments.start, architecture.weights_suffix
    if start and suffix and start.endswith(suffix):
        if arguments.image_size:
            raise ValueError(f"image_size must not be given with a start of {suffix}: the recipe's [model] says it")
        return recipe, architecture.read_weights(Path(start), config)
    if start and checkpoint_path(start).suffix.lower() != ".safetensors":
        also = f" or, for the recipe's {config.architecture!r}, a {suffix} file" if suffix else ""
        raise ValueError(f"start must be a packaged model or a .safetensors checkpoint{also}, not {start!r}")
    return recipe, {}


def _print_row(row: dict[str, Any]) -> None:
    print_out("  ".join(f"{name} {value}" for name, value in row.items() if value is not None))
