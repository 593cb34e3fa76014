"""Inside a training run: seeds, steps, rates, gradients, and which epoch is kept."""

from __future__ import annotations

import dataclasses
import sys
from pathlib import Path

import pytest
import torch
from training_runs import STAGES, changed, draw_inputs, new_training

from fer_fast.models.fusion.network import FusionModel
from fer_fast.models.loading import load_model
from fer_fast.train import run as run_module
from fer_fast.train.learner import Learner
from fer_fast.train.optimizer import new_optimizer
from fer_fast.train.plan import planned, step_count
from fer_fast.train.recipe import Recipe, Stage, load_recipe


@pytest.fixture(scope="module")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    return draw_inputs(tmp_path_factory.mktemp("inputs"))


def test_seed_decides_the_run(inputs: dict[str, str], tmp_path: Path) -> None:
    def weights(number: int, seed: int) -> dict[str, torch.Tensor]:
        recipe = changed(tmp_path, ("seed = 7", f"seed = {seed}"))
        training = new_training(inputs, tmp_path / str(number), recipe)
        torch.manual_seed(number)  # nobody else's chance
        for step in [*planned(training.recipe, len(training.train))][3:6]:
            training._advance(step)
        return {name: tensor.clone() for name, tensor in training.live.state_dict().items()}

    first, same, other = weights(0, seed=7), weights(1, seed=7), weights(2, seed=8)
    assert all(torch.equal(first[name], same[name]) for name in first)
    assert not torch.equal(first["model.vit.proj.weight"], other["model.vit.proj.weight"])


def test_steps_are_counted_before_they_are_there(inputs: dict[str, str], tmp_path: Path) -> None:
    stages = "stages = [{ epochs = 1_000_000_000_000 }, { steps = 7 }]\n"
    training = new_training(inputs, tmp_path, changed(tmp_path, (STAGES, stages)))
    assert step_count(training.recipe, len(training.train)) == 4 * 10**12 + 7
    assert next(planned(training.recipe, len(training.train))).number == 0


def test_gradient_that_is_not_finite_changes_nothing(inputs: dict[str, str], tmp_path: Path) -> None:
    training = new_training(inputs, tmp_path)
    before = {name: each.clone() for name, each in training.live.named_parameters()}
    training.live.model.vit.head.weight.register_hook(lambda gradient: gradient * float("inf"))
    with pytest.raises(ArithmeticError, match="the gradient is not finite at step 5: lower the learning rate"):
        training._advance([*planned(training.recipe, len(training.train))][5])
    assert all(torch.equal(each, before[name]) for name, each in training.live.named_parameters())


def test_of_equal_epochs_the_surer_is_the_best(
    inputs: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    training = new_training(inputs, tmp_path)
    kept: list[Path] = []
    monkeypatch.setattr(training, "_save_model", lambda _, path: kept.append(path))
    for number, (accuracy, loss) in enumerate(((0.5, 0.9), (0.5, 0.9), (0.5, 1.0), (0.4, 0.1), (0.5, 0.8), (0.6, 2.0))):
        training._keep(Stage(epochs=1), torch.zeros(1), (accuracy, -loss))
        assert len(kept) == [1, 1, 1, 1, 2, 3][number]
    assert training.best == (0.6, -2.0)


@pytest.mark.parametrize(("every", "kept"), [(1, [0, 1, 2, 3]), (2, [0, 2]), (None, [])])
def test_models_of_epochs_are_kept_where_they_are_asked_for(
    inputs: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, every: int | None, kept: list[int]
) -> None:
    monkeypatch.setattr(run_module, "measure_falls", lambda *_: {})
    training = new_training(inputs, tmp_path, {"--keep-every": str(every or "")})
    start = {name: tensor.clone() for name, tensor in training.result.named_parameters()}
    training.run(lambda row: None)
    files = sorted((tmp_path / "epochs").glob("*"))
    assert [file.name for file in files] == [f"epoch_{number:03}.safetensors" for number in kept]
    if every == 1:
        for file, weights in ((files[0], start), (files[-1], dict(training.result.named_parameters()))):
            found = dict(load_model(file).named_parameters())
            assert all(torch.equal(found[name], each.half().float()) for name, each in weights.items())
        assert (tmp_path / "state.pt").exists()
        (tmp_path / "epochs" / "epoch_000.safetensors").unlink()
        new_training(inputs, tmp_path, {"--keep-every": "1"}).run(lambda row: None)
        assert len([*(tmp_path / "epochs").glob("*")]) == 3, "a run that goes on has no start to keep"


def test_steps_by_hand() -> None:
    epochs, steps = Stage(epochs=2), Stage(steps=4)
    recipe = Recipe(stages=(epochs, steps), learning_rate=0.1, batch_size=4)
    found = [
        (step.number, step.epoch, step.place, step.stage is epochs, step.last_of_epoch) for step in planned(recipe, 14)
    ]
    assert found == [  # 14 images are three batches; two images are left out
        *((0, 0, 0, True, False), (1, 0, 1, True, False), (2, 0, 2, True, True)),
        *((3, 1, 0, True, False), (4, 1, 1, True, False), (5, 1, 2, True, True)),
        *((6, 2, 0, False, False), (7, 2, 1, False, False), (8, 2, 2, False, True)),
        (9, 3, 0, False, True),
    ]


@pytest.mark.parametrize("schedule", ["one-cycle", "constant"])
@pytest.mark.parametrize("steps", [1, 2, 3, 4, 5, 6, 50])
def test_rates_of_each_group(inputs: dict[str, str], schedule: str, steps: int) -> None:
    recipe = dataclasses.replace(load_recipe(inputs["recipe"]), schedule=schedule)
    learner = Learner(FusionModel(recipe.config(("no", "yes"))), frozen=False)
    optimizer, scheduler = new_optimizer(recipe, learner, ("layer1",), steps)
    names = {parameter: name for name, parameter in learner.named_parameters()}
    rates: dict[str, tuple[float, float]] = {}
    for group in optimizer.param_groups:
        for parameter in group["params"]:
            rates[names[parameter]] = (group.get("max_lr", group["lr"]), group["weight_decay"])
    assert rates.keys() == set(names.values())
    assert rates["model.backbone.conv1.weight"] == (5e-4, 0.05)
    assert rates["model.backbone.bn1.weight"] == (5e-4, 0.0)
    assert rates["model.backbone.layer1.0.conv1.weight"] == (1e-3, 0.05), "a new stage learns as new layers do"
    assert rates["model.vit.proj.weight"] == rates["auxiliary.weight"] == (1e-3, 0.05)
    assert rates["model.vit.pos_embed"] == rates["model.vit.proj.bias"] == (1e-3, 0.0)
    used = []
    for _ in range(steps):
        used.append(scheduler.get_last_lr()[-1])
        optimizer.step()
        scheduler.step()
    if schedule == "constant":
        assert used == [1e-3] * steps
    elif steps == 50:
        assert used.index(max(used)) == 9 and max(used) == pytest.approx(1e-3), "reached after a fifth"
        assert used[0] == pytest.approx(max(used) / 25) and used[-1] < used[0] / 10


def test_without_matplotlib_the_run_goes_on(
    inputs: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    new_training(inputs, tmp_path)._draw(run_module.Log(tmp_path / "log.csv", 0))
    assert "curves are not drawn: curves.png needs matplotlib, which is not installed: pip" in caplog.text
