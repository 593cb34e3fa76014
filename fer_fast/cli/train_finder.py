"""`fer-fast train-finder`: a face finder trained further on photos without labels; a run that was stopped goes on."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from fer_fast.cli.arguments import path
from fer_fast.cli.console import check_stdout, print_out
from fer_fast.cli.progress import Progress
from fer_fast.cli.resumable import STATE, alone, check_run_folder, resumable
from fer_fast.machine.extras import need

if TYPE_CHECKING:
    from fer_fast.train.finder.run import FinderTraining


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds what `fer-fast train-finder` takes."""
    from fer_fast.train.finder.recipe import packaged_finder_recipes

    add = parser.add_argument
    add("recipe", metavar="RECIPE", help=f"a .toml file, or one of: {', '.join(packaged_finder_recipes())}")
    add("--photos", type=path, required=True, metavar="DIR", help="a folder of photos, with faces and without")
    add("--faces", type=path, metavar="DIR", help="cut faces to be set into scenes: FERPlus, or folders of classes")
    add("--start", default="finder", metavar="FILE", help="the finder that teaches and is trained further")
    add("--origin", default="", metavar="TEXT", help="of the result, a sentence for its checkpoint")
    add("--out", type=path, required=True, metavar="RUN", help="folder of the run; an unfinished run there goes on")


def run(arguments: argparse.Namespace) -> int:
    """Trains; returns 0."""
    check_stdout()
    with resumable(arguments, "from the last saved state", arguments.out / STATE):
        ready = training(arguments)
        with alone(arguments.out):
            ready.run(lambda row: print_out("  ".join(f"{name} {value}" for name, value in row.items())))
    return 0


def training(arguments: argparse.Namespace) -> FinderTraining:
    """What the options ask for, ready to run.

    Raises:
        ValueError: a wrong recipe, photos or faces.
        CheckpointError: the start is missing or damaged.
        MissingExtraError: torch is not installed.
    """
    from fer_fast.datasets import check_data
    from fer_fast.datasets.folders import images_below
    from fer_fast.machine.disk import check_readable_folder
    from fer_fast.models.files.checkpoint import read_finder
    from fer_fast.train.finder.recipe import load_finder_recipe

    recipe = load_finder_recipe(arguments.recipe)
    check_run_folder(arguments.out)
    check_readable_folder("photos", arguments.photos)
    files = images_below("photos", arguments.photos)
    if arguments.faces is not None:
        check_data(arguments.faces)
    start = read_finder(arguments.start)
    need("fer-fast train-finder", "train", modules=("torch",))  # it takes seconds: not for a wrong option
    from fer_fast.faces.finder import FaceFinder
    from fer_fast.models.files.storage import build_finder
    from fer_fast.train.finder.material import DOUBTFUL, LOOKS, cut_faces, load_pictures, set_apart
    from fer_fast.train.finder.run import FinderTraining

    learn, judged = set_apart(files, recipe.judged)
    with (
        Progress(arguments.quiet) as progress,
        FaceFinder(arguments.start, score=DOUBTFUL, find_size=LOOKS[-1]) as teacher,
    ):
        pictures, others = (load_pictures(each, teacher, progress.show) for each in (learn, judged))
        cut = cut_faces(arguments.faces, teacher) if arguments.faces is not None else []
    return FinderTraining(recipe, pictures, others, cut, build_finder(start), arguments.origin, arguments.out)
