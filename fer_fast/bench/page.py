"""A report as a page to look at: a report comes in, one self-contained HTML page goes out."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any

from fer_fast.bench.case import Key
from fer_fast.bench.findings import key_of, name_of, ours
from fer_fast.bench.lines import HEADER, alternative_line, cells_of, environment_lines
from fer_fast.bench.stages import decode, folder, model, tokens
from fer_fast.reports.style import style

Report = Mapping[str, Any]
Row = Mapping[str, Any]

STYLE = Path(__file__).with_name("page.css")
OUR_FORMS = {folder.FORM, decode.FORM, *model.OUR_FORMS, *tokens.INSTEAD}
#: The stages whose share of the limit is drawn; decoding is not limited by either that was measured.
DRAWN = {
    "backbone": "pixels to taps",
    "tokens": "taps to tokens; its few operations are not counted, so that memory is the limit",
    "vit": "tokens to logits",
    "model": "pixels to logits",
}
SHARES = ("0%", "25%", "50%", "75%", "100%")
RATE = HEADER.index("images/s")
TERMS = {
    "memory_gib": "memory, GiB", "gpus": "GPUs", "cuda": "CUDA", "python": "Python", "dirty": "changed since commit",
    "load_average": "load average before", "load_average_after": "load average after", "chosen": "auto chose",
    "images_left_out": "images left out",
}  # fmt: skip

RATES_ABOUT = {
    "folder": "Folders of image files in, tables of probabilities out. A bar is the median of the rounds, the line on "
    "it their range; the strong colour is what fer_fast runs unless told otherwise, the pale one its other precisions. "
    "N\u00a0x: how many times faster the strong one is than this row, and the range of that from round to round.",
    "decode": "Image files in, pixels out. N\u00a0x: how many times faster fer_fast's decoder is than this row.",
}
SHARES_ABOUT = (
    "A full bar is all that memory or arithmetic alone would allow, whichever allows less: the limits measured below. "
    "A pointed bar would go on: the row is faster than the fastest copy or matrix product that was measured."
)
BUSY_ABOUT = (
    "The share of a run in which the threads of a stage worked. All stages run at the same time; the strong colour is "
    "the one that is slowest alone. Beside: its images/s alone, and how much of that comes out end to end."
)
ROWS_ABOUT = "Every row of the run. A failed row gave a wrong answer or broke; an absent one is not to be had here."
LIMITS_ABOUT = "The fastest copy of memory and the fastest matrix products, in the same minutes as the rows."


def page(report: Report) -> str:
    """The whole page, in ASCII: nothing is loaded from elsewhere, and no script runs."""
    lines, machines = [*environment_lines(report["environment"])], 1 + len(report["environment"]["gpus"])
    machine = escape("; ".join(lines[:machines]))
    sections = (_findings, _folders, _stages, _busy, _rows, _limits, _projections, _environment)
    text = f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>fer_fast benchmark: {machine}</title>
<style>
{style(STYLE)}</style>
</head>
<body>
<header>
<h1>fer_fast benchmark</h1>
<p class="machine">{machine}</p>
{_paragraphs(*lines[machines:])}</header>
<main>
{"".join(part for section in sections for part in section(report))}</main>
</body>
</html>
"""
    return text.encode("ascii", "xmlcharrefreplace").decode()  # a file's name need not be valid text


