"""What tests of training share: what a run is made of, and the command line that starts it."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from drawn_data import RECIPE, draw_backbone, draw_ferplus, last_sentence

from fer_fast.cli import run
from fer_fast.cli import train as command
from fer_fast.train import calibrate
from fer_fast.train.run import Training

STAGES = RECIPE[RECIPE.index("stages") : RECIPE.index("seed")]
SHORT = (STAGES, "stages = [{ steps = 1 }]\n")


def draw_inputs(folder: Path) -> dict[str, str]:
    """A recipe, FERPlus and a backbone, drawn: the command's options."""
    (folder / "recipe.toml").write_text(RECIPE)
    draw_ferplus(folder / "data", {"train": 34, "valid": 10})
    draw_backbone(folder / "backbone.safetensors", taps=("FM1",))
    return {
        "recipe": str(folder / "recipe.toml"),
        "--data": str(folder / "data"),
        "--backbone": str(folder / "backbone.safetensors"),
    }


@contextmanager
def calibrated_quickly(cache: Path) -> Iterator[None]:
    """While inside, teachers are compiled into `cache`, not into the user's own folder."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FER_FAST_CACHE", str(cache))
        patch.setattr(calibrate, "ENOUGH", 1)  # ten faces are all there is to validate on
        yield


def words(*options: dict[str, str]) -> list[str]:
    """The command line; later options win, and an empty one is left out."""
    merged: dict[str, str] = {}
    for each in options:
        merged |= each
    recipe = merged.pop("recipe")
    return [recipe, *(word for option, value in merged.items() if value for word in (option, value))]


def changed(tmp_path: Path, *pairs: tuple[str, str]) -> dict[str, str]:
    """`RECIPE`, changed, as an option."""
    text = RECIPE
    for old, new in pairs:
        assert text.count(old) == 1
        text = text.replace(old, new)
    path = tmp_path / "changed.toml"
    path.write_text(text)
    return {"recipe": str(path)}


def complaint(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    """The one line that a command that fails says."""
    capsys.readouterr()
    assert run(["train", *arguments]) == 2
    said = capsys.readouterr()
    assert said.out == ""
    return last_sentence(said.err, "fer-fast")


def new_training(inputs: dict[str, str], out: Path, *options: dict[str, str]) -> Training:
    """What the command would run."""
    arguments = words(inputs, *options, {"--out": str(out)})
    parser = argparse.ArgumentParser()
    command.add_arguments(parser)
    return command.training(parser.parse_args(arguments))
