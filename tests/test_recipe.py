"""Recipes: what the packaged ones say, and every rule that a recipe can break."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pytest
from drawn_data import RECIPE

from fer_fast.models.face_resnet.config import FaceResNetConfig
from fer_fast.models.fusion.config import PRESETS
from fer_fast.train.recipe import RECIPES, Augmentation, Recipe, Stage, load_recipe, packaged
from fer_fast.types import EMOTIONS

LEARN = {"stages": (Stage(epochs=1),), "learning_rate": 0.1}


def test_packaged_recipes() -> None:
    assert packaged() == sorted(path.stem for path in RECIPES.glob("*.toml"))
    assert {"backbone", "fast", "paper", "paper-scaled", "refine"} <= set(packaged())
    for name in packaged():
        recipe = load_recipe(name)
        assert load_recipe(RECIPES / f"{name}.toml") == recipe
        assert recipe.config(("no", "yes")).classes == ("no", "yes")
        last = recipe.stages[-1]
        assert last.image_size in (0, recipe.config(("no", "yes")).image_size), "no best model would be kept"


def test_papers_recipe_is_the_papers() -> None:
    for name in ("paper", "paper-scaled"):
        recipe = load_recipe(name)
        assert (recipe.protocol, recipe.targets, recipe.batch_size) == ("paper6", "labels", 64)
        assert recipe.backbone_learning_rate == recipe.weight_decay == recipe.drop_path == recipe.average_decay == 0
        assert recipe.augmentation == Augmentation()
    full = load_recipe("paper")
    assert full.config(("no", "yes")).image_size == 224
    assert (full.stages, full.learning_rate, full.schedule) == ((Stage(steps=10_000),), 0.005, "constant")


@pytest.mark.parametrize("name", sorted(PRESETS))
def test_recipes_of_the_packaged_models(name: str) -> None:
    assert load_recipe(name).config(EMOTIONS) == PRESETS[name]


def test_a_recipe_of_ones_own(tmp_path: Path) -> None:
    (tmp_path / "own.toml").write_text(RECIPE)
    recipe = load_recipe(tmp_path / "own.toml")
    assert recipe.stages[0] == Stage(image_size=32, epochs=1, part="backbone")
    assert recipe.config(("no", "yes")).sources == ("image", "FM1")
    assert recipe.augmentation == Augmentation(
        rotation_degrees=15.0, scale=0.15, shift=0.08, contrast=0.25, erase_chance=0.4, mixup=0.2
    )
    assert load_recipe(str(tmp_path / "own.toml")) == recipe


def test_a_recipe_of_windows_may_begin_with_a_mark(tmp_path: Path) -> None:
    (tmp_path / "own.toml").write_text(RECIPE, encoding="utf-8-sig")
    (tmp_path / "plain.toml").write_text(RECIPE)
    assert load_recipe(tmp_path / "own.toml") == load_recipe(tmp_path / "plain.toml")


def test_stages_are_a_list(tmp_path: Path) -> None:
    for line, came in (("stages = 5", "5"), ('stages = "all"', "'all'"), ("stages = { epochs = 1 }", "{'epochs': 1}")):
        (tmp_path / "own.toml").write_text(f"{line}\nlearning_rate = 1e-3\n")
        with pytest.raises(ValueError) as caught:
            load_recipe(tmp_path / "own.toml")
        assert str(caught.value) == f"stages must be a list of tables, not {came}"


def test_no_recipe(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"recipe must be a \.toml file or one of: .*fast.*; there is no 'slow'"):
        load_recipe("slow")
    (tmp_path / "binary.toml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ValueError, match=r"binary\.toml' must have the fields"):
        load_recipe(tmp_path / "binary.toml")


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("seed = 7\n", "seed = 7\ncolour = 3\n", "must have the fields of stages, learning_rate, .*'colour'"),
        ("seed = 7\n", "seed = \n", "must have the fields of .*line 7"),
        ("learning_rate = 1e-3\n", "", "must have the fields of .*'learning_rate'"),
        ("stages = [", "steps = [", "must have the fields of .*'stages'"),
        ("{ image_size = 32, steps = 3 },", "3,", "a stage must be a table of fields, not 3"),
        ("[augmentation]", "[[augmentation]]", r"augmentation must be a table of fields, not \[\{"),
        ("epochs = 1, part", "epoch = 1, part", "must have the fields of .*'epoch'"),
        ("mixup = 0.2", "erase_area = 0.4", "erase_area must be a list, not 0.4"),
        ("[augmentation]", "[augmentations]", "must have the fields of .*'augmentations'"),
        ("grid = 4", "grids = 4", "unknown configuration field 'grids'"),
        ("grid = 4", "grid = 3", "image_size must be a multiple of grid 3, not 40"),
        ("grid = 4", 'preset = "huge"', "preset must be one of tiny, fast, accurate, paper, face-fusion, not 'huge'"),
        ("grid = 4", 'architecture = "face-resnet"', "unknown configuration field 'depth'"),
        ("grid = 4", 'architecture = "ensemble"', "architecture must be one that is trained, not 'ensemble'"),
        ("grid = 4", 'classes = ["a", "b"]', "model must leave 'classes' to the training"),
        ("grid = 4", "precision_falls = {}", "model must leave 'precision_falls' to the training"),
        ("grid = 4", "prior = [0.5, 0.5]", "model must leave 'prior' to the training"),
    ],
)
def test_wrong_file(tmp_path: Path, old: str, new: str, words: str) -> None:
    assert RECIPE.count(old) >= 1
    path = tmp_path / "recipe.toml"
    path.write_text(RECIPE.replace(old, new, 1))
    with pytest.raises(ValueError, match=words):
        load_recipe(path)


def test_a_recipe_may_begin_with_a_preset() -> None:
    recipe = Recipe(**LEARN, model={"preset": "tiny", "depth": 3})
    assert recipe.config(EMOTIONS) == dataclasses.replace(PRESETS["tiny"], depth=3)
    resnet = Recipe(**LEARN, model={"architecture": "face-resnet", "image_size": 120})
    assert resnet.config(("no", "yes")) == FaceResNetConfig(image_size=120, classes=("no", "yes"))


#: Class, changed fields, the whole message.
BROKEN_RULES: list[tuple[Any, dict[str, Any], str]] = [
    (Recipe, {"stages": ()}, "stages must be one or more, got none"),
    (Recipe, {"seed": -1}, "seed must be an integer from 0 to 9223372036854775807, not -1"),
    (Recipe, {"seed": 1.0}, "seed must be an integer from 0 to 9223372036854775807, not 1.0"),
    (Recipe, {"seed": 2**63}, f"seed must be an integer from 0 to 9223372036854775807, not {2**63}"),
    (Recipe, {"batch_size": 1}, "batch_size must be an integer of 2 or more, not 1"),
    (Recipe, {"batch_size": "64"}, "batch_size must be an integer of 2 or more, not '64'"),
    (Recipe, {"learning_rate": 0}, "learning_rate must be a number above 0, at most 1, not 0"),
    (Recipe, {"learning_rate": True}, "learning_rate must be a number above 0, at most 1, not True"),
    (Recipe, {"learning_rate": 1e300}, "learning_rate must be a number above 0, at most 1, not 1e+300"),
    (Recipe, {"learning_rate": 10**400}, f"learning_rate must be a number above 0, at most 1, not {10**400}"),
    (Recipe, {"backbone_learning_rate": -0.1}, "backbone_learning_rate must be a number from 0 to 1, not -0.1"),
    (Recipe, {"weight_decay": float("nan")}, "weight_decay must be a number from 0 to 1000, not nan"),
    (Recipe, {"weight_decay": 1e308}, "weight_decay must be a number from 0 to 1000, not 1e+308"),
    (Recipe, {"auxiliary_weight": float("inf")}, "auxiliary_weight must be a number from 0 to 1000, not inf"),
    (Recipe, {"feature_loss": 5}, "feature_loss must be different ones of hog, lbp, gabor, not 5"),
    (Recipe, {"feature_loss": [["hog"]]}, "feature_loss must be different ones of hog, lbp, gabor, not [['hog']]"),
    (Recipe, {"feature_loss": {"hog": 1}}, "feature_loss must be different ones of hog, lbp, gabor, not {'hog': 1}"),
    (Recipe, {"weighting": "adaptive"}, "weighting must be fixed without feature_loss, not 'adaptive'"),
    (Recipe, {"drop_path": 1.0}, "drop_path must be a number from 0 to below 1, not 1.0"),
    (Recipe, {"average_decay": 1}, "average_decay must be a number from 0 to below 1, not 1"),
    (Recipe, {"balance": 1.5}, "balance must be a number from 0 to 1, not 1.5"),
    (Recipe, {"distillation": -1}, "distillation must be a number from 0 to 1, not -1"),
    (Recipe, {"protocol": "votes"}, "protocol must be one of argmax10, argmax8, majority, paper7, paper6, not 'votes'"),
    (Recipe, {"targets": "both"}, "targets must be one of votes, labels, not 'both'"),
    (Recipe, {"schedule": "cosine"}, "schedule must be one of one-cycle, constant, not 'cosine'"),
    (Recipe, {"model": "tiny"}, "model must be a table of fields, preset may be one, not 'tiny'"),
    (Recipe, {"model": {"preset": 5}}, "preset must be one of tiny, fast, accurate, paper, face-fusion, not 5"),
    (Recipe, {"model": {"mean": 0.5}}, "mean must be a list, not 0.5"),
    (
        Recipe,
        {"stages": (Stage(steps=1, part="backbone"),)},
        "backbone_learning_rate must be above 0, where a stage trains the backbone",
    ),
    (
        Recipe,
        {
            "stages": (Stage(steps=1, part="backbone"),),
            "backbone_learning_rate": 0.1,
            "model": {"sources": ["image"]},
        },
        "part must be all for a model without a backbone, not 'backbone'",
    ),
    (Stage, {"image_size": 8}, "image_size must be 0 or an integer from 32 to 4096, not 8"),
    (Stage, {"image_size": 2**31}, f"image_size must be 0 or an integer from 32 to 4096, not {2**31}"),
    (Stage, {"image_size": 64.0}, "image_size must be 0 or an integer from 32 to 4096, not 64.0"),
    (Stage, {"epochs": -1}, "epochs must be an integer of 0 or more, not -1"),
    (Stage, {"steps": 2.5}, "steps must be an integer of 0 or more, not 2.5"),
    (Stage, {"epochs": 0}, "a stage must have epochs or steps, not epochs 0 and steps 0"),
    (Stage, {"steps": 2}, "a stage must have epochs or steps, not epochs 1 and steps 2"),
    (Stage, {"part": "head"}, "part must be one of backbone, all, not 'head'"),
    (Augmentation, {"rotation_degrees": 181}, "rotation_degrees must be a number from 0 to 180, not 181"),
    (Augmentation, {"shift": -0.08}, "shift must be a number from 0 to 1, not -0.08"),
    (Augmentation, {"erase_chance": 1.5}, "erase_chance must be a number from 0 to 1, not 1.5"),
    (Augmentation, {"scale": 1}, "scale must be a number from 0 to below 1, not 1"),
    (Augmentation, {"contrast": "0.2"}, "contrast must be a number from 0 to below 1, not '0.2'"),
    (Augmentation, {"mixup": -0.2}, "mixup must be 0 or a number from 0.01 to 1000, not -0.2"),
    (Augmentation, {"mixup": 1e-308}, "mixup must be 0 or a number from 0.01 to 1000, not 1e-308"),
    (Augmentation, {"mixup": 10**400}, f"mixup must be 0 or a number from 0.01 to 1000, not {10**400}"),
    (Augmentation, {"erase_area": 0.4}, "erase_area must be a list, not 0.4"),
    *(
        (
            Augmentation,
            {"erase_area": area},
            f"erase_area must be two ascending numbers above 0, at most 1, not {list(area)}",
        )
        for area in ((0.4, 0.15), (0, 0.2), (0.1, 1.1), (0.1,), ("a", "b"))
    ),
]


@pytest.mark.parametrize(("kind", "changes", "message"), BROKEN_RULES, ids=[str(rule[1])[:60] for rule in BROKEN_RULES])
def test_broken_rule(kind: Any, changes: dict[str, Any], message: str) -> None:
    good = {Recipe: LEARN, Stage: {"epochs": 1}, Augmentation: {}}[kind]
    kind(**good)
    with pytest.raises(ValueError) as caught:
        kind(**(good | changes))
    assert str(caught.value) == message


def test_ends_of_the_ranges_are_allowed() -> None:
    Recipe(**LEARN, seed=0, batch_size=2, drop_path=0, balance=1, distillation=1)
    widest = Augmentation(rotation_degrees=180, shift=1, erase_chance=1, erase_area=[0.5, 1])  # type: ignore[arg-type]
    assert widest.erase_area == (0.5, 1)
    assert Stage(image_size=32, steps=1).image_size == 32
    with pytest.raises(dataclasses.FrozenInstanceError):
        widest.shift = 0  # type: ignore[misc]
