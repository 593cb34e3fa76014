"""The report of an evaluation: ready for JSON, with the same digits every time."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from fer_fast.engines.choice import check_installed
from fer_fast.engines.interface import ENGINES, LARGEST_FALL, PRECISIONS, check_choice, check_device
from fer_fast.evaluation.photos import FinderLike, about_faces, opened_finder, photo_decoder
from fer_fast.evaluation.runs import Run, run_all, run_alone
from fer_fast.evaluation.scored_split import ScoredSplit, check_hard, load_hard_split, load_scored_split
from fer_fast.evaluation.scores import split_scores
from fer_fast.models.files.checkpoint import Checkpoint
from fer_fast.models.files.exported import ExportedModel
from fer_fast.models.files.opening import about_classifier, read_classifier
from fer_fast.models.prior import TRAIN, PriorLike, Shares, by_class, prior_text, ratios_of, shares_of

#: Raise the number when a reader of old reports would be misled.
SCHEMA = "fer_fast.evaluation 1"

Report = dict[str, Any]
Row = Mapping[str, Any]

_NUMBERS = re.compile(r"\[\n\s*((?:-?\d[\d.e+-]*|null)(?:,\n\s*(?:-?\d[\d.e+-]*|null))*)\n\s*\]")


def evaluate(
    model: str | Path,
    data: str | Path,
    *,
    split: str | None = None,
    engine: str = "auto",
    precision: str = "auto",
    device: str = "auto",
    prior: PriorLike = TRAIN,
    hard: bool = False,
    alone: bool = False,
    faces: str = "none",
    finder: FinderLike = None,
    tell: Callable[[str], None] = lambda doing: None,
) -> Report:
    """Scores a model on one split of a data set, in each engine and precision that this machine offers.

    Args:
        model: the name of a packaged model, or the path of a .safetensors checkpoint or of an exported model, which
            is run as it was exported alone.
        data: FERPlus, or a folder whose sub-folders are classes (`fer_fast.datasets.load_split`).
        split: train, valid, test or all; None takes test, or all where `data` has no splits.
        engine: auto, openvino or torch; what is no auto is run alone, after the reference.
        precision: auto, fp32, bf16, fp16 or int8; likewise.
        device: auto, cpu, cuda or cuda:N.
        prior: the mix of classes that the probabilities of all runs are to presume, see `Classifier`.
        hard: each face is scored as one hard view shows it, the same at every call (`datasets.hard_views.hard_faces`).
        alone: what `engine` and `precision` choose is run, and compared with nothing.
        faces: "none": the images are faces; "largest" or "all": they are photos, and the largest face that is found in
            each, or every one, is scored as what the photo is. A photo without one counts as wrong.
        finder: finds them: an open `FaceFinder`, or what to open one with; None opens the packaged one.
        tell: hears what is done now.

    Returns:
        model, data, leakage, `prior` (in words; of an export that is left as it is what it was made for), `faces` (None
        where they are not looked for; how many photos, in which of them no face was found, how faces are cut),
        protocols (the first is the default one) and `runs`: each with
        its scores by protocol (`scores.scores_of`), on all images ("full") and on those whose pixels occur in no other
        split ("leakage_free"), and its differences from the reference; or the reason why it is not offered. `reference`
        is the first of them: torch in fp32, or where torch is not installed OpenVINO in fp32. `chosen` is the run that
        engine, precision and device choose; `warnings` names those that lose accuracy.

    Raises:
        ValueError: if data or the split is not there, its classes are not the model's, or a name is unknown.
        CheckpointError: if the model is missing or damaged.
        MissingExtraError: if the engine, the device or the hard views that are asked for need a package that is not
            installed.
        FerFastError: if the device is not there or fails.
    """
    check_choice("engine", engine, ENGINES)  # all that is wrong with the options, before images are read
    check_choice("precision", precision, PRECISIONS)
    check_device(device)
    check_installed(engine, device)
    if hard:
        check_hard(faces)
    found = read_classifier(model)
    config = about_classifier(found)
    shares = shares_of(prior, config.classes)
    ratios_of(shares, config.prior, config.classes)  # whether there are any
    tell(f"reading {data}")
    with opened_finder(faces, finder, device) as looking, photo_decoder(faces, looking, config) as decoder:
        if hard:
            scored = load_hard_split(Path(data), split, config.classes)
        else:
            scored = load_scored_split(Path(data), split, config.classes, config.image_size, decoder)
        looked = looking and about_faces(scored.split, faces, looking, config)
    run = run_alone if alone or isinstance(found, ExportedModel) else run_all
    runs, chosen = run(
        str(model), list(scored.split.pixels), engine, precision, device, by_class(shares, config.classes), tell
    )
    default = next(iter(scored.protocols))
    rows = _rows(runs, scored, config.classes, default)
    return {
        "schema": SCHEMA,
        "model": {
            "name": str(model),
            "digest": found.digest,
            "image_size": config.image_size,
            "classes": list(config.classes),
        },
        "prior": prior_text(shares or _exported_for(found), config.classes),
        **_about(scored, Path(data).resolve().name),
        "faces": looked,
        "default_protocol": default,
        "reference": runs[0].combination._asdict(),
        "asked": {"engine": engine, "precision": precision, "device": device},
        "alone": alone,
        "chosen": chosen._asdict(),
        "runs": rows,
        "warnings": _warnings(rows, default),
    }


def _exported_for(model: Checkpoint | ExportedModel) -> Shares:
    """The mix that an export's probabilities presume as they are: it does not tell whether that is its training's."""
    return model.description.prior if isinstance(model, ExportedModel) else ()


def json_text(value: Any) -> str:
    """JSON with one line a value, and one a list of numbers: a matrix looks like one."""
    text = json.dumps(value, indent=1, allow_nan=False)
    return _NUMBERS.sub(lambda match: "[" + re.sub(r"\s+", " ", match[1]) + "]", text) + "\n"


def run_of(report: Mapping[str, Any], which: str) -> dict[str, Any]:
    """The run that is the report's "reference" or "chosen" one."""
    return next(run for run in report["runs"] if {name: run[name] for name in report[which]} == report[which])


