"""An evaluation's report as text for a terminal, and the words that its page shares."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from fer_fast.evaluation.report import run_of
from fer_fast.evaluation.runs import REFERENCE
from fer_fast.models.prior import TRAIN
from fer_fast.types import counted

Report = Mapping[str, Any]
Row = Mapping[str, Any]

#: Of splits from which a model may have learnt, what that does to the scores.
_LEARNT_FROM = {
    "train": "a model that was trained on these data has learnt from these very images",
    "all": "a model that was trained on these data has learnt from nine tenths of these very images: --split valid "
    "scores the tenth that training sets apart",
}


def lines(report: Report) -> list[str]:
    """What was scored, the scores, the classes, the precisions, and what is wrong with them."""
    return [
        *about_lines(report),
        "",
        *_score_lines(report),
        "",
        *_class_lines(report),
        "",
        *_precision_lines(report),
        *(f"WARNING: {sentence}" for sentence in report["warnings"]),
    ]


def about_lines(report: Report) -> list[str]:
    """Which images of which split, what could not be read, what leaks and what is not scored: a sentence each."""
    data, leakage = report["data"], report["leakage"]
    why = f" ({data['why']})" if data["why"] else ""
    faces = report.get("faces")  # reports of before do not have it
    scored = counted(data["images"], "face", "faces") if faces else _images(data["images"])
    hard = ", hard views" if is_hard(report) else ""
    said = [f"{report['model']['name']} on {data['name']}, split {data['split']}{why}{hard}: {scored}"]
    if hard:
        said.append(
            "each face is seen once as cameras, codecs and finders may give it: these are no scores of the images"
        )
    if learnt := _LEARNT_FROM.get(data["split"]):
        said.append(learnt)
    if faces:
        said.append(_faces_line(faces))
    if (prior := report.get("prior", TRAIN)) != TRAIN:
        said.append(f"probabilities presume this mix of classes: {prior}")
    if unread := data["unread"]:
        name, reason = unread[0]
        images = _images(len(unread), " is", " are")
        said.append(f"{images} left out; {'the first is ' if unread[1:] else ''}{name!a}: {reason}")
    if leakage["against"]:
        where = " or ".join(leakage["against"])
        said.append(f"{leakage['leaked']:,} of the images occur in {where}, too: leakage-free is without them")
    said += [f"copies of {split} are not looked for: {reason}" for split, reason in leakage["unchecked"].items()]
    known = len(report["model"]["classes"])
    said += [
        f"{protocol} has {len(classes)} of the model's {known} classes: the others' probabilities are left out"
        for protocol, classes in report["protocols"].items()
        if len(classes) < known
    ]
    said += [f"{protocol} is not scored: {reason}" for protocol, reason in report["protocols_left_out"].items()]
    if (reference := name_of(run_of(report, "reference"))) != str(REFERENCE):
        reasons = [run["reason"] for run in report["runs"] if name_of(run) == str(REFERENCE)]
        said += [f"the reference is {reference} in place of {REFERENCE}: {why}" for why in reasons]
        if not reasons and not report.get("alone"):  # reports of before do not say
            said.append("an exported model is compared with nothing: evaluate its checkpoint to see what it costs")
    return said


def is_hard(report: Report) -> bool:
    """Whether the images are hard views of the faces; reports of before do not say."""
    return bool(report["data"].get("hard"))


def _faces_line(faces: Row) -> str:
    """How many of the photos have a face, which was scored, and what became of those without."""
    finder, photos, without = faces["finder"], faces["photos"], faces["faceless"]
    which = "the largest face" if faces["which"] == "largest" else "each face"
    found = photos - len(without)
    said = f"{which} of a photo is scored, found in {found:,} of {photos:,} ({percent(found / photos, 1)} %), cut by "
    said += f"{faces['framing']}; finder {finder['finder']}, {name_of(finder)}, {finder['find_size']} px"
    if not without:
        return said
    if not without[1:]:
        return f"{said}; the one without counts as wrong, but not in ECE and NLL: {without[0]!a}"
    return f"{said}; the others count as wrong, but not in ECE and NLL; the first is {without[0]!a}"


def shown_runs(report: Report) -> dict[str, dict[str, Any]]:
    """The runs whose scores are shown, by title: what was chosen, then the reference; one where they are the same."""
    chosen, reference = run_of(report, "chosen"), run_of(report, "reference")
    return {marked_name(run, report): run for run in (chosen, reference)}


def name_of(run: Row) -> str:
    """Engine and precision."""
    return f"{run['engine']} {run['precision']}"


def marked_name(run: Row, report: Report) -> str:
    """Engine and precision, and whether they are what was chosen, or the reference."""
    automatic = report["asked"]["engine"] == report["asked"]["precision"] == "auto"
    marks = {"chosen": "auto" if automatic else "chosen", "reference": "reference"}
    said = [mark for which, mark in marks.items() if run is run_of(report, which)]
    return name_of(run) + (f" ({', '.join(said)})" if said else "")


def percent(share: float | None, digits: int = 2) -> str:
    """A share as percent, without the sign; a dash where there is none."""
    return "-" if share is None else f"{100 * share:.{digits}f}"


def number(value: float | None, digits: int = 3) -> str:
    """A number; a dash where there is none."""
    return "-" if value is None else f"{value:.{digits}f}"


def accuracy(scores: Row, dash: str = "-") -> str:
    """An accuracy and its interval, in percent."""
    if scores["interval"] is None:
        return "-"
    low, high = scores["interval"]
    return f"{percent(scores['accuracy'])} ({percent(low, 1)}{dash}{percent(high, 1)})"


def difference_cells(run: Row) -> list[str]:
    """Points against the reference, share of labels that changed, largest difference of a probability."""
    against = run["against_reference"]
    if against is None:
        return ["", "", ""]
    return [f"{against['points']:+.2f}", percent(against["changed"]), number(against["largest_difference"], 4)]


def _images(count: int, one: str = "", many: str = "") -> str:
    return f"1 image{one}" if count == 1 else f"{count:,} images{many}"


def _score_lines(report: Report) -> Iterator[str]:
    yield "accuracy in % (95 % interval), macro F1 in %, calibration error (ECE), negative log-likelihood (NLL)"
    parts = ("full", "leakage_free") if report["leakage"]["against"] else ("full",)
    header = ["protocol", "", "images", "accuracy", "macro F1", "ECE", "NLL"]
    for title, run in shown_runs(report).items():
        rows = [
            [protocol if part == "full" else "", part.replace("_", "-"), *_score_cells(scores[part])]
            for protocol, scores in run["scores"].items()
            for part in parts
        ]
        yield title
        yield from aligned([header, *rows], left=2)
        yield _coverage_line(run, report["default_protocol"])


def _coverage_line(run: Row, protocol: str) -> str:
    """What accuracy is left where the least sure answers are left out."""
    scores = run["scores"][protocol]["full"]
    curve = scores["coverage"]
    said = [
        f"{percent(right, 1)} on {100 * coverage:.0f} %"
        for coverage, right in zip(curve["coverage"], curve["accuracy"], strict=True)
        if coverage < 1
    ]
    return f"  {protocol}, the surest alone: {', '.join(said)}; AURC {number(scores['aurc'], 4)}"


def _score_cells(scores: Row) -> list[str]:
    values = percent(scores["macro_f1"]), number(scores["ece"]), number(scores["nll"])
    return [f"{scores['images']:,}", accuracy(scores), *values]


def _class_lines(report: Report) -> Iterator[str]:
    protocol, runs = report["default_protocol"], [*shown_runs(report).values()]
    yield f"classes by {protocol}: precision and recall in % of {' and of '.join(map(name_of, runs))}"
    each = [run["scores"][protocol]["full"]["classes"] for run in runs]
    rows = [["class", "images", *["precision", "recall"] * len(runs)]]
    for name, first in each[0].items():
        cells = [percent(scores[name][which], 1) for scores in each for which in ("precision", "recall")]
        rows.append([name, f"{first['support']:,}", *cells])
    yield from aligned(rows, left=1)


def _precision_lines(report: Report) -> Iterator[str]:
    protocol = report["default_protocol"]
    yield f"engines and precisions by {protocol}: accuracy in %, points against the reference, labels changed in %"
    rows = [["", "accuracy", "points", "changed", "largest difference of a probability"]]
    for run in report["runs"]:
        if "reason" not in run:
            scores = run["scores"][protocol]["full"]
            rows.append([marked_name(run, report), percent(scores["accuracy"]), *difference_cells(run)])
    yield from aligned(rows, left=1)
    for run in report["runs"]:
        if "reason" in run:
            yield f"  {name_of(run)} is not offered: {run['reason']}"


def aligned(rows: Sequence[Sequence[str]], left: int) -> Iterator[str]:
    """Columns two blanks apart; the first `left` are words, the others numbers."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        cells = [
            cell.ljust(width) if place < left else cell.rjust(width)
            for place, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        yield f"  {'  '.join(cells)}".rstrip()
