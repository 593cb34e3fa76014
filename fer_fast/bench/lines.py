"""A benchmark's report as text for a terminal, and the words that its page shares."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby
from typing import Any

from fer_fast.bench.findings import name_of, what_is
from fer_fast.types import counted

HEADER = (
    "", "engine", "precision", "batch", "images/s", "min", "max", "noise",
    "p50 ms", "p95 ms", "p99 ms", "GB/s", "TFLOP/s", "of limit", "error",
)  # fmt: skip

#: Load average a core above which other work must have been going on.
BUSY = 0.25


def lines(report: Mapping[str, Any]) -> Iterator[str]:
    """The whole report."""
    yield from environment_lines(report["environment"])
    yield from _limits(report["limits"])
    if report["images_left_out"]:
        left_out = report["images_left_out"]
        yield counted(left_out, "image cannot be decoded and is left out", "images cannot be decoded and are left out")
    yield ""
    yield from _table(report["rows"])
    reasons = [row for row in report["rows"] if row["state"] != "ok"]
    for row in reasons:
        yield f"{row['state']}: {row['stage']}: {name_of(row)}: {row['reason']}"
    if report["alternatives"]:
        yield ""
    for pair in report["alternatives"]:
        yield alternative_line(pair)
    for projection in report["projections"]:
        yield ""
        yield from _projection(projection)
    if report["bottlenecks"]:
        yield ""
    for bottleneck in report["bottlenecks"]:
        yield bottleneck["sentence"]


def environment_lines(environment: Mapping[str, Any]) -> Iterator[str]:
    """Machine, versions and load."""
    features = ", ".join(environment["features"])
    yield f"{environment['cores']} cores of {environment['processor']} ({features}), {environment['memory_gib']} GiB"
    for gpu in environment["gpus"]:
        yield f"{gpu['name']}, {gpu['memory_gib']} GiB, CUDA {environment['cuda']}, driver {environment['driver']}"
    versions = ", ".join(f"{name} {version}" for name, version in environment["versions"].items() if version)
    dirty = " with changes" if environment["dirty"] else ""
    yield f"{versions}; commit {str(environment['commit'])[:9]}{dirty}"
    before, after = environment["load_average"][0], environment["load_average_after"][0]
    yield f"load average {before} before, {after} after; seed {environment['seed']}"
    if before > BUSY * environment["cores"]:
        yield "note: the machine was busy before the run began; its figures will not repeat"


def alternative_line(pair: Mapping[str, Any]) -> str:
    """One comparison."""
    ours, theirs = pair["ours"], pair["theirs"]
    where = f" {ours['images']}" if ours["images"] else ""
    other = name_of(theirs)
    if (whole := what_is(theirs, other)) != other:
        other = f"the {whole}"
    return (
        f"{ours['stage']}{where}: {name_of(ours)} is {pair['median']:.2f} x as fast as {other}"
        f" ({pair['min']:.2f} to {pair['max']:.2f})"
    )


def cells_of(row: Mapping[str, Any]) -> tuple[str, ...]:
    """One row's cells, as in `HEADER`."""
    form = row["form"] + (f" ({row['images']})" if row["images"] else "")
    head = (form, row["engine"], row["precision"], str(row["batch"] or ""))
    error = ""
    if row["error"]:
        error = "nan" if row["error"]["error"] is None else f"{row['error']['error']:.2g}"
    if row["state"] != "ok":
        return (*head, row["state"], *[""] * 9, error)
    rate = row.get("images_per_second")
    rates = [f"{rate[key]:,.0f}" for key in ("median", "min", "max")] if rate else [""] * 3
    times = ["" if (time := row["milliseconds"][key]) is None else _short(time) for key in ("p50", "p95", "p99")]
    size, flop, share = row["bytes_per_second"], row["flop_per_second"], row["of_limit"]
    return (
        *head,
        *rates,
        f"{row['noise']:.0%}",
        *times,
        f"{size / 1e9:.2f}" if size else "",
        f"{flop / 1e12:.3f}" if flop else "",
        f"{share['share']:.0%} {share['bound']}" if share else "",
        error,
    )


def _table(rows: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    shown = [row for row in rows if row["stage"] != "limit"]
    table = [HEADER, *map(cells_of, shown)]
    widths = [max(len(cells[column]) for cells in table) for column in range(len(HEADER))]

    def line(cells: Sequence[str]) -> str:
        left = [cell.ljust(width) for cell, width in zip(cells[:3], widths, strict=False)]
        right = [cell.rjust(width) for cell, width in zip(cells[3:], widths[3:], strict=True)]
        return "  ".join(left + right).rstrip()

    for (stage, device), group in groupby(shown, key=lambda row: (row["stage"], row["device"])):
        yield line((f"{stage.upper()} on {device}", *HEADER[1:]))
        for row in group:
            yield line(cells_of(row))
        yield ""


def _limits(limits: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    for device in dict.fromkeys(limit["device"] for limit in limits):
        parts = []
        for limit in limits:
            if limit["device"] == device and limit["bytes_per_second"]:
                parts.append(f"copy {limit['bytes_per_second'] / 1e9:.1f} GB/s")
            elif limit["device"] == device:
                parts.append(f"{limit['precision']} {limit['flop_per_second'] / 1e12:.3f} TFLOP/s ({limit['by']})")
        yield f"limits of {device}: {', '.join(parts)}"


def _projection(projection: Mapping[str, Any]) -> Iterator[str]:
    yield f"PROJECTION, not measured: what {projection['title']} could do at most, by its roofline"
    for row in projection["rows"]:
        yield f"  {row['stage']}: {name_of(row)}: {row['images_per_second']:,.0f} images/s ({row['bound']})"


def _short(milliseconds: float) -> str:
    return f"{milliseconds:,.0f}" if milliseconds >= 100 else f"{milliseconds:.3g}"
