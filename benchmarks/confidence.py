"""What tells a right answer from a wrong one: the confidence, and scores of how far a face is from what training saw.

python benchmarks/confidence.py --data FERPLUS

Each score of the literature is asked on the validation split without copies of training images, on its hard views,
and on both together: the area under the risk-coverage curve, where less is better; and how often a hard view gets a
lower score than a face as it is (AUROC). benchmarks/results/confidence.json goes out.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from fer_fast.bench.environment import environment
from fer_fast.datasets.hard_views import hard_faces
from fer_fast.datasets.resized import plain
from fer_fast.evaluation.coverage import risk_coverage
from fer_fast.machine.disk import check_place, write_whole
from fer_fast.models.classifier import classifier_of
from fer_fast.models.ensemble.network import Ensemble
from fer_fast.models.files.paths import packaged_models, study_models
from fer_fast.models.loading import load_model
from fer_fast.models.network import Network
from fer_fast.train.autocast import autocast
from fer_fast.train.faces import Faces, load_faces, spread

RESULTS = Path(__file__).parent / "results"
#: Training faces that features are compared with, and how many of them are near.
KNOWN, NEAR = 4000, 20


@dataclass(frozen=True)
class Seen:
    """What a model makes of faces; of an ensemble the members' energies and largest logits are averaged.

    Attributes:
        probabilities: calibrated, [faces, classes].
        energy, largest: of the calibrated logits, [faces].
        features: what the head sees, of several members side by side, each of length 1, [faces, width].
    """

    probabilities: Tensor
    energy: Tensor
    largest: Tensor
    features: Tensor


class Member:
    """A network that answers, watched where its head is.

    Args:
        network: whose last layer's bias its architecture names.
        share: how much its answer counts.
    """

    def __init__(self, network: Network, share: float) -> None:
        config = network.config
        self.share, self.views, self.temperature = share, 1 + config.flip_average, config.temperature
        self.features: list[Tensor] = []
        self.logits: list[Tensor] = []
        head = network.get_submodule(classifier_of(config).bias.rpartition(".")[0])
        self.hook = head.register_forward_hook(self._watch)

    def _watch(self, _: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        self.features.append(self._mean(inputs[0]))
        self.logits.append(self._mean(output) / self.temperature)

    def _mean(self, rows: Tensor) -> Tensor:
        """Over the views, which stand one after the other."""
        return rows.float().unflatten(0, (self.views, -1)).mean(dim=0)


def members_of(model: Network) -> list[Member]:
    """An ensemble's, or the model alone."""
    if isinstance(model, Ensemble):
        return [Member(*each) for each in zip(model.networks, model.config.shares, strict=True)]
    return [Member(model, 1.0)]


def look(model: Network, faces: Tensor) -> Seen:
    """Of uint8 [faces, channels, height, width]."""
    members, probabilities = members_of(model), []
    with torch.no_grad(), autocast(torch.device("cpu")):
        for part in torch.split(faces, 128):
            logits = model(plain(part, model.config.image_size)).float() / model.config.temperature
            probabilities.append(logits.softmax(dim=1))
    for member in members:
        member.hook.remove()
    logits = [torch.cat(member.logits) for member in members]
    features = [torch.cat(member.features) for member in members]
    if len(members) > 1:
        features = [torch.nn.functional.normalize(each) for each in features]
    shared = list(zip([member.share for member in members], logits, strict=True))
    return Seen(
        probabilities=torch.cat(probabilities),
        energy=torch.stack([share * each.logsumexp(dim=1) for share, each in shared]).sum(dim=0),
        largest=torch.stack([share * each.amax(dim=1) for share, each in shared]).sum(dim=0),
        features=torch.cat(features, dim=1),
    )


