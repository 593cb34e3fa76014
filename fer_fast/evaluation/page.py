"""A report comes in, one self-contained HTML page goes out: tables, confusion matrices, reliability diagrams."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from html import escape
from pathlib import Path
from typing import Any

from fer_fast.evaluation.lines import (
    about_lines,
    accuracy,
    difference_cells,
    marked_name,
    name_of,
    number,
    percent,
    shown_runs,
)
from fer_fast.evaluation.pictures import confusion_picture, reliability_picture
from fer_fast.evaluation.report import run_of
from fer_fast.reports.style import style

Report = Mapping[str, Any]
Row = Mapping[str, Any]

STYLE = Path(__file__).with_name("page.css")
TO = "\N{EN DASH}"
PARTS = {"full": "all images", "leakage_free": "leakage-free"}
PROTOCOLS = {
    "argmax10": "the plurality of all ten vote columns, where it is an emotion",
    "argmax8": "the plurality of the eight emotions",
    "majority": "single votes dropped, then more than half of what is left for one emotion",
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
PRECISIONS_ABOUT = (
    "Against the reference: accuracy in points, the share of all images whose label is another, and the largest "
    "difference of a probability."
)


def page(report: Report) -> str:
    """The whole page, in ASCII: nothing is loaded from elsewhere, and no script runs."""
    first, *about = about_lines(report)
    title = f"{Path(report['model']['name']).name} on {report['data']['name']}, {report['data']['split']}"
    sections = (_findings, _pictures, _scores, _classes, _precisions)
    text = f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>fer_fast evaluation: {escape(title)}</title>
<style>
{style(STYLE)}</style>
</head>
<body>
<header>
<h1>{escape(title)}</h1>
{_paragraphs(first, *about, _ran(report))}{_paragraphs(*report["warnings"], kind="warning")}</header>
<main>
{"".join(part for section in sections for part in section(report))}</main>
</body>
</html>
"""
    return text.encode("ascii", "xmlcharrefreplace").decode()  # a file's name need not be valid text


def _ran(report: Report) -> str:
    model, ran = report["model"], run_of(report, "chosen")["ran"]
    digest = f"model {model['digest'][:12]}, {model['image_size']} px"
    return f"{digest}; {ran['engine']} {ran['version'].partition('-')[0]} in {ran['precision']} on {ran['device']}"


def _findings(report: Report) -> Iterator[str]:
    """The accuracy by the default protocol, by what runs unless told otherwise and by the reference."""
    protocol, found = report["default_protocol"], ""
    for title, run in shown_runs(report).items():
        scores = run["scores"][protocol]
        said = [f"{PARTS[part]}: {accuracy(each, TO)}" for part, each in scores.items()]
        full = scores["full"]
        said.append(f"macro F1 {percent(full['macro_f1'])}, ECE {number(full['ece'])}, NLL {number(full['nll'])}")
        rate = f'<p class="rate"><b>{percent(full["accuracy"])}</b> % right, {escape(protocol)}</p>'
        found += f"<li><h3>{escape(title)}</h3>\n{rate}\n{_paragraphs(*said)}</li>\n"
    yield f'<ul class="findings">\n{found}</ul>\n'


def _pictures(report: Report) -> Iterator[str]:
    """The default protocol in the open, the others folded."""
    run, default = run_of(report, "chosen"), report["default_protocol"]
    body = _pair(run, default)
    for protocol in run["scores"]:
        if protocol != default:
            body += f"<details><summary>By {escape(_said(protocol))}</summary>\n{_pair(run, protocol)}</details>\n"
    about = f"{name_of(run)}, all images, by {_said(default)}."
    yield _section("What it takes for what, and how sure it is", body, about)


def _pair(run: Row, protocol: str) -> str:
    scores = run["scores"][protocol]["full"]
    figures = {
        f"Confusion matrix. {CONFUSION_ABOUT}": confusion_picture(scores),
        f"Reliability, ECE {number(scores['ece'])}. {RELIABILITY_ABOUT}": reliability_picture(scores),
    }
    each = (f"<figure>{picture}<figcaption>{escape(text)}</figcaption></figure>\n" for text, picture in figures.items())
    return f'<div class="pictures">\n{"".join(each)}</div>\n'


