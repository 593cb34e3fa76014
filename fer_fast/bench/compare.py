"""A report against an older one: the ratio of each row to its older self, and whether noise explains it."""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from fer_fast.bench.case import Key
from fer_fast.bench.findings import key_of, name_of
from fer_fast.types import counted

#: What must be the same for a ratio to be of the software alone.
SAME = ("processor", "features", "cores", "gpus")


@dataclass(frozen=True)
class Ratio:
    """One row against its older self.

    Attributes:
        row: its cells.
        ratio: new rate over old rate, as if the machine had been as fast as it was then; above 1 is faster.
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
        machines: device to how fast its own copy and matrix products were, new over old, and how unsure that is: other
            work on the machine, or its clock. Ratios of rows are divided by it.
    """

    ratios: list[Ratio] = field(default_factory=list)
    broken: list[Mapping[str, Any]] = field(default_factory=list)
    missing: list[Mapping[str, Any]] = field(default_factory=list)
    added: list[Mapping[str, Any]] = field(default_factory=list)
    differences: list[str] = field(default_factory=list)
    machines: dict[str, tuple[float, float]] = field(default_factory=dict)

    @property
    def regressed(self) -> bool:
        """Whether a row is slower beyond noise, or gives a wrong answer where it gave a right one."""
        return bool(self.broken) or any(ratio.verdict == "slower" for ratio in self.ratios)

    def lines(self) -> Iterator[str]:
        """For a terminal."""
        yield "COMPARED with the older run: new rate / old rate; noise is what chance may do to it"
        for device, (machine, unsure) in self.machines.items():
            yield f"note: {device}'s limits are {machine:.2f} x (+-{unsure:.2f}) the older; ratios are divided by it"
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
            rows = counted(len(self.ratios), "row", "rows")
            yield f"{rows}: {slower} slower, {faster} faster beyond noise; median change {middle:.1%}"
        else:
            yield "no row is in both runs"


def compare(old: Mapping[str, Any], new: Mapping[str, Any]) -> Comparison:
    """Compares two reports of the same schema."""
    found = Comparison(differences=list(_differences(old, new)))
    before = _timed(old)
    found.machines = _machines(old, new)
    now = {key_of(row): row for row in new["rows"] if row["stage"] != "limit"}
    for key, row in now.items():
        if row["state"] == "ok" and key in before:
            machine, unsure = found.machines.get(row["device"], (1.0, 0.0))
            bound = math.hypot(before[key]["noise"], row["noise"], unsure)
            found.ratios.append(Ratio(row, rate_of(row) / rate_of(before[key]) / machine, bound))
        elif row["state"] == "ok":
            found.added.append(row)
        elif row["state"] == "failed" and key in before:
            found.broken.append(row)
    found.missing = [row for key, row in before.items() if key not in now or now[key]["state"] == "absent"]
    return found


def check_comparable(name: str, report: Mapping[str, Any]) -> None:
    """Refuses an older report that nothing can be compared with, before anything is measured: it is, with itself.

    Raises:
        ValueError: names the report, and what it lacks.
    """
    try:
        sound = all(math.isfinite(each.bound) for each in compare(report, report).ratios)
    except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
        what = f"it lacks {error}" if isinstance(error, KeyError) else str(error)
        raise ValueError(f"{name!r} is damaged: {what}") from error
    if not sound:
        raise ValueError(f"{name!r} is damaged: each row's noise must be finite")


def _machines(old: Mapping[str, Any], new: Mapping[str, Any]) -> dict[str, tuple[float, float]]:
    before, now = ({key_of(row): row for row in _limits(report)} for report in (old, new))
    ratios: dict[str, list[float]] = {}
    for key in sorted(before.keys() & now.keys()):
        ratios.setdefault(key.device, []).append(rate_of(now[key]) / rate_of(before[key]))
    # The limits should agree on how fast the machine is: how far they do not is how unsure it is.
    return {device: (statistics.median(each), (max(each) - min(each)) / 2) for device, each in ratios.items()}


def _limits(report: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    return [row for row in report["rows"] if row["state"] == "ok" and row["stage"] == "limit"]


def rate_of(row: Mapping[str, Any]) -> float:
    """Images a second, or calls a second where a call is no matter of images.

    Raises:
        ValueError: if it is not above 0, or not finite.
    """
    rate = float((row.get("images_per_second") or row["calls_per_second"])["median"])
    if not 0 < rate < math.inf:
        raise ValueError(f"a rate must be finite and above 0, not {rate}")
    return rate


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