def _findings(report: Report) -> Iterator[str]:
    """The rate of each folder, how many times the fastest alternative that is, and what limits it."""
    found = ""
    for bottleneck in report["bottlenecks"]:
        key, rate = bottleneck["row"], f"{bottleneck['images_per_second']:,.0f}"
        pairs = [pair for pair in report["alternatives"] if pair["ours"] == key]
        nearest = min(pairs, key=lambda pair: pair["median"], default=None)
        times = f"{nearest['median']:.2f} x as fast as the fastest {nearest['theirs']['form']}. " if nearest else ""
        title = f"<h3>{escape(key['images'])}</h3> <small>{escape(name_of(key))} on {escape(key['device'])}</small>"
        said = f"<b>{escape(times)}</b>{escape(bottleneck['sentence'])}"
        found += f'<li>{title}\n<p class="rate"><b>{rate}</b> images/s</p>\n<p>{said}</p></li>\n'
    body = f'<ul class="findings">\n{found}</ul>\n' if found else ""
    if failed := sum(row["state"] == "failed" for row in report["rows"]):
        body += f'<p class="failed">{_count(failed, "failed row")} without a time: <a href="#rows">see why</a>.</p>\n'
    yield _section("Findings", body)


def _folders(report: Report) -> Iterator[str]:
    titles = {"folder": "End to end, against the alternatives", "decode": "Decoding, against the alternative"}
    for stage, title in titles.items():
        figures = [_rates(report, stage, name, count) for name, count in report["images"].items()]
        yield _section(title, *figures, about=RATES_ABOUT[stage])


def _rates(report: Report, stage: str, images: str, count: int) -> str:
    """Images a second of every row of a stage that reads a folder, on one scale."""
    rows = [row for row in report["rows"] if (row["stage"], row["images"]) == (stage, images)]
    full = _round_up(max((row["images_per_second"]["max"] for row in rows if row["state"] == "ok"), default=1))
    ratios = {key_of(pair["theirs"]): pair for pair in report["alternatives"]}
    bars, runs = [], _runs(report)
    for row in rows:
        if row["state"] != "ok":
            bars.append(_bar(name_of(row), _where(row), None, row["state"], row["reason"], row["state"]))
            continue
        pair, rate = ratios.get(key_of(row)), row["images_per_second"]
        note = f"{pair['median']:.2f} x ({pair['min']:.2f} to {pair['max']:.2f})" if pair else row["note"]
        value, spread = cells_of(row)[RATE], (rate["min"] / full, rate["max"] / full)
        bars.append(_bar(name_of(row), _where(row), rate["median"] / full, value, note, _kind(row, runs), spread))
    ticks = [f"{full * quarter / 4:,.6g}" for quarter in range(5)]
    return _figure(images, f"{_count(count, 'image')}; images/s", bars, ticks)


def _stages(report: Report) -> Iterator[str]:
    """How much of its limit each row of a stage reaches, and how it compares."""
    figures, runs = [], _runs(report)
    for stage, what in DRAWN.items():
        bars = []
        for row in report["rows"]:
            if row["stage"] == stage and row["state"] == "ok" and row["of_limit"]:
                cells = dict(zip(HEADER, cells_of(row), strict=True))
                note, kind = f"{cells['images/s']} images/s", _kind(row, runs)
                bars.append(_bar(name_of(row), _where(row), row["of_limit"]["share"], cells["of limit"], note, kind))
        pairs = [alternative_line(pair) for pair in report["alternatives"] if pair["ours"]["stage"] == stage]
        figures.append(_figure(stage, what, bars, SHARES) + (_paragraphs(*pairs, kind="line") if bars else ""))
    yield _section("Stages, as a share of their limit", *figures, about=SHARES_ABOUT)


def _busy(report: Report) -> Iterator[str]:
    """How busy each stage of a folder was, and its rate alone beside end to end."""
    figures = []
    for bottleneck in report["bottlenecks"]:
        whole, alone, bars = bottleneck["images_per_second"], bottleneck["alone"], []
        slowest = min((rate for rate in alone.values() if rate), default=None)
        for stage, busy in bottleneck["busy"].items():
            rate, threads = alone.get(stage), _count(bottleneck["threads"][stage], "thread")
            note = f"alone {rate:,.0f}; end to end {whole / rate:.0%}" if rate else "alone: not measured"
            kind = "ours runs" if rate and rate == slowest else "ours"
            bars.append(_bar(stage, threads, busy, f"{busy:.0%}", note, kind))
        row = bottleneck["row"]
        about = f"{name_of(row)}, {_where(row)}; end to end {whole:,.0f} images/s"
        figures.append(_figure(row["images"], about, bars, SHARES))
    yield _section("How busy each stage was", *figures, about=BUSY_ABOUT)


