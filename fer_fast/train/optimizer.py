"""How a run learns: which rate each parameter has, over the steps, and how weights are averaged."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import get_ema_multi_avg_fn

from fer_fast.train.learner import Learner
from fer_fast.train.recipe import Recipe


def new_optimizer(
    recipe: Recipe, learner: Learner, new_stages: tuple[str, ...], steps: int
) -> tuple[torch.optim.Optimizer, torch.optim.lr_scheduler.LRScheduler]:
    """AdamW; biases, norms and positions are not decayed; pre-trained layers learn at a rate of their own."""
    groups: dict[tuple[bool, bool], list[nn.Parameter]] = {}
    for name, parameter in learner.named_parameters():
        pretrained = ".backbone." in name and not any(f".{stage}." in name for stage in new_stages)
        decayed = parameter.ndim > 1 and "pos_embed" not in name
        if parameter.requires_grad:
            groups.setdefault((pretrained, decayed), []).append(parameter)
    rates = {key: recipe.backbone_learning_rate if key[0] else recipe.learning_rate for key in groups}
    optimizer = torch.optim.AdamW(
        [
            {"params": parameters, "lr": rates[key], "weight_decay": recipe.weight_decay if key[1] else 0.0}
            for key, parameters in groups.items()
        ]
    )
    return optimizer, schedule(recipe, optimizer, steps)


def schedule(recipe: Recipe, optimizer: torch.optim.Optimizer, steps: int) -> torch.optim.lr_scheduler.LRScheduler:
    """The recipe's course of the learning rate over `steps`; each group's own rate is its largest."""
    if recipe.schedule == "constant":
        return torch.optim.lr_scheduler.ConstantLR(optimizer, factor=1.0)
    rise = 0.2 if steps != 5 else 0.3  # a rise of one step is a division by zero in torch
    rates = [group["lr"] for group in optimizer.param_groups]
    return torch.optim.lr_scheduler.OneCycleLR(
        optimizer, max_lr=rates, total_steps=steps, pct_start=rise, cycle_momentum=False
    )


def averaging(decay: float) -> Callable[..., None]:
    """An exponential average that forgets its first steps: its reach grows to a fifth of the steps so far at most."""

    def average(averaged: list[Tensor], live: list[Tensor], steps: Tensor) -> None:
        done = float(steps)
        get_ema_multi_avg_fn(min(decay, done / (done + 5)))(averaged, live, steps)  # type: ignore[no-untyped-call]

    return average
