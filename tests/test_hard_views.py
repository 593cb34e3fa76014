"""Hard views of faces: each kind does what it says, faces that are not drawn stay, valid-hard is one set."""

from __future__ import annotations

import pytest
import torch
from tiny_models import faces
from torch import Tensor

from fer_fast.datasets.hard_views import HARD_SIZE, KINDS, hard_faces, hard_views, where_drawn
from fer_fast.train.augment import Augment
from fer_fast.train.recipe import Augmentation

#: What `hard_faces` makes of drawn faces: if it changes, no score of hard views compares with one of before.
BLOCKS = [
    [100.0, 81, 60, 42, 106, 82, 73, 74, 98, 66, 79, 91, 60, 95, 65, 94],
    [121.0, 120, 144, 126, 134, 152, 115, 124, 132, 132, 132, 123, 130, 154, 123, 135],
    [146.0, 178, 195, 187, 120, 156, 131, 170, 79, 101, 114, 138, 62, 59, 56, 86],
    [175.0, 137, 145, 126, 154, 150, 134, 107, 128, 140, 131, 100, 116, 105, 107, 88],
]


def grey_faces(count: int, size: int = 64) -> Tensor:
    """Floats 0..1 [count, 3, size, size], smooth as faces are."""
    grey = torch.from_numpy(faces(count, 16)[..., 0].copy())[:, None].float() / 255
    return torch.nn.functional.interpolate(grey, (size, size), mode="bicubic").clamp(0, 1).expand(-1, 3, -1, -1)


def changed(kind: str, before: Tensor, seed: int = 0) -> Tensor:
    torch.manual_seed(seed)
    return KINDS[kind][1](before).clamp(0, 1)


def is_grey(views: Tensor) -> bool:
    return torch.allclose(views, views[:, :1].expand_as(views), atol=1e-6)


@pytest.mark.parametrize("size", [32, 64, 112])
@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_changes_faces_and_keeps_their_form(kind: str, size: int) -> None:
    before = torch.rand(9, 3, size, size) if kind == "grey" else grey_faces(9, size)
    after = changed(kind, before)
    assert after.shape == before.shape and after.dtype == torch.float32
    assert after.isfinite().all() and after.min() >= 0 and after.max() <= 1
    # A blur may be too small for it to be seen.
    assert ((after - before).abs().amax(dim=(1, 2, 3)) > 1e-3).float().mean() > (0.6 if kind == "blur" else 0.99)
    assert torch.equal(changed(kind, before), after), "by torch's generator"
    assert kind == "grey" or not torch.equal(changed(kind, before, seed=1), after)


@pytest.mark.parametrize("kind", KINDS)
def test_one_face_and_black_and_white_ones_are_no_special_case(kind: str) -> None:
    for value in (0.0, 1.0):
        after = changed(kind, torch.full((1, 3, 40, 40), value))
        assert after.shape == (1, 3, 40, 40) and after.isfinite().all()


def test_only_tints_noise_and_boxes_bring_colour_and_grey_takes_it() -> None:
    before = grey_faces(8)
    coloured = {kind for kind in KINDS if not is_grey(changed(kind, before))}
    assert coloured - {"jpeg"} == {"occlusion", "tint", "noise"}
    assert is_grey(changed("grey", torch.rand(4, 3, 40, 40)))


def test_an_oval_is_on_black() -> None:
    after = changed("oval", torch.ones(20, 3, 64, 64))
    assert (after[:, :, (0, 0, -1, -1), (0, -1, 0, -1)] == 0).all() and (after[:, :, 32, 32] == 1).all()


def test_an_occlusion_is_a_box_of_one_colour() -> None:
    after = changed("occlusion", torch.zeros(50, 3, 100, 100))
    for face in after:
        covered = (face > 0).any(dim=0)
        rows, columns = covered.any(dim=1).sum(), covered.any(dim=0).sum()
        assert covered.sum() == rows * columns and 0.004 < covered.float().mean() < 0.14
        assert len(face[:, covered].unique(dim=1)[0]) == 1


def test_light_comes_from_one_side() -> None:
    after = changed("light", torch.full((30, 3, 64, 64), 0.4))
    brightest, darkest = after.amax(dim=(1, 2, 3)), after.amin(dim=(1, 2, 3))
    assert (after[:, :, 31:33, 31:33] - 0.4).abs().max() < 0.02, "the middle stays"
    assert (brightest > 0.45).all() and (darkest < 0.35).all()


