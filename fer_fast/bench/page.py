"""A benchmark's report as a page: which findings, bars and tables it shows."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator, Mapping
from typing import Any

from fer_fast.bench.case import Key
from fer_fast.bench.findings import key_of, name_of, ours, what_is
from fer_fast.bench.lines import HEADER, alternative_line, cells_of, environment_lines
from fer_fast.bench.stages import decode, faces, folder, model, tokens
from fer_fast.reports import parts
from fer_fast.reports.render import render

Report = Mapping[str, Any]
Row = Mapping[str, Any]

OUR_FORMS = {folder.FORM, decode.FORM, *faces.INSTEAD, *model.OUR_FORMS, *tokens.INSTEAD}
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
    "faces": "Photos in, tables of the faces in them out. Photos, not faces, are counted; two rows are what is not the "
    "whole of it.",
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
    failed = sum(row["state"] == "failed" for row in report["rows"])
    return render(
        "bench",
        machine="; ".join(lines[:machines]),
        about=lines[machines:],
        findings=[*_findings(report)],
        failed=_count(failed, "failed row") if failed else "",
        bars=[
            ("End to end, against the alternatives", RATES_ABOUT["folder"], _rates_of(report, "folder")),
            ("Photos with faces, against the alternatives", RATES_ABOUT["faces"], _rates_of(report, "faces")),
            ("Decoding, against the alternative", RATES_ABOUT["decode"], _rates_of(report, "decode")),
            ("Stages, as a share of their limit", SHARES_ABOUT, [*_shares(report)]),
            ("How busy each stage was", BUSY_ABOUT, [*_busy(report)]),
        ],
        rows=_rows(report),
        limits=_limits(report),
        projections=[*_projections(report)],
        environment=_environment(report),
    )


def _findings(report: Report) -> Iterator[dict[str, str]]:
    """The rate of each folder, how many times the fastest alternative that is, and what limits it."""
    for bottleneck in report["bottlenecks"]:
        key = bottleneck["row"]
        pairs = [pair for pair in report["alternatives"] if pair["ours"] == key]
        nearest = min(pairs, key=lambda pair: pair["median"], default=None)
        times = ""
        if nearest is not None:
            other = what_is(nearest["theirs"], nearest["theirs"]["form"])
            times = f"{nearest['median']:.2f} x as fast as the fastest {other}. "
        yield {
            "images": key["images"],
            "name": f"{name_of(key)} on {key['device']}",
            "rate": f"{bottleneck['images_per_second']:,.0f}",
            "times": times,
            "sentence": bottleneck["sentence"],
        }


def _rates_of(report: Report, stage: str) -> list[parts.BarChart]:
    folders = report.get("with_faces", {}) if stage == "faces" else report["images"]
    return [_rates(report, stage, name, count) for name, count in folders.items()]


def _rates(report: Report, stage: str, images: str, count: int) -> parts.BarChart:
    """Images a second of every row of a stage that reads a folder, on one scale."""
    rows = [row for row in report["rows"] if (row["stage"], row["images"]) == (stage, images)]
    full = _round_up(max((row["images_per_second"]["max"] for row in rows if row["state"] == "ok"), default=1))
    ratios = {key_of(pair["theirs"]): pair for pair in report["alternatives"]}
    bars, runs = [], _runs(report)
    for row in rows:
        if row["state"] != "ok":
            bars.append(parts.Bar(name_of(row), _where(row), None, row["state"], row["reason"], row["state"]))
            continue
        pair, rate = ratios.get(key_of(row)), row["images_per_second"]
        note = f"{pair['median']:.2f} x ({pair['min']:.2f} to {pair['max']:.2f})" if pair else row["note"]
        value, spread = cells_of(row)[RATE], (rate["min"] / full, rate["max"] / full)
        share = rate["median"] / full
        bars.append(parts.Bar(name_of(row), _where(row), share, value, note, _kind(row, runs), spread))
    ticks = [f"{full * quarter / 4:,.6g}" for quarter in range(5)]
    return parts.BarChart(images, f"{_count(count, 'image')}; images/s", bars, ticks)


def _shares(report: Report) -> Iterator[parts.BarChart]:
    """How much of its limit each row of a stage reaches, and how it compares."""
    runs = _runs(report)
    for stage, what in DRAWN.items():
        bars = []
        for row in report["rows"]:
            if row["stage"] == stage and row["state"] == "ok" and row["of_limit"]:
                cells = dict(zip(HEADER, cells_of(row), strict=True))
                note, share = f"{cells['images/s']} images/s", row["of_limit"]["share"]
                bars.append(parts.Bar(name_of(row), _where(row), share, cells["of limit"], note, _kind(row, runs)))
        pairs = [alternative_line(pair) for pair in report["alternatives"] if pair["ours"]["stage"] == stage]
        yield parts.BarChart(stage, what, bars, SHARES, pairs)


def _busy(report: Report) -> Iterator[parts.BarChart]:
    """How busy each stage of a folder was, and its rate alone beside end to end."""
    for bottleneck in report["bottlenecks"]:
        whole, alone, bars = bottleneck["images_per_second"], bottleneck["alone"], []
        slowest = min((rate for rate in alone.values() if rate), default=None)
        for stage, busy in bottleneck["busy"].items():
            rate, threads = alone.get(stage), _count(bottleneck["threads"][stage], "thread")
            note = f"alone {rate:,.0f}; end to end {whole / rate:.0%}" if rate else "alone: not measured"
            kind = "ours runs" if rate and rate == slowest else "ours"
            bars.append(parts.Bar(stage, threads, busy, f"{busy:.0%}", note, kind))
        row = bottleneck["row"]
        about = f"{name_of(row)}, {_where(row)}; end to end {whole:,.0f} images/s"
        yield parts.BarChart(row["images"], about, bars, SHARES)


def _rows(report: Report) -> parts.Table:
    """Every row with all its columns; a row without a time has its reason in their place."""
    runs, groups = _runs(report), []
    for stage, device in dict.fromkeys((row["stage"], row["device"]) for row in report["rows"]):
        rows = [_row(row, runs) for row in report["rows"] if (row["stage"], row["device"]) == (stage, device)]
        groups.append(parts.Group(rows, stage, f"on {device}"))
    return parts.Table(ROWS_ABOUT, ("form", *HEADER[1:]), 3, groups, captioned=True)


def _row(row: Row, runs: Collection[Key]) -> parts.Row:
    cells = cells_of(row)
    if row["state"] == "ok":
        return parts.Row(cells, _kind(row, runs), row["note"])
    return parts.Row(cells[:RATE], row["state"], reason=row["reason"], tail=cells[-1:])


def _limits(report: Report) -> parts.Table:
    rows = []
    for limit in report["limits"]:
        names = [limit[field] for field in ("what", "by", "device", "precision")]
        size, flop = limit["bytes_per_second"], limit["flop_per_second"]
        rates = [f"{size / 1e9:,.1f}" if size else "", f"{flop / 1e12:.3f}" if flop else ""]
        rows.append(parts.Row([*names, *rates, f"{limit['noise']:.0%}"]))
    header = ("what", "by", "device", "precision", "GB/s", "TFLOP/s", "noise")
    return parts.Table(LIMITS_ABOUT, header, 4, [parts.Group(rows)], captioned=True)


def _projections(report: Report) -> Iterator[dict[str, Any]]:
    """What was not measured, apart from what was; a form's bound is the same by each engine, so it is there once."""
    header = ("form", "stage", "precision", "bound by", "batch", "images/s at most")
    for projection in report["projections"]:
        names = [[row[field] for field in ("form", "stage", "precision", "bound")] for row in projection["rows"]]
        rates = [[str(row["batch"]), f"{row['images_per_second']:,.0f}"] for row in projection["rows"]]
        cells = dict.fromkeys((*name, *rate) for name, rate in zip(names, rates, strict=True))
        about = f"What {projection['title']} could do at most, by its roofline. Real runs stay below."
        table = parts.Table(about, header, 4, [parts.Group([parts.Row(each) for each in cells])], captioned=True)
        sources = [f"Source: {source}." for source in projection["sources"]]
        notes = [f"Note: {projection['note']}."] if projection["note"] else []
        yield {"title": projection["title"], "table": table, "notes": [*sources, *notes]}


def _environment(report: Report) -> dict[str, str]:
    """All that is known of it, whatever it is."""
    known = {**report["environment"], **report["environment"]["versions"]}
    known |= {name: report[name] for name in ("model", "images", "images_left_out", "chosen", "schema")}
    del known["versions"]
    return {TERMS.get(name, name): _said(value) for name, value in known.items()}


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