def _rows(report: Report) -> Iterator[str]:
    """Every row with all its columns; a row without a time has its reason in their place."""
    runs, bodies = _runs(report), []
    for stage, device in dict.fromkeys((row["stage"], row["device"]) for row in report["rows"]):
        title = f'<th scope="rowgroup" colspan="{len(HEADER)}">{escape(stage)} <small>on {escape(device)}</small></th>'
        rows = (_row(row, runs) for row in report["rows"] if (row["stage"], row["device"]) == (stage, device))
        bodies.append(f"<tr>{title}</tr>\n{''.join(rows)}")
    yield _section("All rows", _table(ROWS_ABOUT, ("form", *HEADER[1:]), 3, *bodies), attributes=' id="rows"')


def _row(row: Row, runs: Collection[Key]) -> str:
    cells = cells_of(row)
    if row["state"] == "ok":
        return _cells(cells, _kind(row, runs), row["note"])
    head, error = _cells(cells[:RATE], row["state"]).removesuffix("</tr>\n"), escape(cells[-1])
    reason = f"<strong>{row['state']}</strong> {escape(row['reason'])}"
    return f'{head}<td class="reason" colspan="{len(HEADER) - RATE - 1}">{reason}</td><td>{error}</td></tr>\n'


def _limits(report: Report) -> Iterator[str]:
    rows = ""
    for limit in report["limits"]:
        names = [limit[field] for field in ("what", "by", "device", "precision")]
        size, flop = limit["bytes_per_second"], limit["flop_per_second"]
        rates = [f"{size / 1e9:,.1f}" if size else "", f"{flop / 1e12:.3f}" if flop else ""]
        rows += _cells([*names, *rates, f"{limit['noise']:.0%}"])
    header = ("what", "by", "device", "precision", "GB/s", "TFLOP/s", "noise")
    yield _section("Limits of this machine, measured", _table(LIMITS_ABOUT, header, 4, rows))


def _projections(report: Report) -> Iterator[str]:
    """What was not measured, apart from what was; a form's bound is the same by each engine, so it is there once."""
    header = ("form", "stage", "precision", "bound by", "batch", "images/s at most")
    for projection in report["projections"]:
        names = [[row[field] for field in ("form", "stage", "precision", "bound")] for row in projection["rows"]]
        rates = [[str(row["batch"]), f"{row['images_per_second']:,.0f}"] for row in projection["rows"]]
        rows = dict.fromkeys(_cells(name + rate) for name, rate in zip(names, rates, strict=True))
        about = f"What {projection['title']} could do at most, by its roofline. Real runs stay below."
        sources = [f"Source: {source}." for source in projection["sources"]]
        notes = [f"Note: {projection['note']}."] if projection["note"] else []
        body = _table(about, header, 4, "".join(rows)) + _paragraphs(*sources, *notes)
        yield _section(f"Projection, not measured: {projection['title']}", body, attributes=' class="projection"')


def _environment(report: Report) -> Iterator[str]:
    """All that is known of it, whatever it is."""
    known = {**report["environment"], **report["environment"]["versions"]}
    known |= {name: report[name] for name in ("model", "images", "images_left_out", "chosen", "schema")}
    del known["versions"]
    terms = [f"<dt>{escape(TERMS.get(name, name))}</dt><dd>{escape(_said(known[name]))}</dd>" for name in known]
    yield _section("Environment", "<dl>\n" + "".join(f"<div>{term}</div>\n" for term in terms) + "</dl>\n")


def _said(value: Any) -> str:
    if isinstance(value, Mapping):
        return "; ".join(f"{name}: {_said(each)}" for name, each in value.items()) or "none"
    if isinstance(value, list | tuple):
        return ", ".join(map(_said, value)) or "none"
    return {"None": "none", "True": "yes", "False": "no"}.get(str(value), str(value))


