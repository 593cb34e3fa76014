"""The report of a run, ready for JSON, and read back from a file."""

from __future__ import annotations

import json
import math
import statistics
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from fer_fast.bench.case import Key
from fer_fast.bench.measure import Measured, noise, percentile

#: Raise it when a field changes its name or meaning.
SCHEMA = "fer_fast.bench 1"
#: What a comparison needs of an older report.
FIELDS = frozenset({"environment", "model", "images", "rows"})
ROW_FIELDS = frozenset({*Key._fields, "state"})


def limits_of(measured: Iterable[Measured]) -> list[dict[str, Any]]:
    """The fastest copy and the fastest matrix product in each precision, of each device."""
    best: dict[tuple[str, str], dict[str, Any]] = {}  # device and precision; no precision is the copy
    for each in measured:
        key = each.case.key
        if key.stage != "limit" or each.state != "ok":
            continue
        rate = max(each.rates)  # a limit is what can be reached at all
        limit: dict[str, Any] = {
            "device": key.device,
            "precision": key.precision,
            "what": key.form,
            "by": key.engine,
            "bytes_per_second": rate * each.case.work.bytes or None,
            "flop_per_second": rate * each.case.work.flop or None,
            "noise": round(noise(each.rates), 4),
        }
        known = best.get((key.device, key.precision))
        if known is None or rate * each.case.work.flop > (known["flop_per_second"] or 0):
            best[key.device, key.precision] = limit
    return list(best.values())


def typical_noise(measured: Iterable[Measured]) -> float:
    """The median noise of all that was timed: what no row may fall below, since a few rounds agree by luck."""
    return statistics.median([noise(each.rates) for each in measured if each.state == "ok"] or [0.0])


def row_of(measured: Measured, limits: Sequence[Mapping[str, Any]], least_noise: float = 0.0) -> dict[str, Any]:
    """One row; times are there only if it is ok."""
    case = measured.case
    row: dict[str, Any] = case.key._asdict() | {
        "state": measured.state,
        "reason": measured.reason,
        "note": measured.note,
        "error": None,
        "count": case.count,
        "bytes_per_image": case.work.bytes,
        "flop_per_image": case.work.flop,
    }
    if measured.agreement is not None:
        row["error"] = measured.agreement._asdict()
        if not math.isfinite(measured.agreement.error):
            row["error"]["error"] = None  # JSON has no such number; the reason names it
    if measured.state != "ok":
        return row
    rates = [rate * case.count for rate in measured.rates] if case.count else measured.rates
    middle = statistics.median(rates)
    seconds = measured.seconds
    return row | {
        "images_per_second" if case.count else "calls_per_second": _spread(rates),
        "noise": round(max(noise(rates), least_noise), 4),
        "calls": len(seconds),
        "milliseconds": {f"p{share}": _milliseconds(percentile(seconds, share / 100)) for share in (50, 95, 99)},
        "cpu_seconds_per_image": _digits(measured.cpu_seconds / (len(seconds) * case.count)) if case.count else None,
        "bytes_per_second": _digits(middle * case.work.bytes) or None,
        "flop_per_second": _digits(middle * case.work.flop) or None,
        "of_limit": _of_limit(middle, case.key, case.work.bytes, case.work.flop, limits),
    }


def _of_limit(
    rate: float, key: Key, size: float, flop: float, limits: Sequence[Mapping[str, Any]]
) -> dict[str, Any] | None:
    """The share of what memory or arithmetic alone would allow, whichever allows less (Williams et al. 2009)."""
    seconds = {}
    for limit in limits:
        if limit["device"] != key.device:
            continue
        if limit["bytes_per_second"] and size:
            seconds["memory"] = size / limit["bytes_per_second"]
        if limit["flop_per_second"] and flop and limit["precision"] == key.precision:
            seconds["compute"] = flop / limit["flop_per_second"]
    if not seconds:
        return None
    bound = max(seconds, key=seconds.__getitem__)
    return {"share": _digits(rate * seconds[bound]), "bound": bound}


def _spread(values: Sequence[float]) -> dict[str, Any]:
    return {
        "median": _digits(statistics.median(values)),
        "min": _digits(min(values)),
        "max": _digits(max(values)),
        "rounds": [_digits(value) for value in values],
    }


def _milliseconds(seconds: float | None) -> float | None:
    return None if seconds is None else _digits(1000 * seconds)


def _digits(value: float) -> float:
    """Four significant digits: more than any clock is worth here."""
    return float(f"{value:.4g}")


def json_text(report: Mapping[str, Any]) -> str:
    """The JSON file."""
    return json.dumps(report, indent=1, allow_nan=False) + "\n"


def _are_rows(rows: object) -> bool:
    return isinstance(rows, list) and all(isinstance(row, dict) and set(row) >= ROW_FIELDS for row in rows)


def read_report(path: Path) -> dict[str, Any]:
    """Reads a file of `json_text`.

    Raises:
        ValueError: if there is no such file, or it is not a report of this schema.
    """
    try:
        report = json.loads(path.read_text())
    except OSError as error:
        raise ValueError(f"{str(path)!r} cannot be read: {error.strerror}") from error
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{str(path)!r} must be a report of this benchmark; it is not JSON: {error}") from error
    found = report.get("schema") if isinstance(report, dict) else None
    if found == SCHEMA and (missing := FIELDS - set(report)):
        raise ValueError(f"{str(path)!r} is damaged: it lacks {', '.join(sorted(missing))}")
    if found == SCHEMA and not _are_rows(report["rows"]):
        raise ValueError(f"{str(path)!r} is damaged: each of its rows must have {', '.join(sorted(ROW_FIELDS))}")
    if found != SCHEMA or not isinstance(report, dict):
        raise ValueError(f"{str(path)!r} must be a report of the schema {SCHEMA!r}, not {found!r}")
    return report
