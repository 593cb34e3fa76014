"""Random views of faces: their range, their only source of chance, what each setting does, mixup by hand."""

from __future__ import annotations

import dataclasses
import sys
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from tiny_models import faces
from torch import Tensor

from fer_fast.datasets.resized import plain
from fer_fast.train.augment import Augment, mixed
from fer_fast.train.recipe import Augmentation, load_recipe
from fer_fast.types import MissingExtraError

NOTHING = Augmentation()
WILD = Augmentation(rotation_degrees=40.0, scale=0.5, shift=0.3, contrast=0.9, erase_chance=0.5, erase_area=(0.01, 0.8))


def grey_faces(count: int) -> Tensor:
    return torch.from_numpy(faces(count, 48)[:, None, :, :, 0].copy())


def rgb_faces(count: int) -> Tensor:
    return torch.from_numpy(faces(count, 48)).permute(0, 3, 1, 2)


def views(originals: Tensor, size: int, settings: Augmentation, seed: int = 0) -> Tensor:
    torch.manual_seed(seed)
    return Augment(settings)(originals, size)


@pytest.mark.parametrize("size", [32, 48, 80])
def test_views_have_shape_and_range(size: int) -> None:
    grey = views(grey_faces(20), size, WILD)
    assert grey.shape == (20, 3, size, size) and grey.dtype == torch.float32
    assert torch.equal(grey[:, 0], grey[:, 1]) and torch.equal(grey[:, 0], grey[:, 2])
    colours = views(rgb_faces(20), size, WILD)
    assert colours.shape == (20, 3, size, size)
    for seen in (grey, colours):
        assert seen.min() >= 0 and seen.max() <= 255
        assert seen.max() > 100, "not 0..1"


def test_torchs_generator_is_the_only_chance() -> None:
    settings = dataclasses.replace(load_recipe("fast").augmentation, erase_chance=0.5)
    first = views(rgb_faces(6), 40, settings, seed=3)
    assert torch.equal(views(rgb_faces(6), 40, settings, seed=3), first)
    assert not torch.equal(views(rgb_faces(6), 40, settings, seed=4), first)
    kept = Augment(settings)
    kept(rgb_faces(2), 40)  # what was drawn before is forgotten
    torch.manual_seed(3)
    assert torch.equal(kept(rgb_faces(6), 40), first)


@pytest.mark.parametrize("size", [48, 96])
def test_only_flips_are_left_when_nothing_is_allowed(size: int) -> None:
    seen = views(grey_faces(40), size, Augmentation(flip=True))[:, 0]
    exact = F.interpolate(grey_faces(40).float(), (size, size), mode="bilinear", align_corners=False)[:, 0]
    straight = (seen - exact).abs().amax(dim=(1, 2)) < 0.1
    flipped = (seen - exact.flip(2)).abs().amax(dim=(1, 2)) < 0.1
    assert (straight ^ flipped).all()
    assert 8 <= flipped.sum() <= 32
    torch.testing.assert_close(views(grey_faces(40), size, NOTHING)[:, 0], exact, rtol=0, atol=0.1)


@pytest.mark.parametrize("field", ["rotation_degrees", "scale", "shift", "contrast", "erase_chance"])
def test_each_setting_does_something(field: str) -> None:
    some: dict[str, Any] = {field: 20.0 if field == "rotation_degrees" else 0.5}
    changed = views(grey_faces(8), 48, dataclasses.replace(NOTHING, **some))
    both = torch.stack([plain(grey_faces(8), 48), plain(grey_faces(8), 48).flip(3)])
    assert (changed - both).abs().mean(dim=(2, 3, 4)).amin(dim=0).max() > 1.0, "neither the face nor its mirror image"