def _runs(report: Report) -> set[Key]:
    """The rows that fer_fast runs unless told otherwise."""
    ok = [row for row in report["rows"] if row["state"] == "ok" and "images_per_second" in row]
    return {key_of(row) for row in ours(ok, report["chosen"])}


def _kind(row: Row, runs: Collection[Key]) -> str:
    return "ours runs" if key_of(row) in runs else "ours" if row["form"] in OUR_FORMS else ""


def _where(row: Row) -> str:
    return f"batch {row['batch']} on {row['device']}"


def _count(count: int, what: str) -> str:
    return f"{count:,} {what}" if count == 1 else f"{count:,} {what}s"


def _round_up(value: float) -> float:
    """To a number that is easily divided by 4."""
    unit = 10.0 ** math.floor(math.log10(value))
    return next(step * unit for step in (1, 1.2, 1.6, 2, 2.4, 3.2, 4, 6, 8, 10) if step * unit >= value)


def _section(title: str, *bodies: str, about: str = "", attributes: str = "") -> str:
    """Nothing where there is nothing to show."""
    head = f"<section{attributes}>\n<h2>{escape(title)}</h2>\n{_paragraphs(*[about] if about else [])}"
    return f"{head}{''.join(bodies)}</section>\n" if any(bodies) else ""


def _paragraphs(*texts: str, kind: str = "about") -> str:
    return "".join(f'<p class="{kind}">{escape(text)}</p>\n' for text in texts)


def _figure(title: str, about: str, bars: Sequence[str], ticks: Sequence[str]) -> str:
    """Bars on one scale, from 0 to the last tick."""
    axis = "".join(f"<span>{escape(tick)}</span>" for tick in ticks)
    figure = f"""<figure>
<figcaption><h3>{escape(title)}</h3> <small>{escape(about)}</small></figcaption>
<ul class="bars">
{"".join(bars)}</ul>
<div class="axis" aria-hidden="true"><div>{axis}</div></div>
</figure>
"""
    return figure if bars else ""


def _bar(
    name: str, detail: str, share: float | None, value: str, note: str, kind: str, spread: tuple[float, float] = (0, 0)
) -> str:
    """One bar with its number beside it, and a line on it; no bar at all where there is no share."""
    low, high = spread
    line = f'<span class="spread" style="left:{low:.2%};width:{high - low:.2%}"></span>' if high else ""
    over = " over" if share and share > 1 else ""
    track = f'<span class="fill{over}" style="width:{min(share or 0, 1):.2%}"></span>{line}'
    return (
        f'<li class="{kind}"><span class="name">{escape(name)} <small>{escape(detail)}</small></span>'
        + (f'<span class="track">{track}</span>' if share is not None else "")
        + f'<b class="value">{escape(value)}</b> <span class="note">{escape(note)}</span></li>\n'
    )


def _table(caption: str, header: Iterable[str], left: int, *bodies: str) -> str:
    """A table in a box of its own, so that a phone scrolls it and not the page; `left` columns are words."""
    heads = "".join(f'<th scope="col">{escape(name)}</th>' for name in header)
    groups = "".join(f"<tbody>\n{body}</tbody>\n" for body in bodies if body)
    table = f"""<div class="scroll" role="region" aria-label="{escape(caption)}" tabindex="0">
<table class="left{left}">
<caption><span>{escape(caption)}</span></caption>
<thead><tr>{heads}</tr></thead>
{groups}</table>
</div>
"""
    return table if groups else ""


def _cells(cells: Iterable[str], kind: str = "", note: str = "") -> str:
    first, *rest = map(escape, cells)
    small = f" <small>{escape(note)}</small>" if note else ""
    numbers = "".join(f"<td>{cell}</td>" for cell in rest)
    return f'<tr class="{kind}"><th scope="row">{first}{small}</th>{numbers}</tr>\n'
