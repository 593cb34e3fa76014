"""An evaluation's report as a page: which scores, pictures and tables it shows."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from fer_fast.evaluation.lines import (
    about_lines,
    accuracy,
    difference_cells,
    is_hard,
    marked_name,
    name_of,
    number,
    percent,
    shown_runs,
)
from fer_fast.evaluation.report import run_of
from fer_fast.reports import parts
from fer_fast.reports.pictures import confusion_picture, coverage_picture, reliability_picture
from fer_fast.reports.render import render

Report = Mapping[str, Any]
Row = Mapping[str, Any]

TO = "\N{EN DASH}"
PARTS = {"full": "all images", "leakage_free": "leakage-free"}
PROTOCOLS = {
    "argmax10": "the plurality of all ten vote columns, where it is an emotion",
    "argmax8": "the plurality of the eight emotions",
    "majority": "single votes dropped, then more than half of what is left for one emotion",
    "paper7": "argmax10 without contempt",
    "paper6": "argmax10 without disgust and contempt",
    "labels": "the folder is the class",
}

SCORES_ABOUT = (
    "In brackets Wilson's 95 % interval. Macro F1: the mean over the classes. ECE: expected calibration error, "
    "15 bins. NLL: mean negative log-likelihood."
)
CONFUSION_ABOUT = "Counts, and their share of the true class, which is the shade. The frame is around right answers."
RELIABILITY_ABOUT = (
    "A bar is the accuracy of the images whose confidence lies in its bin, the line on it their mean confidence: "
    "a bar above its line is too modest, one below it too sure. Beneath: how many images there are."
)
COVERAGE_ABOUT = (
    "The accuracy of the surest images alone: what is left where the others abstain. A point tells the confidence that "
    "--abstain takes for it. AURC: the mean share of wrong answers over all coverages, the less the better."
)
PRECISIONS_ABOUT = (
    "Against the reference: accuracy in points, the share of all images whose label is another, and the largest "
    "difference of a probability."
)


def page(report: Report) -> str:
    """The whole page, in ASCII: nothing is loaded from elsewhere, and no script runs."""
    run, default = run_of(report, "chosen"), report["default_protocol"]
    others = [protocol for protocol in run["scores"] if protocol != default]
    hard = ", hard views" if is_hard(report) else ""
    return render(
        "evaluation",
        title=f"{Path(report['model']['name']).name} on {report['data']['name']}, {report['data']['split']}{hard}",
        about=[*about_lines(report), _ran(report)],
        warnings=report["warnings"],
        protocol=default,
        findings=[*_findings(report)],
        pictures_about=f"{name_of(run)}, all images, by {_said(default)}.",
        default=_pictures(run, default),
        others={f"By {_said(protocol)}": _pictures(run, protocol) for protocol in others},
        tables=[
            ("Scores", _scores_about(report), _scores(report)),
            ("Classes", f"All images, by {_said(default)}.", _classes(report)),
            ("Engines and precisions", PRECISIONS_ABOUT, _precisions(report)),
        ],
    )


def _ran(report: Report) -> str:
    model, ran = report["model"], run_of(report, "chosen")["ran"]
    digest = f"model {model['digest'][:12]}, {model['image_size']} px"
    return f"{digest}; {ran['engine']} {ran['version'].partition('-')[0]} in {ran['precision']} on {ran['device']}"


def _findings(report: Report) -> Iterator[dict[str, Any]]:
    """The accuracy by the default protocol, by what runs unless told otherwise and by the reference."""
    for title, run in shown_runs(report).items():
        scores = run["scores"][report["default_protocol"]]
        said = [f"{PARTS[part]}: {accuracy(each, TO)}" for part, each in scores.items()]
        full = scores["full"]
        said.append(f"macro F1 {percent(full['macro_f1'])}, ECE {number(full['ece'])}, NLL {number(full['nll'])}")
        yield {"title": title, "rate": percent(full["accuracy"]), "said": said}


def _pictures(run: Row, protocol: str) -> dict[str, Any]:
    scores = run["scores"][protocol]["full"]
    bins, curve = scores["reliability"], scores["coverage"]
    return {
        "confusion": confusion_picture([*scores["classes"]], scores["confusion"]),
        "confusion_said": f"Confusion matrix. {CONFUSION_ABOUT}",
        "reliability": reliability_picture(bins["count"], bins["confidence"], bins["accuracy"]),
        "reliability_said": f"Reliability, ECE {number(scores['ece'])}. {RELIABILITY_ABOUT}",
        "coverage": coverage_picture(curve["kept"], curve["abstain"], curve["accuracy"]),
        "coverage_said": f"Accuracy by coverage, AURC {number(scores['aurc'], 4)}. {COVERAGE_ABOUT}",
    }


def _scores_about(report: Report) -> str:
    return " ".join([SCORES_ABOUT, *(f"{_said(protocol)}." for protocol in report["protocols"])])


def _scores(report: Report) -> parts.Table:
    groups = []
    for title, run in shown_runs(report).items():
        rows = []
        for protocol, scored in run["scores"].items():
            for part, scores in scored.items():
                values = percent(scores["macro_f1"]), number(scores["ece"], 4), number(scores["nll"], 4)
                cells = [PARTS[part], f"{scores['images']:,}", accuracy(scores, TO), *values]
                rows.append(parts.Row([protocol if part == "full" else "", *cells]))
        groups.append(parts.Group(rows, title))
    header = ("protocol", "", "images", "accuracy, %", "macro F1, %", "ECE", "NLL")
    return parts.Table("Scores by protocol", header, 2, groups)


def _classes(report: Report) -> parts.Table:
    """Precision, recall and F1 of each class, by what was chosen and by the reference."""
    protocol, runs = report["default_protocol"], [*shown_runs(report).values()]
    each = [run["scores"][protocol]["full"]["classes"] for run in runs]
    rows = []
    for name, first in each[0].items():
        cells = [percent(scores[name][which], 1) for scores in each for which in ("precision", "recall", "f1")]
        rows.append(parts.Row([name, f"{first['support']:,}", *cells]))
    over = [("", 1), ("", 1), *((name_of(run), 3) for run in runs)]
    header = ("class", "images", *["precision, %", "recall, %", "F1, %"] * len(runs))
    return parts.Table("Scores by class", header, 1, [parts.Group(rows)], over)


def _precisions(report: Report) -> parts.Table:
    protocol, rows = report["default_protocol"], []
    for run in report["runs"]:
        if "reason" in run:
            rows.append(parts.Row([name_of(run)], reason=f"not offered: {run['reason']}"))
            continue
        against = run["against_reference"]
        kind = "lossy" if against and against["falls_too_far"] else "chosen" if run is run_of(report, "chosen") else ""
        scores = run["scores"][protocol]["full"]
        cells = [marked_name(run, report), accuracy(scores, TO), *difference_cells(run), run["ran"]["device"]]
        rows.append(parts.Row(cells, kind))
    header = ("", f"accuracy, % ({protocol})", "points", "labels changed, %", "largest difference", "device")
    return parts.Table("By combination", header, 1, [parts.Group(rows)])


def _said(protocol: str) -> str:
    """A protocol and its rule."""
    return f"{protocol}: {PROTOCOLS[protocol]}"
