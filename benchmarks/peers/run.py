"""Compares fer_fast with its peers: FERPlus' test images come in, one table of speed and accuracy goes out.

    python benchmarks/peers/run.py --data FERPLUS [--images N] [--python fer=VENV/bin/python] [--json FILE]

Each peer is a program of its own (see README.md), so that it may have an interpreter of its own; one that is not there
is a row that says why.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from asking import NoAnswerError, Outcome, Peer, add_options, check_options, need, run_in_turn, speed_of

from fer_fast.bench.environment import environment, load_average
from fer_fast.datasets import Split, unseen
from fer_fast.datasets.ferplus import SPLIT_PLACES, load_ferplus
from fer_fast.evaluation import split_scores
from fer_fast.machine.disk import check_place, write_whole
from fer_fast.models.files.paths import packaged_models
from fer_fast.types import EMOTIONS, OutputRefusedError

HERE = Path(__file__).resolve().parent
PROTOCOLS = ("argmax10", "majority", "paper6")
#: Scores that were rounded to zero still have an order after the classes outside a protocol are taken away.
LEAST = 1e-6

PEERS = (
    Peer("fer_fast", "fer_fast `fast`", HERE / "fer_fast_package.py", ("fast",)),
    *(
        Peer(f"fer_fast_{model}", f"fer_fast `{model}`", HERE / "fer_fast_package.py", (model,))
        for model in packaged_models()
        if model != "fast"
    ),
    Peer("fer", "fer (mini-XCEPTION)", HERE / "fer_package.py"),
    Peer("face_api", "face-api on tfjs-node", HERE / "face_api.mjs", ("tfjs-node",)),
    Peer("face_api_wasm", "face-api on wasm", HERE / "face_api.mjs", ("wasm",)),
    Peer("deepface", "DeepFace", HERE / "deepface_package.py"),
    Peer("emotiefflib", "EmotiEffLib", HERE / "emotiefflib_package.py"),
)


@dataclass(frozen=True)
class Material:
    """What is classified.

    Attributes:
        paths: the images.
        split: the same images, with their votes.
        fresh: bool [images], False where the pixels occur in another split; None if the others are not there.
    """

    paths: list[str]
    split: Split
    fresh: npt.NDArray[np.bool_] | None


def read_material(data: Path, images: int | None) -> Material:
    """The test split, or `images` of it, evenly spread.

    Raises:
        ValueError: if `data` has no test split in files, or `images` is out of range.
    """
    if not (data / SPLIT_PLACES["test"][0]).is_dir():
        raise ValueError(f"data {str(data)!r} must hold the faces in {SPLIT_PLACES['test'][0]}/: the peers read files")
    test = load_ferplus(data, "test")
    try:
        fresh = unseen(test, [load_ferplus(data, name) for name in SPLIT_PLACES if name != "test"])
    except ValueError:
        fresh = None
    count = len(test.names) if images is None else images
    if not 1 <= count <= len(test.names):
        raise ValueError(f"--images must be from 1 to {len(test.names)}, the images of the test split, not {count}")
    chosen = np.linspace(0, len(test.names) - 1, count).round().astype(int)
    names = [test.names[number] for number in chosen]
    paths = [str((data / SPLIT_PLACES["test"][0] / name).resolve()) for name in names]
    split = replace(test, names=names, pixels=test.pixels[chosen], votes=test.votes[chosen])
    return Material(paths, split, None if fresh is None else fresh[chosen])


def check(answer: dict[str, Any], images: int) -> None:
    """Whether an answer may be scored.

    Raises:
        NoAnswerError: if it lacks something, a class is no emotion of FERPlus, or the scores are not one row an image.
    """
    need(answer, "classes", "scores")
    classes = answer["classes"]
    if unknown := [name for name in classes if name not in EMOTIONS]:
        raise NoAnswerError(f"wrong answer: class {unknown[0]!r} is none of {', '.join(EMOTIONS)}")
    if len(set(classes)) != len(classes):
        raise NoAnswerError(f"wrong answer: a class stands twice in {', '.join(classes)}")
    wanted = (images, len(classes))
    try:
        scores = np.array(answer["scores"], dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise NoAnswerError("wrong answer: its rows of scores differ in length, or are no numbers") from error
    if scores.shape != wanted:
        raise NoAnswerError(f"wrong answer: scores must be {list(wanted)}, not {list(scores.shape)}")
    if not np.isfinite(scores).all() or scores.min() < 0:
        raise NoAnswerError("wrong answer: a score is negative or not a number")


def probabilities_of(answer: dict[str, Any]) -> npt.NDArray[np.float32]:
    """float32 [images, 8] in the order of `EMOTIONS`; a class that the peer lacks gets nothing."""
    scores = np.maximum(np.array(answer["scores"], dtype=np.float32), LEAST)
    result = np.zeros((len(scores), len(EMOTIONS)), np.float32)
    result[:, [EMOTIONS.index(name) for name in answer["classes"]]] = scores
    return result / result.sum(axis=1, keepdims=True)  # type: ignore[no-any-return]


def accuracy_of(answer: dict[str, Any], material: Material) -> dict[str, dict[str, Any]]:
    """protocol -> "full", and "leakage_free" where it is known -> images and accuracy (None without any image)."""
    scores = split_scores(material.split, probabilities_of(answer), EMOTIONS, material.fresh)
    return {name: {part: _accuracy(found) for part, found in scores[name].items()} for name in PROTOCOLS}


def _accuracy(scores: dict[str, Any]) -> dict[str, Any]:
    accuracy = scores["accuracy"]
    return {"images": scores["images"], "accuracy": None if accuracy is None else round(accuracy, 4)}


def row_of(outcome: Outcome, ours: Outcome, material: Material) -> dict[str, Any]:
    """One peer's row, ready for JSON."""
    row = speed_of(outcome, ours, len(material.paths))
    if outcome.reason:
        return row
    answer = outcome.answers[0]
    missing = [name for name in EMOTIONS if name not in answer["classes"]]
    return row | {"classes_missing": missing, "accuracy": accuracy_of(answer, material)}