def test_blur_and_shrinking_take_detail_and_leave_the_mean() -> None:
    before = torch.rand(16, 3, 64, 64)

    def detail(views: Tensor) -> Tensor:
        # The finest pattern there is: both directions at once.
        return (
            (views[..., 1:, 1:] + views[..., :-1, :-1] - views[..., 1:, :-1] - views[..., :-1, 1:])
            .abs()
            .mean((1, 2, 3))
        )

    for kind in ("blur", "shrunk"):
        after = changed(kind, before)
        assert (detail(after) < detail(before)).all() and detail(after).median() < 0.3 * detail(before).median()
        assert (after.mean() - before.mean()).abs() < 0.01


def test_noise_is_as_strong_as_it_says() -> None:
    strength = (changed("noise", torch.full((200, 3, 32, 32), 0.5)) - 0.5).std(dim=(1, 2, 3))
    assert 0.009 < strength.min() < 0.02 and 0.05 < strength.max() < 0.065


def test_framing_keeps_the_middle_of_a_face_in_the_picture() -> None:
    before = torch.zeros(200, 3, 64, 64)
    before[:, :, 28:36, 28:36] = 1
    weight = changed("framing", before).mean(dim=(1, 2, 3)) * 64
    assert (weight > 0.2).all() and 0.4 < weight.median() < 2.0


def test_those_that_are_not_drawn_stay() -> None:
    before = torch.rand(400, 1, 8, 8)
    torch.manual_seed(0)
    stayed = (where_drawn(before, 0.3, torch.zeros_like) == before).all(dim=(1, 2, 3))
    assert 0.6 < stayed.float().mean() < 0.8
    assert where_drawn(before, 0.0, torch.zeros_like) is before
    assert not where_drawn(before, 1.0, torch.zeros_like).any()
    assert where_drawn(before, 1.0, lambda views: views + 5).max() == 1, "values stay in their range"


def test_every_view_is_another_mixture() -> None:
    torch.manual_seed(0)
    face = grey_faces(1).expand(64, -1, -1, -1)
    views = hard_views(face)
    assert len(views.flatten(1).unique(dim=0)) > 55
    assert views.min() >= 0 and views.max() <= 1


def test_hard_faces_are_the_same_at_every_call_and_leave_the_generator_alone() -> None:
    pixels = torch.from_numpy(faces(70, 48)).permute(0, 3, 1, 2)
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    first = hard_faces(pixels)
    assert torch.equal(torch.rand(3), expected)
    assert first.shape == (70, 3, HARD_SIZE, HARD_SIZE) and first.dtype == torch.uint8
    assert torch.equal(hard_faces(pixels), first)
    assert torch.equal(hard_faces(pixels[:64]), first[:64]), "more faces do not change the first ones"


def test_hard_faces_leave_the_generators_of_gpus_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    seeds: list[int] = []
    monkeypatch.setattr(torch.cuda, "manual_seed_all", seeds.append)
    hard_faces(torch.from_numpy(faces(2, 48)).permute(0, 3, 1, 2))
    assert not seeds
    torch.manual_seed(0)
    assert seeds == [0], "what would tell"


def test_hard_faces_are_those_of_every_machine() -> None:
    """The means of 4 x 4 blocks of some, which rounding moves by less than the views differ."""
    views = hard_faces(torch.from_numpy(faces(70, 48)).permute(0, 3, 1, 2))[::23].float()
    means = views.unfold(2, 28, 28).unfold(3, 28, 28).mean(dim=(1, 4, 5)).flatten(1)
    torch.testing.assert_close(means, torch.tensor(BLOCKS), rtol=0, atol=1.0)


def test_training_sees_as_many_hard_views_as_the_recipe_says() -> None:
    grey = torch.from_numpy(faces(300, 32)[:, None, :, :, 0].copy())
    torch.manual_seed(0)
    plain_views = Augment(Augmentation())(grey, 32)
    torch.manual_seed(0)
    views = Augment(Augmentation(hard_chance=0.5))(grey, 32)
    share = ((views - plain_views).abs().amax(dim=(1, 2, 3)) > 0.5).float().mean()
    assert 0.4 < share < 0.6
    assert views.min() >= 0 and views.max() <= 255
