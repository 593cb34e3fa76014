"""What the rows say together: ratios to the alternatives, and the bottleneck of each folder."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from fer_fast.bench.case import Key
from fer_fast.bench.stages import decode, folder, model, tokens

if TYPE_CHECKING:
    from fer_fast.pipeline.summary import Summary

Row = Mapping[str, Any]
Chosen = Mapping[str, tuple[str, str]]


def key_of(row: Row) -> Key:
    """The key of a row, for finding it again."""
    return Key(*(row[field] for field in Key._fields))


def name_of(row: Row) -> str:
    """A row in a few words."""
    parts = [row["form"], row["engine"], row["precision"]]
    return ", ".join(part for part in parts if part)


def what_is(row: Row, words: str) -> str:
    """Words for a row that may only say how it is done: the model "as written"."""
    return f"{row['stage']} {words}" if words.startswith("as ") else words


def ratio(row: Row, other: Row) -> dict[str, float]:
    """How many times faster a row is: the median, least and largest of the ratio in the same round."""
    rounds = zip(row["images_per_second"]["rounds"], other["images_per_second"]["rounds"], strict=False)
    ratios = [mine / theirs for mine, theirs in rounds]
    return {"median": round(statistics.median(ratios), 3), "min": round(min(ratios), 3), "max": round(max(ratios), 3)}


def alternatives(rows: Sequence[Row], chosen: Chosen) -> list[dict[str, Any]]:
    """What fer_fast runs against everything else that does the same.

    Args:
        rows: of one run.
        chosen: engine and precision that "auto" takes, by device.

    Returns:
        One entry for each pair: both rows' keys and the ratio of their rates.
    """
    ok = [row for row in rows if row["state"] == "ok" and "images_per_second" in row]
    return [
        {"ours": key_of(mine)._asdict(), "theirs": key_of(other)._asdict()} | ratio(mine, other)
        for mine in ours(ok, chosen)
        for other in ok
        if _does_the_same(mine, other)
    ]


def ours(rows: Sequence[Row], chosen: Chosen) -> list[Row]:
    """The rows of what fer_fast runs: of folder and model only what "auto" chooses, or else the fastest."""
    found = [row for row in rows if (row["stage"], row["form"]) == ("decode", decode.FORM)]
    found += [row for row in rows if row["stage"] == "tokens" and row["form"] in tokens.INSTEAD]
    forms = (folder.FORM, *model.OUR_FORMS)
    groups: dict[Key, list[Row]] = {}
    for row in rows:
        if row["stage"] in ("folder", "model") and row["form"] in forms:
            groups.setdefault(key_of(row)._replace(form="", engine="", precision=""), []).append(row)
    for group in groups.values():
        fastest = max(group, key=lambda row: row["images_per_second"]["median"])
        auto = (row for row in group if (row["engine"], row["precision"]) == tuple(chosen[row["device"]]))
        found.append(next(auto, fastest))
    return found


def _does_the_same(mine: Row, other: Row) -> bool:
    same = all(mine[field] == other[field] for field in ("stage", "device", "images"))
    if not same or mine["form"] == other["form"]:
        return False
    if mine["stage"] == "tokens":
        alike = (mine["precision"], mine["batch"]) == (other["precision"], other["batch"])
        return bool(alike and other["form"] == tokens.INSTEAD[mine["form"]])
    return bool(mine["stage"] in ("folder", "decode") or mine["batch"] == other["batch"])


def bottlenecks(
    rows: Sequence[Row], chosen: Chosen, summaries: Mapping[Key, Sequence[Summary]], cores: int
) -> list[dict[str, Any]]:
    """For each folder: each stage alone, how busy it was, and one sentence that names the limit.

    Args:
        rows: of one run.
        chosen: engine and precision that "auto" takes, by device.
        summaries: of the folder's runs.
        cores: that the stages share.
    """
    by_key = {key_of(row): row for row in rows if row["state"] == "ok" and "images_per_second" in row}
    found = []
    for row in ours(list(by_key.values()), chosen):
        key = key_of(row)
        alone = {stage: row["images_per_second"]["median"] for stage, row in _alone(key, by_key).items()}
        if key.stage == "folder" and alone:
            threads = {
                "decode": summaries[key][-1].ran["workers"],
                "model": int(summaries[key][-1].ran["streams"]),
                "write": 1,
            }
            whole = row["images_per_second"]["median"]
            found.append(
                {
                    "row": key._asdict(),
                    "images_per_second": whole,
                    "alone": alone,
                    "busy": _busy(summaries[key], threads),
                    "threads": threads,
                    "cores_allow": (limit := _cores_allow(key, by_key, cores)),
                    "sentence": sentence(key, whole, alone, threads, cores, limit),
                }
            )
    return found


def _alone(key: Key, by_key: Mapping[Key, Row]) -> dict[str, Row]:
    """The row of each stage by itself, as far as it was measured."""
    alone = {}
    for other, row in by_key.items():
        same_engine = (other.engine, other.device, other.precision) == (key.engine, key.device, key.precision)
        decodes = (other.stage, other.form, other.images) == ("decode", decode.FORM, key.images)
        if decodes and other.device in (key.device, "cpu"):
            if other.device == key.device or "decode" not in alone:  # else Pillow, for want of a card's decoder
                alone["decode"] = row
        elif (other.stage, other.batch) == ("model", key.batch) and same_engine and other.form in model.OUR_FORMS:
            alone["model"] = row
        elif (other.stage, other.form) == ("folder", folder.WRITE_FORM):
            alone["write"] = row
    return {stage: alone[stage] for stage in ("decode", "model", "write") if stage in alone}


def _cores_allow(key: Key, by_key: Mapping[Key, Row], cores: int) -> float | None:
    """Images a second if the cores did nothing but the three stages' own work; None on a GPU, or if one is missing."""
    rows = _alone(key, by_key)
    if key.device != "cpu" or len(rows) < 3:
        return None
    work = sum(row["cpu_seconds_per_image"] for row in rows.values())
    return cores / work if work else None


def _busy(runs: Sequence[Summary], threads: Mapping[str, int]) -> dict[str, float]:
    """The share of a run's time in which a stage's threads worked, the median over the runs."""
    return {
        stage: round(statistics.median(getattr(run.stages, stage) / run.seconds / count for run in runs), 3)
        for stage, count in threads.items()
    }


def sentence(
    key: Key, whole: float, alone: Mapping[str, float], threads: Mapping[str, int], cores: int, limit: float | None
) -> str:
    """Names the stage that limits a folder."""
    slowest = min(alone, key=alone.__getitem__)
    takes = {
        "decode": f"{threads['decode']} workers decode {{:,.0f}} images/s",
        "model": "the model takes {:,.0f}",
        "write": "the table {:,.0f}",
    }
    parts = [takes[stage].format(rate) for stage, rate in alone.items()]
    text = f"{key.images}: {slowest}-bound: {', '.join(parts)}; end to end {whole:,.0f}"
    text += f", {whole / alone[slowest]:.0%} of the slowest"
    if limit:
        text += (
            f" and {whole / limit:.0%} of the {limit:,.0f} that the stages' own work leaves room for on {cores} cores"
        )
    return text