class Known:
    """Features of training faces, and how near others are to them."""

    def __init__(self, seen: Seen, labels: Tensor) -> None:
        classes = seen.probabilities.shape[1]
        self.features = torch.nn.functional.normalize(seen.features)
        self.means = torch.stack([seen.features[labels == each].mean(dim=0) for each in range(classes)])
        rest = seen.features - self.means[labels]
        spread_of = torch.cov(rest.T)
        self.inverse = torch.linalg.inv(
            spread_of + 1e-3 * spread_of.trace() / len(spread_of) * torch.eye(len(spread_of))
        )

    def mahalanobis(self, features: Tensor) -> Tensor:
        """Lee et al. 2018: less the squared distance to the nearest class."""
        away = features[:, None] - self.means
        return -torch.einsum("fcx,xy,fcy->fc", away, self.inverse, away).amin(dim=1)

    def neighbours(self, features: Tensor) -> Tensor:
        """Sun et al. 2022: the cosine to the `NEAR`th nearest."""
        return (torch.nn.functional.normalize(features) @ self.features.T).topk(NEAR, dim=1).values[:, -1]


def scores_of(seen: Seen, known: Known) -> dict[str, Tensor]:
    """Each score, float [faces]; a larger one says surer, or nearer."""
    probabilities = seen.probabilities
    first, second = probabilities.topk(2, dim=1).values.unbind(dim=1)
    return {
        "confidence (Hendrycks & Gimpel 2017)": first,
        "margin": first - second,
        "entropy": torch.special.entr(probabilities).sum(dim=1).neg(),
        "energy (Liu et al. 2020)": seen.energy,
        "largest logit": seen.largest,
        "Mahalanobis (Lee et al. 2018)": known.mahalanobis(seen.features),
        "nearest neighbours (Sun et al. 2022)": known.neighbours(seen.features),
    }


def measured(model: Network, train: Faces, valid: Faces, hard: Tensor) -> dict[str, dict[str, float]]:
    """Score -> AURC clean, hard and of both, and AUROC of clean against hard."""
    some = spread(torch.arange(len(train)), KNOWN)
    known = Known(look(model, train.pixels[some]), train.labels[some])
    seen = {"clean": look(model, valid.pixels), "hard": look(model, hard)}
    right = {name: each.probabilities.argmax(dim=1) == valid.labels for name, each in seen.items()}
    scores = {name: scores_of(each, known) for name, each in seen.items()}
    found = {}
    for score in scores["clean"]:
        clean, changed = scores["clean"][score], scores["hard"][score]
        found[score] = {
            "clean": area(clean, right["clean"]),
            "hard": area(changed, right["hard"]),
            "both": area(torch.cat([clean, changed]), torch.cat([right["clean"], right["hard"]])),
            "auroc": surer(clean, changed),
        }
    return found


def surer(clean: Tensor, changed: Tensor) -> float:
    """How often a face as it is has the higher score than a hard view; where both are the same it is half a case."""
    difference = clean[:, None] - changed
    return round(float((difference.sign().mean() + 1) / 2), 6)


def area(score: Tensor, right: Tensor) -> float:
    """The area under the risk-coverage curve, by ranks: scores may be of any size."""
    ranks = torch.unique(score, return_inverse=True)[1]
    area_under = risk_coverage((ranks / len(score)).numpy().astype(np.float64), right.numpy())[1]
    assert area_under is not None, "there are faces"
    return round(area_under, 6)


def main() -> None:
    """Measures and writes the JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="FERPlus")
    parser.add_argument("--out", type=Path, default=RESULTS / "confidence.json")
    options = parser.parse_args()
    target = check_place(str(options.out))
    train, valid = load_faces(options.data, 64, "argmax10", "votes")
    hard = hard_faces(valid.pixels)
    chosen = [name for name in packaged_models() if name not in study_models()]
    models: dict[str, Any] = {name: measured(load_model(name), train, valid, hard) for name in chosen}
    write_whole(target, (json.dumps({"environment": environment(), "models": models}, indent=1) + "\n").encode())


if __name__ == "__main__":
    main()
