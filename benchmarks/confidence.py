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
from torch import Tensor

from fer_fast.bench.environment import environment
from fer_fast.datasets.hard_views import hard_faces
from fer_fast.datasets.resized import plain
from fer_fast.evaluation.coverage import risk_coverage
from fer_fast.machine.disk import check_place, write_whole
from fer_fast.models.files.paths import packaged_models, study_models
from fer_fast.models.fusion.network import FusionModel
from fer_fast.models.loading import load_model
from fer_fast.train.autocast import autocast
from fer_fast.train.faces import Faces, load_faces, spread

RESULTS = Path(__file__).parent / "results"
#: Training faces that features are compared with, and how many of them are near.
KNOWN, NEAR = 4000, 20


@dataclass(frozen=True)
class Seen:
    """What a model makes of faces: calibrated logits [faces, classes], and what its head sees, [faces, width]."""

    logits: Tensor
    features: Tensor


def look(model: FusionModel, faces: Tensor) -> Seen:
    """Of uint8 [faces, channels, height, width]."""
    features: list[Tensor] = []
    hook = model.vit.head.register_forward_hook(lambda _, inputs, __: features.append(inputs[0].float()))
    logits = []
    with torch.no_grad(), autocast(torch.device("cpu")):
        for part in torch.split(faces, 128):
            logits.append(model(plain(part, model.config.image_size)).float() / model.config.temperature)
            if model.config.flip_average:
                features[-1] = features[-1].view(2, len(part), -1).mean(dim=0)
    hook.remove()
    return Seen(torch.cat(logits), torch.cat(features))


class Known:
    """Features of training faces, and how near others are to them."""

    def __init__(self, seen: Seen, labels: Tensor) -> None:
        classes = seen.logits.shape[1]
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
    probabilities = seen.logits.softmax(dim=1)
    first, second = probabilities.topk(2, dim=1).values.unbind(dim=1)
    return {
        "confidence (Hendrycks & Gimpel 2017)": first,
        "margin": first - second,
        "entropy": torch.special.entr(probabilities).sum(dim=1).neg(),
        "energy (Liu et al. 2020)": seen.logits.logsumexp(dim=1),
        "largest logit": seen.logits.amax(dim=1),
        "Mahalanobis (Lee et al. 2018)": known.mahalanobis(seen.features),
        "nearest neighbours (Sun et al. 2022)": known.neighbours(seen.features),
    }


def measured(model: FusionModel, train: Faces, valid: Faces, hard: Tensor) -> dict[str, dict[str, float]]:
    """Score -> AURC clean, hard and of both, and AUROC of clean against hard."""
    some = spread(torch.arange(len(train)), KNOWN)
    known = Known(look(model, train.pixels[some]), train.labels[some])
    seen = {"clean": look(model, valid.pixels), "hard": look(model, hard)}
    right = {name: each.logits.argmax(dim=1) == valid.labels for name, each in seen.items()}
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