def test_shift_moves_by_a_fraction_of_the_side() -> None:
    dot = torch.zeros(200, 1, 48, 48, dtype=torch.uint8)
    dot[:, :, 23:25, 23:25] = 255
    places = views(dot, 48, dataclasses.replace(NOTHING, shift=0.25))[:, 0].flatten(1).argmax(dim=1)
    offsets = torch.stack([places // 48, places % 48]).float() - 23.5
    assert offsets.abs().max() <= 0.25 * 48 + 1
    assert (offsets.abs().amax(dim=1) >= 0.2 * 48).all(), "in both directions"


def test_contrast_and_brightness_by_hand() -> None:
    grey = torch.full((300, 1, 32, 32), 100, dtype=torch.uint8)
    seen = views(grey, 32, dataclasses.replace(NOTHING, contrast=0.2))[:, 0]
    values = seen[:, 16, 16]
    torch.testing.assert_close(seen, values.view(-1, 1, 1).expand_as(seen), rtol=0, atol=0.1)
    # A factor of 0.8 to 1.2, then 25.5 more or less.
    assert values.min() >= 100 * 0.8 - 25.5 - 0.1 and values.max() <= 100 * 1.2 + 25.5 + 0.1
    assert values.min() < 65 and values.max() > 135


def test_erasing_paints_one_black_rectangle() -> None:
    white = torch.full((300, 1, 48, 48), 255, dtype=torch.uint8)
    seen = views(white, 48, dataclasses.replace(NOTHING, erase_chance=0.5, erase_area=(0.1, 0.3)))[:, 0]
    erased = seen == 0
    torch.testing.assert_close(seen[~erased], torch.full_like(seen[~erased], 255))
    hit = erased.flatten(1).any(dim=1)
    assert 110 < hit.sum() < 190
    heights, widths = erased.any(dim=2).sum(dim=1)[hit], erased.any(dim=1).sum(dim=1)[hit]
    areas = erased[hit].sum(dim=(1, 2))
    assert torch.equal(areas, heights * widths), "not a rectangle"
    # Sides are whole pixels, and cut off at 48.
    assert areas.min() > 0.06 * 48**2 and areas.max() < 0.34 * 48**2
    assert areas.max() > 2 * areas.min()


def test_plain_faces_are_whole_numbers() -> None:
    originals = grey_faces(3)
    assert torch.equal(plain(originals, 48), originals.float().expand(-1, 3, -1, -1))
    larger = plain(rgb_faces(3), 64)
    assert larger.shape == (3, 3, 64, 64)
    assert torch.equal(larger, larger.round())
    assert torch.equal(plain(rgb_faces(3), 48), rgb_faces(3).float())


def test_without_kornia_it_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "kornia", None)
    with pytest.raises(MissingExtraError, match=r"training needs kornia, which .*: pip install 'fer-fast\[train\]'"):
        Augment(NOTHING)


def test_mixup_by_hand(monkeypatch: pytest.MonkeyPatch) -> None:
    images = torch.tensor([0.0, 100.0, 200.0]).view(3, 1, 1, 1).expand(3, 3, 2, 2)
    targets = torch.eye(3)
    monkeypatch.setattr(torch.distributions.Beta, "sample", lambda self: torch.tensor(0.25))
    monkeypatch.setattr(torch, "randperm", lambda count: torch.tensor([1, 2, 0]))
    found, wanted = mixed(images, targets, 0.2)  # three quarters of each, a quarter of the next
    assert found[:, 0, 0, 0].tolist() == [25.0, 125.0, 150.0]
    assert found.shape == images.shape
    assert wanted.tolist() == [[0.75, 0.25, 0.0], [0.0, 0.75, 0.25], [0.25, 0.0, 0.75]]


def test_mixup_draws_one_share_a_batch() -> None:
    images = torch.arange(8.0).view(8, 1, 1, 1)
    state = torch.get_rng_state()
    assert mixed(images, images, 0.0) == (images, images)
    assert torch.equal(torch.get_rng_state(), state), "nothing is drawn"
    torch.manual_seed(1)
    found, wanted = mixed(images, torch.eye(8), 1.0)
    torch.manual_seed(1)
    assert torch.equal(mixed(images, torch.eye(8), 1.0)[0], found)
    torch.testing.assert_close(wanted @ torch.arange(8.0), found.flatten())
    torch.testing.assert_close(wanted.sum(dim=1), torch.ones(8))
    assert len({round(value, 4) for value in wanted.max(dim=1).values.tolist() if value < 1}) == 1
