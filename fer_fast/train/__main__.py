"""The command `python -m fer_fast.train RECIPE --data DIR --out RUN`."""

from __future__ import annotations

import argparse
import logging
import sys
from pathlib import Path
from typing import Any

from fer_fast.train.ferplus import load_split
from fer_fast.train.recipe import load_recipe
from fer_fast.train.run import Training
from fer_fast.train.start import read_backbone_weights
from fer_fast.types import FerFastError


def main(arguments: list[str] | None = None) -> int:
    """Runs the command; returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m fer_fast.train", description="Train a model on FERPlus.")
    parser.add_argument("recipe", help="a recipe's name, or a .toml file")
    parser.add_argument("--data", type=Path, required=True, help="folder with FER2013Train/ ... and fer2013new.csv")
    parser.add_argument("--out", type=Path, required=True, help="folder of the run; an unfinished run there goes on")
    parser.add_argument("--backbone", type=Path, help="ResNet-18 weights; without it torchvision's are downloaded")
    options = parser.parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    try:
        recipe = load_recipe(options.recipe)
        train, valid = (load_split(options.data, split) for split in ("train", "valid"))
        training = Training(recipe, train, valid, options.out, read_backbone_weights(options.backbone))
        training.run(_print_row)
    except (ValueError, FerFastError, OSError, ArithmeticError) as error:
        print(f"fer_fast.train: {' '.join(str(error).split())}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("fer_fast.train: stopped; the same command goes on from the last saved state", file=sys.stderr)
        return 130
    return 0


def _print_row(row: dict[str, Any]) -> None:
    print("  ".join(f"{name} {value}" for name, value in row.items() if value is not None), flush=True)


if __name__ == "__main__":
    sys.exit(main())