def table(rows: list[dict[str, Any]]) -> str:
    """The rows as a Markdown table."""
    header = ["peer", "images/s", "of `fast`", "start, s", *PROTOCOLS, "how it was run"]
    lines = [header, ["---", *["---:"] * (len(header) - 2), "---"], *(cells_of(row) for row in rows)]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def cells_of(row: dict[str, Any]) -> list[str]:
    """One row's cells."""
    if "reason" in row:
        return [row["title"], *["-"] * (3 + len(PROTOCOLS)), row["reason"].replace("|", "/")]
    times = row["times_fer_fast"]
    lacks = f"; lacks {', '.join(row['classes_missing'])}" if row["classes_missing"] else ""
    return [
        row["title"],
        f"{row['images_per_second']['median']:,.0f}",
        "-" if times is None else f"{times:.2f} x",
        f"{row['startup_seconds']:.1f}",
        *(" / ".join(map(percent, row["accuracy"][name].values())) for name in PROTOCOLS),
        row["how"] + lacks,
    ]


def percent(part: dict[str, Any]) -> str:
    """An accuracy, or a dash without images."""
    return "-" if part["accuracy"] is None else f"{100 * part['accuracy']:.1f}"


def read_options(arguments: list[str] | None) -> argparse.Namespace:
    """The command line.

    Raises:
        ValueError: on a number or a place that cannot be right.
    """
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="FERPlus in the official layout")
    parser.add_argument("--images", type=int, help="so many of the test images, evenly spread; all without it")
    add_options(parser, PEERS)
    parser.add_argument("--node", default=shutil.which("node") or "node", help="node's path")
    parser.add_argument("--node-modules", type=Path, default=Path(), help="folder that holds face-api's node_modules")
    options = parser.parse_args(arguments)
    check_options(options)
    return options


def main(arguments: list[str] | None = None) -> int:
    """Runs all peers; returns the exit status."""
    try:
        options = read_options(arguments)
        target = check_place(str(options.json)) if options.json else None
        material = read_material(options.data, options.images)
    except (ValueError, OutputRefusedError) as error:
        print(f"run.py: {error}", file=sys.stderr)
        return 2
    machine = environment()
    outcomes = run_in_turn(PEERS, options, material.paths, check)
    rows = [row_of(outcome, outcomes[0], material) for outcome in outcomes]
    leakage = "full split / without leaked images" if material.fresh is not None else "full split"
    print(table(rows))
    print(f"\n{len(material.paths):,} images of FERPlus' test split; accuracy in %: {leakage}; see README.md.")
    if target:
        found = {"images": len(material.paths), "rounds": options.rounds}
        result = {"environment": machine, **found, "load_average_after": load_average(), "peers": rows}
        write_whole(target, f"{json.dumps(result, indent=1)}\n".encode())
    return 0


if __name__ == "__main__":
    sys.exit(main())
