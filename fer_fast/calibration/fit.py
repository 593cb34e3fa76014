"""Logits and labels come in, the temperature and the class mix under which the labels are likeliest go out."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from fer_fast.models.config import ClassifierConfig

Doubles = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]

#: Images that a calibration is fitted on at least: a handful that is all right would ask for certainty.
ENOUGH = 50
#: A temperature is from 1 / MOST to MOST.
MOST = 4.0
#: Standard deviation that a class's bias is thought to have before any face was seen: what few faces say is drawn to
#: none. Of 100 of FERPlus' faces, evenly by class, `tiny` gains 5.6 points on even others (4.4 by 0.5, 6.3 by 1), and
#: of 100 in FERPlus' own mix, in which there is nothing to gain, it loses 0.3 on average (0.2, 0.4).
MIX_SPREAD = 0.7
_STEPS = 50


@dataclass(frozen=True)
class Calibration:
    """What makes probabilities of logits: softmax(logits / temperature + bias).

    Attributes:
        temperature: above 1 where a model is too sure of itself (Guo et al. 2017, Section 4.2).
        bias: float64 [classes], sums to 0: how much likelier each class is than the logits say, in nats.
    """

    temperature: float
    bias: Doubles

    def probabilities(self, logits: npt.NDArray[np.floating[Any]]) -> Doubles:
        """Those of logits [images, classes]."""
        return _softmax(logits.astype(np.float64) / self.temperature + self.bias)

    @property
    def head_shift(self) -> Doubles:
        """What is added to the biases of a model's last layer, float64 [classes], so that its answers have the mix.

        Logits are divided by the temperature behind it, and of two views the mean is taken: either way it is exact.
        """
        return self.temperature * self.bias

    def applied(self, config: ClassifierConfig) -> ClassifierConfig:
        """The configuration of a model whose last layer has the shift."""
        return replace(config, temperature=self.temperature, prior=self.shifted(config.prior))

    def shifted(self, prior: tuple[float, ...]) -> tuple[float, ...]:
        """What a model's probabilities presume (`ClassifierConfig.prior`) with the bias, from what they do without."""
        if not prior or not self.bias.any():
            return prior
        shares = np.array(prior) * np.exp(self.bias)
        return tuple((shares / shares.sum()).tolist())


def plain(temperature: float, classes: int) -> Calibration:
    """One without a mix."""
    return Calibration(temperature, np.zeros(classes))


def fitted(logits: npt.NDArray[np.floating[Any]], labels: Integers, mix: bool) -> Calibration:
    """The calibration of least negative log-likelihood, of a mix with a normal prior of `MIX_SPREAD` a class.

    Args:
        logits: floats [images, classes], of images that were not trained on.
        labels: int64 [images].
        mix: whether to fit a bias a class, too (vector scaling of one scale, Guo et al. 2017, Section 4.2).
    """
    problem = _Problem(logits.astype(np.float64), labels)
    count = logits.shape[1]
    free = np.arange(1 + count if mix else 1)
    found = problem.least(np.array([1.0, *np.zeros(count)]), free)
    scale = min(max(found[0], 1 / MOST), MOST)
    if scale != found[0]:  # at the end of what is allowed the mix is another
        found = problem.least(np.array([scale, *found[1:]]), free[1:])
    bias = found[1:]
    return Calibration(1 / float(scale), bias - bias.mean())


class _Problem:
    """The loss of [1 + classes] parameters, a scale and biases; convex, so that Newton's steps find its least."""

    def __init__(self, logits: Doubles, labels: Integers) -> None:
        self._logits, self._labels, self._rows = logits, labels, np.arange(len(labels))
        self._precision = 1 / (MIX_SPREAD**2 * len(labels))

    def least(self, start: Doubles, free: Integers) -> Doubles:
        """The parameters of least loss, of which those that are not `free` stay."""
        found = start.copy()
        for _ in range(_STEPS if len(free) else 0):
            loss = self._loss(found)
            slope, curvature = (each[free] for each in self._derivatives(found))
            step = np.linalg.solve(curvature[:, free] + 1e-9 * np.eye(len(free)), slope)
            promised = float(slope @ step)
            if promised < 1e-12:
                break
            length = 1.0
            while length > 1e-6:
                tried = found.copy()
                tried[free] -= length * step
                if self._loss(tried) <= loss - 1e-4 * length * promised:
                    found = tried
                    break
                length /= 2
            else:
                break
        return found

    def _loss(self, parameters: Doubles) -> float:
        scaled = parameters[0] * self._logits + parameters[1:]
        scaled -= scaled.max(axis=1, keepdims=True)
        likelihood = scaled[self._rows, self._labels] - np.log(np.exp(scaled).sum(axis=1))
        return float(self._precision * (parameters[1:] ** 2).sum() / 2 - likelihood.mean())

    def _derivatives(self, parameters: Doubles) -> tuple[Doubles, Doubles]:
        """Gradient [1 + classes] and Hessian [1 + classes, 1 + classes]."""
        shares, count = _softmax(parameters[0] * self._logits + parameters[1:]), len(self._labels)
        wrong = shares.copy()
        wrong[self._rows, self._labels] -= 1
        slope = np.array(
            [(wrong * self._logits).sum() / count, *(wrong.mean(axis=0) + self._precision * parameters[1:])]
        )
        mean = (shares * self._logits).sum(axis=1, keepdims=True)
        across = (shares * (self._logits - mean)).mean(axis=0)
        curvature = np.empty((len(slope), len(slope)))
        curvature[0, 0] = (shares * (self._logits - mean) ** 2).sum() / count
        curvature[0, 1:] = curvature[1:, 0] = across
        curvature[1:, 1:] = np.diag(shares.mean(axis=0) + self._precision) - shares.T @ shares / count
        return slope, curvature


def _softmax(logits: Doubles) -> Doubles:
    exponentials = np.exp(logits - logits.max(axis=1, keepdims=True))
    return exponentials / exponentials.sum(axis=1, keepdims=True)  # type: ignore[no-any-return]
