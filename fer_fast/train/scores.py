"""`python -m fer_fast.train.scores MODEL --data DIR`: a checkpoint and FERPlus come in, its scores go out as JSON."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from fer_fast.classifier import Classifier
from fer_fast.train.ferplus import PROTOCOLS, SPLITS, Split, load_split, unseen
from fer_fast.types import EMOTIONS, FerFastError


def split_scores(
    split: Split, probabilities: npt.NDArray[np.float32], fresh: npt.NDArray[np.bool_]
) -> dict[str, dict[str, dict[str, Any]]]:
    """Scores of one split by each protocol, on all its images and without leaked ones.

    Args:
        split: images and votes.
        probabilities: float32 [images, 8], in the order of `EMOTIONS`.
        fresh: bool [images], False where the pixels occur in another split.

    Returns:
        protocol -> "full" or "leakage_free" -> images, accuracy, ece, nll, recall of each class.
    """
    result: dict[str, dict[str, dict[str, Any]]] = {}
    for protocol in PROTOCOLS:
        indices, labels = split.selection(protocol)
        rows = _of_protocol(probabilities[indices], protocol)
        result[protocol] = {
            "full": _scores(rows, labels),
            "leakage_free": _scores(rows[fresh[indices]], labels[fresh[indices]]),
        }
    return result


def calibration_error(probabilities: npt.NDArray[np.float32], labels: npt.NDArray[np.int64], bins: int = 15) -> float:
    """Expected calibration error (Guo et al. 2017, eq. 3): |accuracy - confidence| over equal-width bins, 0 to 1."""
    confidence = probabilities.max(axis=1)
    correct = probabilities.argmax(axis=1) == labels
    bin_of = np.minimum((confidence * bins).astype(int), bins - 1)
    gaps = [
        abs(correct[bin_of == number].mean() - confidence[bin_of == number].mean()) * (bin_of == number).mean()
        for number in np.unique(bin_of)
    ]
    return float(sum(gaps))


def _of_protocol(probabilities: npt.NDArray[np.float32], protocol: str) -> npt.NDArray[np.float32]:
    """On six classes the other two cannot be answered: their probability is shared out."""
    if protocol != "paper6":
        return probabilities
    kept = probabilities.copy()
    kept[:, [EMOTIONS.index("disgust"), EMOTIONS.index("contempt")]] = 0
    return kept / kept.sum(axis=1, keepdims=True)  # type: ignore[no-any-return]


def _scores(probabilities: npt.NDArray[np.float32], labels: npt.NDArray[np.int64]) -> dict[str, Any]:
    correct = probabilities.argmax(axis=1) == labels
    chosen = probabilities[np.arange(len(labels)), labels]
    return {
        "images": len(labels),
        "accuracy": round(float(correct.mean()), 4),
        "ece": round(calibration_error(probabilities, labels), 4),
        "nll": round(float(-np.log(np.maximum(chosen, 1e-12)).mean()), 4),
        "recall": {EMOTIONS[number]: round(float(correct[labels == number].mean()), 4) for number in np.unique(labels)},
    }


def score(classifier: Classifier, data: Path) -> dict[str, Any]:
    """Scores a classifier, files and decoding included, on the validation and test splits.

    Raises:
        ValueError: if `data` is not FERPlus in the official layout, or the classes are not the eight emotions.
    """
    if classifier.classes != EMOTIONS:
        raise ValueError(f"the model's classes must be {', '.join(EMOTIONS)}, not {', '.join(classifier.classes)}")
    splits = {name: load_split(data, name) for name in SPLITS}
    others = {"valid": ["train"], "test": ["train", "valid"]}
    result = {}
    for name, other in others.items():
        folder = data / SPLITS[name][0]
        predictions = classifier.predict(folder / file for file in splits[name].names)
        probabilities = np.stack([prediction.probabilities for prediction in predictions])
        fresh = unseen(splits[name], [splits[seen] for seen in other])
        result[name] = split_scores(splits[name], probabilities, fresh)
    return {"ran": classifier.describe(), "identity": classifier.identity, "scores": result}


def main(arguments: list[str] | None = None) -> int:
    """Runs the command; returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m fer_fast.train.scores", description="Score a model on FERPlus.")
    parser.add_argument("model", help="a packaged model's name, or a .safetensors file")
    parser.add_argument("--data", type=Path, required=True, help="folder with FER2013Train/ ... and fer2013new.csv")
    parser.add_argument("--engine", default="auto")
    parser.add_argument("--precision", default="auto")
    options = parser.parse_args(arguments)
    try:
        with Classifier(options.model, engine=options.engine, precision=options.precision) as classifier:
            print(json.dumps(score(classifier, options.data), indent=1))
    except (ValueError, FerFastError) as error:
        print(f"fer_fast.train.scores: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
