"""Two reports come in; the ratio of each row to its older self, and whether anything is slower than noise, go out."""

from __future__ import annotations

import statistics
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from fer_fast.bench.case import Key
from fer_fast.bench.findings import key_of, name_of

#: What must be the same for a ratio to be of the software alone.
SAME = ("processor", "features", "cores", "gpus")


@dataclass(frozen=True)
class Ratio:
    """One row against its older self.

    Attributes:
        row: its cells.
        ratio: new rate over old rate; above 1 is faster.
        bound: by how much, as a share, chance may make one run faster than the other: both runs' noise together.
    """

    row: Mapping[str, Any]
    ratio: float
    bound: float

    @property
    def verdict(self) -> str:
        """Slower, faster or the same."""
        if self.ratio < 1 / (1 + self.bound):
            return "slower"
        return "faster" if self.ratio > 1 + self.bound else "same"


@dataclass
class Comparison:
    """What changed between two runs.

    Attributes:
        ratios: of the rows that both have.
        broken: rows that the old run had and the new one failed, with the reason.
        missing, added: rows that only the old or only the new run has.
        differences: how the machines or models differ; the ratios then are not of the software alone.
    """

    ratios: list[Ratio] = field(default_factory=list)
    broken: list[Mapping[str, Any]] = field(default_factory=list)
    missing: list[Mapping[str, Any]] = field(default_factory=list)
    added: list[Mapping[str, Any]] = field(default_factory=list)
    differences: list[str] = field(default_factory=list)

    @property
    def regressed(self) -> bool:
        """Whether a row is slower beyond noise, or gives a wrong answer where it gave a right one."""
        return bool(self.broken) or any(ratio.verdict == "slower" for ratio in self.ratios)

    def lines(self) -> Iterator[str]:
        """For a terminal."""
        yield "COMPARED with the older run: new rate / old rate; noise is what chance may do to it"
        yield from (f"note: {difference}" for difference in self.differences)
        for each in self.ratios:
            verdict = "" if each.verdict == "same" else f"  {each.verdict.upper()}"
            yield f"{each.ratio:6.2f} x  noise {each.bound:4.0%}  {_title(each.row)}{verdict}"
        yield from (f"  FAILED  {_title(row)}: {row['reason']}" for row in self.broken)
        yield from (f"  gone    {_title(row)}" for row in self.missing)
        yield from (f"  new     {_title(row)}" for row in self.added)
        if self.ratios:
            middle = statistics.median(abs(each.ratio - 1) for each in self.ratios)
            slower = sum(each.verdict == "slower" for each in self.ratios)
            faster = sum(each.verdict == "faster" for each in self.ratios)
            yield f"{len(self.ratios)} rows: {slower} slower, {faster} faster beyond noise; median change {middle:.1%}"
        else:
            yield "no row is in both runs"


def compare(old: Mapping[str, Any], new: Mapping[str, Any]) -> Comparison:
    """Compares two reports of the same schema."""
    found = Comparison(differences=list(_differences(old, new)))
    before = _timed(old)
    now = {key_of(row): row for row in new["rows"] if row["stage"] != "limit"}
    for key, row in now.items():
        if row["state"] == "ok" and key in before:
            found.ratios.append(_ratio(before[key], row))
        elif row["state"] == "ok":
            found.added.append(row)
        elif row["state"] == "failed" and key in before:
            found.broken.append(row)
    found.missing = [row for key, row in before.items() if key not in now or now[key]["state"] == "absent"]
    return found


def _ratio(old: Mapping[str, Any], new: Mapping[str, Any]) -> Ratio:
    return Ratio(new, rate_of(new) / rate_of(old), old["noise"] + new["noise"])


def rate_of(row: Mapping[str, Any]) -> float:
    """Images a second, or calls a second where a call is no matter of images."""
    return float((row.get("images_per_second") or row["calls_per_second"])["median"])


def _timed(report: Mapping[str, Any]) -> dict[Key, Mapping[str, Any]]:
    return {key_of(row): row for row in report["rows"] if row["state"] == "ok" and row["stage"] != "limit"}


def _differences(old: Mapping[str, Any], new: Mapping[str, Any]) -> Iterator[str]:
    for name in SAME:
        before, now = old["environment"].get(name), new["environment"].get(name)
        if before != now:
            yield f"another machine: {name} was {before}, is {now}"
    for name, now in new["environment"]["versions"].items():
        if (before := old["environment"]["versions"].get(name)) != now:
            yield f"{name} was {before}, is {now}"
    if old["model"]["digest"] != new["model"]["digest"]:
        yield f"another model: it was {old['model']['name']!r}, is {new['model']['name']!r}"
    if old["images"] != new["images"]:
        yield f"other images: they were {old['images']}, are {new['images']}"


def _title(row: Mapping[str, Any]) -> str:
    where = f" ({row['images']})" if row["images"] else ""
    batch = f", batch {row['batch']}" if row["batch"] else ""
    return f"{row['stage']}: {name_of(row)}{where}{batch}"
