"""The rows of a run come in; what limits each folder goes out: each stage alone, how busy it was, and one sentence."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from fer_fast.bench.case import Key
from fer_fast.bench.findings import Chosen, Row, key_of, ours
from fer_fast.bench.stages import decode, faces, finder, folder, model

if TYPE_CHECKING:
    from fer_fast.pipeline.summary import Summary

#: The stages of a folder of faces and of a folder of photos, in their order, and what is said of each.
FOLDER_STAGES, PHOTO_STAGES = ("decode", "model", "write"), ("decode", "find", "model", "write")
_TAKES = {
    "decode": "{threads} workers decode {rate:,.0f} images/s",
    "find": "the finder takes {rate:,.0f}",
    "model": "the model takes {rate:,.0f}",
    "write": "the table {rate:,.0f}",
}


class Alone(NamedTuple):
    """A stage by itself: images a second, and seconds of all cores for an image."""

    rate: float
    work: float

    @classmethod
    def of(cls, row: Row, times: float = 1.0) -> Alone:
        """What a row says, of images that each cost it so many of its own."""
        return cls(row["images_per_second"]["median"] / times, row["cpu_seconds_per_image"] * times)


def bottlenecks(
    rows: Sequence[Row], chosen: Chosen, summaries: Mapping[Key, Sequence[Summary]], cores: int
) -> list[dict[str, Any]]:
    """For each folder: each stage alone, how busy it was, and one sentence that names the limit.

    Args:
        rows: of one run.
        chosen: engine and precision that "auto" takes, by device.
        summaries: of the folders' runs.
        cores: that the stages share.
    """
    by_key = {key_of(row): row for row in rows if row["state"] == "ok" and "images_per_second" in row}
    found = []
    for row in ours(list(by_key.values()), chosen):
        key = key_of(row)
        if key.form not in (folder.FORM, faces.FORM):
            continue
        stages = FOLDER_STAGES if key.form == folder.FORM else PHOTO_STAGES
        alone = _alone(key, by_key) if key.form == folder.FORM else _alone_of_photos(key, by_key, summaries[key][-1])
        if alone:
            alone = {stage: alone[stage] for stage in stages if stage in alone}
            found.append(_bottleneck(row, alone, _threads(summaries[key][-1], stages), summaries[key], cores))
    return found


def _bottleneck(
    row: Row, alone: Mapping[str, Alone], threads: Mapping[str, int], runs: Sequence[Summary], cores: int
) -> dict[str, Any]:
    key, whole = key_of(row), row["images_per_second"]["median"]
    # What the cores would do if they did nothing but the stages' own work; nothing is said of a GPU's.
    work = sum(each.work for each in alone.values()) if key.device == "cpu" and len(alone) == len(threads) else 0.0
    limit = cores / work if work else None
    rates = {stage: each.rate for stage, each in alone.items()}
    return {
        "row": key._asdict(),
        "images_per_second": whole,
        "alone": rates,
        "busy": _busy(runs, threads),
        "threads": dict(threads),
        "cores_allow": limit,
        "sentence": sentence(key, whole, rates, threads, cores, limit),
    }


def _alone(key: Key, by_key: Mapping[Key, Row]) -> dict[str, Alone]:
    """The row of each stage of a folder of faces by itself, as far as it was measured."""
    alone, decoders = {}, []
    for other, row in by_key.items():
        if (other.stage, other.form, other.images) == ("decode", decode.FORM, key.images):
            decoders.append((other.device == key.device, other.device == "cpu", Alone.of(row)))
        elif _is_model_of(key, other):
            alone["model"] = Alone.of(row)
        elif (other.stage, other.form) == ("folder", folder.WRITE_FORM):
            alone["write"] = Alone.of(row)
    # The fastest of a card's decoders, as "auto" takes it; Pillow, for want of one; not another card's.
    if found := max(((own, each) for own, is_pillow, each in decoders if own or is_pillow), default=None):
        alone["decode"] = found[1]
    return alone


def _alone_of_photos(key: Key, by_key: Mapping[Key, Row], run: Summary) -> dict[str, Alone]:
    """The same of a folder of photos, each of which has a number of faces."""
    alone, each = {}, run.faces / run.photos
    for other, row in by_key.items():
        if (other.form, other.images) == (faces.READ_FORM, key.images):
            alone["decode"] = Alone.of(row)
        elif other.form == finder.form_at(finder.FORM, faces.FIND_SIZE):
            if (other.device, other.precision) == (key.device, run.ran["finder_precision"]):
                alone["find"] = Alone.of(row)
        elif _is_model_of(key, other):
            alone["model"] = Alone.of(row, each)
        elif (other.stage, other.form) == ("folder", folder.WRITE_FORM):
            alone["write"] = Alone.of(row, each)
    return alone


def _is_model_of(key: Key, other: Key) -> bool:
    same = all(getattr(key, field) == getattr(other, field) for field in ("engine", "device", "precision", "batch"))
    return same and other.stage == "model" and other.form in model.OUR_FORMS


def _threads(run: Summary, stages: Sequence[str]) -> dict[str, int]:
    """How many threads each stage has; those that decode photos look for faces, too."""
    workers = int(run.ran["workers"])
    known = {"decode": workers, "find": workers, "model": int(run.ran["streams"]), "write": 1}
    return {stage: known[stage] for stage in stages}


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
    parts = [_TAKES[stage].format(rate=rate, threads=threads[stage]) for stage, rate in alone.items()]
    text = f"{key.images}: {slowest}-bound: {', '.join(parts)}; end to end {whole:,.0f}"
    text += f", {whole / alone[slowest]:.0%} of the slowest"
    if limit:
        text += (
            f" and {whole / limit:.0%} of the {limit:,.0f} that the stages' own work leaves room for on {cores} cores"
        )
    return text