def _about(scored: ScoredSplit, data: str) -> dict[str, Any]:
    """What was scored, and against which copies it was checked."""
    leakage = {
        "against": list(scored.against),
        "leaked": None if scored.fresh is None else int((~scored.fresh).sum()),
        "unchecked": scored.unchecked,
    }
    return {
        "data": {
            "name": data,
            "split": scored.name,
            "why": scored.why,
            "images": len(scored.split.names),
            "hard": scored.hard,
            "unread": [list(pair) for pair in scored.split.unread],
        },
        "leakage": leakage,
        "protocols": {name: list(classes) for name, classes in scored.protocols.items()},
        "protocols_left_out": scored.left_out,
    }


def _rows(runs: list[Run], scored: ScoredSplit, classes: tuple[str, ...], protocol: str) -> list[dict[str, Any]]:
    """The runs, ready for JSON; the first is what the others are compared with."""
    rows: list[dict[str, Any]] = []
    for run in runs:
        row: dict[str, Any] = run.combination._asdict()
        if run.reason:
            rows.append(row | {"reason": run.reason})
            continue
        scores = split_scores(scored.split, run.probabilities, classes, scored.fresh)
        row |= {"ran": run.ran, "scores": {name: scores[name] for name in scored.protocols}}
        rows.append(row | {"against_reference": _difference(run, runs[0], row, rows[0], protocol) if rows else None})
    return rows


def _difference(run: Run, reference: Run, row: Row, first: Row, protocol: str) -> dict[str, Any]:
    """Accuracy by a protocol in points; of all images the share with another label, and the largest difference."""
    fall = _accuracy(first, protocol) - _accuracy(row, protocol)
    changed = run.probabilities.argmax(axis=1) != reference.probabilities.argmax(axis=1)
    largest = np.abs(run.probabilities - reference.probabilities).max()
    return {
        "points": round(-100 * fall, 4) + 0.0,  # no -0.0
        "changed": round(float(changed.mean()), 6),
        "largest_difference": round(float(largest), 6),
        "falls_too_far": round(fall, 6) > LARGEST_FALL,
    }


def _warnings(rows: list[dict[str, Any]], protocol: str) -> list[str]:
    """One sentence a run that loses more accuracy than a precision may."""
    warnings = []
    for row in rows:
        if "reason" not in row and row["against_reference"] and row["against_reference"]["falls_too_far"]:
            lower, upper = (f"{100 * _accuracy(each, protocol):.2f} %" for each in (row, rows[0]))
            fall = -row["against_reference"]["points"]
            warnings.append(
                f"{row['engine']} {row['precision']} loses {fall:.2f} points of accuracy ({protocol}: {lower}, "
                f"{rows[0]['engine']} {rows[0]['precision']} {upper}); more than {100 * LARGEST_FALL:.1f} is too much"
            )
    return warnings


def _accuracy(row: Row, protocol: str) -> float:
    return float(row["scores"][protocol]["full"]["accuracy"])
