"""After training: validation faces come in, the temperature and the int8 ranges of the model go out."""

from __future__ import annotations

import copy
import dataclasses

import torch
import torch.nn.functional as F
from torch import Tensor

from fer_fast.models.algebraic import AlgebraicModel
from fer_fast.models.fusion import FusionModel
from fer_fast.models.quantised import measure_ranges, quantise

#: What int8 may cost, as a fraction of the validation images.
INT8_GATE = 0.003


def fit_temperature(logits: Tensor, labels: Tensor) -> float:
    """The temperature of least negative log-likelihood (Guo et al. 2017, Section 4.2).

    Args:
        logits: float [images, classes], of images that were not trained on.
        labels: int64 [images].

    Returns:
        What to divide logits by; above 1 where the model is too sure of itself.
    """
    logarithm = torch.zeros(1, requires_grad=True)
    optimizer = torch.optim.LBFGS([logarithm], max_iter=50, line_search_fn="strong_wolfe")

    def loss() -> Tensor:
        optimizer.zero_grad()
        value = F.cross_entropy(logits / logarithm.exp(), labels)
        value.backward()  # type: ignore[no-untyped-call]
        return value

    optimizer.step(loss)  # type: ignore[arg-type,no-untyped-call]
    return float(logarithm.detach().exp())


def ranges_within_gate(
    model: FusionModel, faces: Tensor, valid: Tensor, labels: Tensor
) -> tuple[dict[str, tuple[float, float]], float]:
    """Measures the ranges for int8 and what they cost.

    Args:
        model: in fp32.
        faces: uint8 [images, size, size, 3], to measure the ranges on; not validation or test faces.
        valid: uint8 [images, size, size, 3], validation faces.
        labels: int64 [images], their classes.

    Returns:
        The ranges, or none if int8 costs more than `INT8_GATE`; and the fall in validation accuracy, 0 to 1.
    """
    exact = AlgebraicModel(model)
    ranges = measure_ranges(exact, faces)
    measured = copy.copy(model)
    measured.config = dataclasses.replace(model.config, activation_ranges=ranges)
    fall = _accuracy(exact, valid, labels) - _accuracy(quantise(AlgebraicModel(measured)), valid, labels)
    return (ranges if fall <= INT8_GATE else {}), fall


@torch.no_grad()
def _accuracy(model: AlgebraicModel, images: Tensor, labels: Tensor) -> float:
    answers = torch.cat([model(batch).argmax(dim=1) for batch in torch.split(images, 128)])
    return (answers == labels).float().mean().item()