def _scores(report: Report) -> Iterator[str]:
    bodies = []
    for title, run in shown_runs(report).items():
        rows = _group(title, 7)
        for protocol, parts in run["scores"].items():
            for part, scores in parts.items():
                values = percent(scores["macro_f1"]), number(scores["ece"], 4), number(scores["nll"], 4)
                cells = [PARTS[part], f"{scores['images']:,}", accuracy(scores, TO), *values]
                rows += _cells([protocol if part == "full" else "", *cells])
        bodies.append(rows)
    header = _header("protocol", "", "images", "accuracy, %", "macro F1, %", "ECE", "NLL")
    about = " ".join([SCORES_ABOUT, *(f"{_said(protocol)}." for protocol in report["protocols"])])
    yield _section("Scores", _table("Scores by protocol", header, *bodies, left=2), about)


def _classes(report: Report) -> Iterator[str]:
    """Precision, recall and F1 of each class, by what was chosen and by the reference."""
    protocol, runs = report["default_protocol"], [*shown_runs(report).values()]
    each = [run["scores"][protocol]["full"]["classes"] for run in runs]
    rows = ""
    for name, first in each[0].items():
        cells = [percent(scores[name][which], 1) for scores in each for which in ("precision", "recall", "f1")]
        rows += _cells([name, f"{first['support']:,}", *cells])
    over = "".join(f'<th scope="colgroup" colspan="3">{escape(name_of(run))}</th>' for run in runs)
    header = f"<tr><td></td><td></td>{over}</tr>" + _header(
        "class", "images", *["precision, %", "recall, %", "F1, %"] * len(runs)
    )
    yield _section("Classes", _table("Scores by class", header, rows), f"All images, by {_said(protocol)}.")


def _precisions(report: Report) -> Iterator[str]:
    protocol, rows = report["default_protocol"], ""
    header = ("", f"accuracy, % ({protocol})", "points", "labels changed, %", "largest difference", "device")
    for run in report["runs"]:
        if "reason" in run:
            reason = f'<td class="reason" colspan="5">not offered: {escape(run["reason"])}</td>'
            rows += f'<tr><th scope="row">{escape(name_of(run))}</th>{reason}</tr>\n'
            continue
        against = run["against_reference"]
        kind = "lossy" if against and against["falls_too_far"] else "chosen" if run is run_of(report, "chosen") else ""
        scores = run["scores"][protocol]["full"]
        cells = [marked_name(run, report), accuracy(scores, TO), *difference_cells(run), run["ran"]["device"]]
        rows += _cells(cells, kind)
    yield _section("Engines and precisions", _table("By combination", _header(*header), rows), PRECISIONS_ABOUT)


def _said(protocol: str) -> str:
    """A protocol and its rule."""
    return f"{protocol}: {PROTOCOLS[protocol]}"


def _section(title: str, body: str, about: str) -> str:
    return f"<section>\n<h2>{escape(title)}</h2>\n{_paragraphs(about)}{body}</section>\n"


def _paragraphs(*texts: str, kind: str = "about") -> str:
    return "".join(f'<p class="{kind}">{escape(text)}</p>\n' for text in texts)


def _table(name: str, header: str, *bodies: str, left: int = 1) -> str:
    """A table in a box of its own, so that a phone scrolls it and not the page; `left` columns are words."""
    groups = "".join(f"<tbody>\n{body}</tbody>\n" for body in bodies)
    return f"""<div class="scroll" role="region" aria-label="{escape(name)}" tabindex="0">
<table class="left{left}">
<thead>{header}</thead>
{groups}</table>
</div>
"""


def _header(*names: str) -> str:
    return "<tr>" + "".join(f'<th scope="col">{escape(name)}</th>' for name in names) + "</tr>"


def _group(title: str, columns: int) -> str:
    return f'<tr><th scope="rowgroup" colspan="{columns}">{escape(title)}</th></tr>\n'


def _cells(cells: Iterable[str], kind: str = "") -> str:
    first, *rest = map(escape, cells)
    numbers = "".join(f"<td>{cell}</td>" for cell in rest)
    return f'<tr class="{kind}"><th scope="row">{first}</th>{numbers}</tr>\n'
