"""`fer-fast tables`: the 31 rows of the tables of Oh & Yoo 2023, or some of them, trained again in two readings."""

from __future__ import annotations

import argparse

from fer_fast.cli.arguments import names, path, positive
from fer_fast.cli.console import check_stdout, print_out
from fer_fast.cli.resumable import alone, resumable
from fer_fast.machine.extras import need
from fer_fast.reproduction.paper import PUBLISHED, READINGS


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds what `fer-fast tables` takes."""
    add = parser.add_argument
    add("--data", type=path, required=True, metavar="DIR", help="FERPlus")
    add("--out", type=path, required=True, metavar="DIR", help="folder of maps and rows; what it lacks is made")
    add(
        "--recipe",
        default="paper",
        help="paper (224 px, 10,000 steps: for a GPU), paper-scaled (for two cores), or paper-steps (as that, with the "
        "paper's 10,000 steps)",
    )
    add(
        "--rows",
        type=names,
        metavar="NAMES",
        help="those alone, with commas between them: image,FM1+FM2 (default: all)",
    )
    add(
        "--reading",
        choices=list(READINGS),
        help="how maps enter, by their channel mean or by all channels (default: both)",
    )
    add(
        "--backbone",
        type=path,
        action="append",
        default=[],
        metavar="FILE",
        help="a file of ResNet-18 weights; may be repeated",
    )
    add("--jobs", type=positive, metavar="N", help="rows at a time on a CPU (default: one a core)")
    add("--report", type=path, metavar="FILE", help="write the tables to this Markdown file")
    add("--json", type=path, metavar="FILE", help="write the rows to this JSON file, with the machine and its versions")
    add(
        "--published",
        type=path,
        default=PUBLISHED,
        metavar="FILE",
        help="a csv of the paper's own results: sources, train, test",
    )


def run(arguments: argparse.Namespace) -> int:
    """Trains the rows that are missing; returns 0."""
    check_stdout()
    with resumable(arguments, "with the rows that are missing"):
        _run(arguments)
    return 0


def _run(arguments: argparse.Namespace) -> None:
    from fer_fast.datasets import check_data
    from fer_fast.machine.disk import check_file
    from fer_fast.reproduction.paper import named_rows, read_published
    from fer_fast.train.recipe import WEIGHTS_FILES, load_recipe

    recipe, chosen = load_recipe(arguments.recipe), named_rows(arguments.rows, arguments.reading)
    check_data(arguments.data)
    published = read_published(arguments.published)
    for file in arguments.backbone:
        check_file("backbone", file, WEIGHTS_FILES)
    need("fer-fast tables", "train", modules=("torch",))  # it takes seconds: not for a wrong option
    import torch

    from fer_fast.reproduction.page import page
    from fer_fast.reproduction.study import check_study, open_study, read_rows, record_of, run_rows
    from fer_fast.train.record import keep

    device = "cuda" if torch.cuda.is_available() else "cpu"
    check_study(recipe)
    jobs = 1 if device == "cuda" else arguments.jobs or torch.get_num_threads()
    with alone(arguments.out):
        study = open_study(recipe, arguments.data, arguments.out, arguments.backbone, device)
        run_rows(study, chosen, arguments.out, jobs, print_out)
        rows = read_rows(arguments.out)
    if arguments.report:
        keep(arguments.report, page(rows, recipe, published).encode())
    if arguments.json:
        keep(arguments.json, record_of(rows, arguments.recipe).encode())
