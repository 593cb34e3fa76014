"""What is trained and by which loss, worked by hand; the temperature that is fitted afterwards."""

from __future__ import annotations

from math import log, sqrt

import pytest
import torch
from tiny_models import faces, tiny_config

from fer_fast.models.fusion.network import FusionModel
from fer_fast.train.calibrate import fit_temperature
from fer_fast.train.learner import Learner, balance_weights, seen_mix, weighted_loss

CONFIG = tiny_config(sources=("image", "FM1", "FM2"), image_size=32)


def test_balance_by_hand() -> None:
    hard = torch.tensor([[1.0, 0.0], [1.0, 0.0], [1.0, 0.0], [0.0, 1.0]])  # 3 to 1; 2 would be even
    assert balance_weights(hard, 0.0).tolist() == [1.0, 1.0]
    assert balance_weights(hard, 1.0).tolist() == pytest.approx([2 / 3, 2.0])
    mean = (3 * sqrt(2 / 3) + sqrt(2)) / 4
    assert balance_weights(hard, 0.5).tolist() == pytest.approx([sqrt(2 / 3) / mean, sqrt(2) / mean])
    soft = torch.tensor([[0.75, 0.25], [0.75, 0.25]])
    assert balance_weights(soft, 1.0).tolist() == pytest.approx(
        [1 / 1.5 / (0.75 / 1.5 + 0.25), 1 / (0.75 / 1.5 + 0.25)]
    )
    for exponent in (0.0, 0.25, 1.0):
        assert (hard @ balance_weights(hard, exponent)).mean().item() == pytest.approx(1.0)


def test_the_mix_that_a_loss_sees() -> None:
    """Three of one class and one of the other: with an exponent of 1 they count the same, with 1/2 as roots."""
    targets = torch.tensor([[1.0, 0.0]] * 3 + [[0.0, 1.0]])
    assert seen_mix(targets, balance_weights(targets, 0.0)) == pytest.approx((0.75, 0.25))
    assert seen_mix(targets, balance_weights(targets, 1.0)) == pytest.approx((0.5, 0.5))
    assert seen_mix(targets, balance_weights(targets, 0.5)) == pytest.approx(
        (sqrt(3) / (sqrt(3) + 1), 1 / (sqrt(3) + 1))
    )
    soft = torch.tensor([[0.9, 0.1], [0.7, 0.3]])
    assert seen_mix(soft, torch.ones(2)) == pytest.approx((0.8, 0.2))
    assert seen_mix(torch.tensor([[1.0, 0.0]] * 4), torch.ones(2)) == (), "nothing was learnt of a class without a face"


def test_a_class_without_images_has_a_finite_weight() -> None:
    weights = balance_weights(torch.tensor([[1.0, 0.0]] * 4), 1.0)
    assert weights.tolist() == pytest.approx([1.0, 4.0])  # counted as if it had one


def test_loss_by_hand() -> None:
    targets, weights = torch.tensor([[1.0, 0.0], [0.5, 0.5]]), torch.tensor([2.0, 1.0])
    even = torch.zeros(2, 2)  # probabilities 1/2, 1/2
    sure = torch.tensor([[log(3.0), 0.0], [log(3.0), 0.0]])  # 3/4, 1/4
    first = (2 * log(2) + (0.5 * 2 + 0.5 * 1) * log(2)) / 2
    second = (2 * log(4 / 3) + 0.5 * 2 * log(4 / 3) + 0.5 * 1 * log(4)) / 2
    assert weighted_loss([even], targets, weights, 0.3).item() == pytest.approx(first)
    assert weighted_loss([even, sure], targets, weights, 0.3).item() == pytest.approx(first + 0.3 * second)
    assert weighted_loss([sure, even], targets, weights, 0.0).item() == pytest.approx(second)
    assert weighted_loss([sure.bfloat16()], targets, weights, 0.0).dtype == torch.float32


def images() -> torch.Tensor:
    return torch.from_numpy(faces(3, 32)).permute(0, 3, 1, 2).float()


def test_parts_of_the_learner() -> None:
    torch.manual_seed(0)
    learner = Learner(FusionModel(CONFIG), frozen=False).eval()
    model = learner.model
    assert learner.auxiliary is not None and learner.auxiliary.in_features == 128
    with torch.no_grad():
        deepest = model.sources(images())[-1]
        auxiliary = learner.auxiliary(deepest.mean(dim=(2, 3)))
        found = learner(images())
        torch.testing.assert_close(found[0], model(images()))
        torch.testing.assert_close(found[1], auxiliary)
        (alone,) = learner(images(), "backbone")
    torch.testing.assert_close(alone, auxiliary)
    assert all(parameter.requires_grad for parameter in learner.parameters())


def test_frozen_learner_trains_the_transformer_alone() -> None:
    learner = Learner(FusionModel(CONFIG), frozen=True).train()
    assert learner.auxiliary is None
    assert {name.split(".")[1] for name, each in learner.named_parameters() if each.requires_grad} == {"vit"}
    assert learner.model.vit.training
    assert not any(layer.training for layer in learner.model.backbone.modules())
    before = {name: tensor.clone() for name, tensor in learner.model.backbone.state_dict().items()}
    assert len(learner(images())) == 1
    assert all(torch.equal(tensor, before[name]) for name, tensor in learner.model.backbone.state_dict().items())


def test_learner_without_a_backbone() -> None:
    learner = Learner(FusionModel(tiny_config(sources=("image",), image_size=32)), frozen=False).train()
    assert learner.frozen and learner.auxiliary is None
    assert len(learner(images())) == 1


def test_temperature_is_recovered() -> None:
    torch.manual_seed(0)
    logits = torch.randn(4000, 5) * 2
    labels = torch.distributions.Categorical(logits=logits).sample()
    assert fit_temperature(logits, labels) == pytest.approx(1.0, abs=0.07)
    assert fit_temperature(logits * 3, labels) == pytest.approx(3.0, abs=0.2)


@pytest.mark.parametrize("scale", [0.01, 1.0, 10.0, 1000.0])
@pytest.mark.parametrize("shift", [0, 1], ids=["all right", "all wrong"])
def test_temperature_is_usable_whatever_the_answers(scale: float, shift: int) -> None:
    logits = (torch.eye(8) * scale).repeat(8, 1)
    assert 1 / 4 <= fit_temperature(logits, ((torch.arange(64) + shift) % 8)) <= 4


def test_few_images_give_no_temperature() -> None:
    assert fit_temperature(torch.eye(49), torch.arange(49)) == 1.0
