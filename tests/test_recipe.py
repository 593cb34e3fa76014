"""Recipes and random views of faces: what a recipe may say, and what it does to a face."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from tiny_models import faces

from fer_fast.train.augment import augmented, plain
from fer_fast.train.recipe import RECIPES, Augmentation, load_recipe

NOTHING = Augmentation(
    rotation_degrees=0.0, scale=0.0, shift=0.0, contrast=0.0, erase_chance=0.0, erase_side=(0.2, 0.4)
)
FAST = (RECIPES / "fast.toml").read_text()


def grey_faces(count: int) -> torch.Tensor:
    return torch.from_numpy(faces(count, 48)[:, :, :, 0].copy())


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize("name", sorted(path.stem for path in RECIPES.glob("*.toml")))
def test_packaged_recipes(name: str) -> None:
    recipe = load_recipe(name)
    assert recipe.config.taps
    assert recipe.stages[-1].image_size == recipe.config.image_size
    assert load_recipe(RECIPES / f"{name}.toml") == recipe


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ('preset = "fast"', 'preset = "huge"', "preset must be one of tiny, fast, paper, not 'huge'"),
        ("seed = 1\n", "", "must have the fields of preset, seed,.*'seed'"),
        ("seed = 1\n", "seed = 1\ncolour = 3\n", "must have the fields of .*'colour'"),
        ("seed = 1\n", "seed = \n", "must have the fields of .*line 3"),
        ("batch_size = 64", "batch_size = 1", "batch_size must be an integer of 2 or more, not 1"),
        ("batch_size = 64", 'batch_size = "64"', "batch_size must be an integer of 2 or more, not '64'"),
        ("learning_rate = 1e-3", "learning_rate = 0", "learning_rate must be a number above 0, not 0"),
        ("drop_path = 0.1", "drop_path = 1.0", "drop_path must be a number from 0 to below 1, not 1.0"),
        ("weight_decay = 0.05", "weight_decay = nan", "weight_decay must be a number of 0 or more, not nan"),
        ("image_size = 80", "image_size = 8", "image_size must be an integer of 32 or more, not 8"),
        ("epochs = 7", "epochs = 0", "epochs must be an integer of 1 or more, not 0"),
        ("epochs = 7", "epoch = 7", "must have the fields of .*epoch"),
        ("erase_side = [0.15, 0.4]", "erase_side = [0.4, 0.15]", "erase_side must be two ascending numbers"),
        ("erase_side = [0.15, 0.4]", "erase_side = 0.4", "must have the fields of "),
        ("erase_chance = 0.4", "erase_chance = 1.5", "erase_chance must be a number from 0 to 1, not 1.5"),
        ("shift = 0.08", "shift = -0.08", "shift must be a number from 0 to 1, not -0.08"),
        ("[augmentation]", "[augmentations]", "must have the fields of .*'augmentation'"),
    ],
)
def test_wrong_recipe(tmp_path: Path, old: str, new: str, words: str) -> None:
    assert FAST.count(old) >= 1
    path = tmp_path / "recipe.toml"
    path.write_text(FAST.replace(old, new, 1))
    with pytest.raises(ValueError, match=words):
        load_recipe(path)


def test_no_recipe(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"recipe must be a \.toml file or one of: .*fast.*; there is no 'slow'"):
        load_recipe("slow")
    (tmp_path / "binary.toml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ValueError, match=r"binary\.toml' must have the fields"):
        load_recipe(tmp_path / "binary.toml")


@pytest.mark.parametrize("size", [32, 48, 80])
def test_views_have_shape_and_range(size: int) -> None:
    wild = Augmentation(
        rotation_degrees=40.0, scale=0.5, shift=0.3, contrast=0.9, erase_chance=0.5, erase_side=(0.1, 0.9)
    )
    views = augmented(grey_faces(20), size, wild, generator())
    assert views.shape == (20, 3, size, size) and views.dtype == torch.float32
    assert views.min() >= 0 and views.max() <= 255
    assert torch.equal(views[:, 0], views[:, 1]) and torch.equal(views[:, 0], views[:, 2])


def test_the_generator_is_the_only_chance() -> None:
    settings = load_recipe("fast").augmentation
    first, again = (augmented(grey_faces(6), 40, settings, generator(3)) for _ in range(2))
    assert torch.equal(first, again)
    torch.manual_seed(99)
    assert torch.equal(augmented(grey_faces(6), 40, settings, generator(3)), first)
    assert not torch.equal(augmented(grey_faces(6), 40, settings, generator(4)), first)


@pytest.mark.parametrize("size", [48, 96])
def test_only_flips_are_left_when_nothing_is_allowed(size: int) -> None:
    originals = grey_faces(40)
    views = augmented(originals, size, NOTHING, generator())[:, 0]
    exact = F.interpolate(originals[:, None].float(), (size, size), mode="bilinear", align_corners=False)[:, 0]
    # Reflected borders differ from repeated ones only outside of the outermost pixels' centres.
    inner = slice(1, -1)
    straight = (views - exact).abs()[:, inner, inner].amax(dim=(1, 2)) < 0.05
    flipped = (views - exact.flip(2)).abs()[:, inner, inner].amax(dim=(1, 2)) < 0.05
    assert (straight ^ flipped).all()
    assert 8 <= flipped.sum() <= 32


@pytest.mark.parametrize("field", ["rotation_degrees", "scale", "shift", "contrast", "erase_chance"])
def test_each_setting_does_something(field: str) -> None:
    some: dict[str, Any] = {field: 20.0 if field == "rotation_degrees" else 0.5}
    changed = augmented(grey_faces(8), 48, dataclasses.replace(NOTHING, **some), generator())
    assert (changed - augmented(grey_faces(8), 48, NOTHING, generator())).abs().mean() > 1.0


def test_shift_moves_by_a_fraction_of_the_side() -> None:
    dot = torch.zeros(200, 48, 48, dtype=torch.uint8)
    dot[:, 23:25, 23:25] = 255
    views = augmented(dot, 48, dataclasses.replace(NOTHING, shift=0.25), generator())[:, 0]
    places = views.flatten(1).argmax(dim=1)
    offsets = torch.stack([places // 48, places % 48]).float() - 23.5
    assert offsets.abs().max() <= 0.25 * 48 + 1
    assert offsets.abs().max() >= 0.2 * 48


def test_erasing_paints_one_black_rectangle() -> None:
    white = torch.full((300, 48, 48), 255, dtype=torch.uint8)
    settings = dataclasses.replace(NOTHING, erase_chance=0.5, erase_side=(0.25, 0.5))
    views = augmented(white, 48, settings, generator())[:, 0]
    erased = views == 0
    assert torch.equal(views[~erased], torch.full_like(views[~erased], 255))
    hit = erased.flatten(1).any(dim=1)
    assert 110 < hit.sum() < 190
    heights, widths = erased.any(dim=2).sum(dim=1)[hit], erased.any(dim=1).sum(dim=1)[hit]
    assert torch.equal(erased[hit].sum(dim=(1, 2)), heights * widths), "not a rectangle"
    for sides in (heights, widths):
        assert sides.min() >= 11 and sides.max() <= 25  # 12 to 24 pixels, either end on a pixel or not


def test_plain_faces_are_whole_numbers() -> None:
    originals = grey_faces(3)
    assert torch.equal(plain(originals, 48)[:, 0], originals.float())
    larger = plain(originals, 64)
    assert larger.shape == (3, 3, 64, 64)
    assert torch.equal(larger, larger.round())
