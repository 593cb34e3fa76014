"""What two rows say together: how many times faster what fer_fast runs is than what does the same."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from typing import Any

from fer_fast.bench.case import Key
from fer_fast.bench.stages import decode, faces, folder, model, tokens

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
    """The rows of what fer_fast runs: of folder, faces and model only what "auto" chooses, or else the fastest."""
    found = [row for row in rows if (row["stage"], row["form"]) == ("decode", decode.FORM)]
    found += [row for row in rows if row["stage"] == "tokens" and row["form"] in tokens.INSTEAD]
    forms = (folder.FORM, *faces.INSTEAD, *model.OUR_FORMS)
    groups: dict[Key, list[Row]] = {}
    for row in rows:
        if row["stage"] in ("folder", "faces", "model") and row["form"] in forms:
            form = row["form"] if row["stage"] == "faces" else ""  # photos end to end, and each size of the finder's
            groups.setdefault(key_of(row)._replace(form=form, engine="", precision=""), []).append(row)
    for group in groups.values():
        fastest = max(group, key=lambda row: row["images_per_second"]["median"])
        auto = (row for row in group if (row["engine"], row["precision"]) == tuple(chosen[row["device"]]))
        found.append(next(auto, fastest))
    return found


def _does_the_same(mine: Row, other: Row) -> bool:
    same = all(mine[field] == other[field] for field in ("stage", "device", "images"))
    if not same or mine["form"] == other["form"]:
        return False
    if mine["stage"] == "faces":
        return other["form"] in faces.INSTEAD[mine["form"]]
    if mine["stage"] == "tokens":
        alike = (mine["precision"], mine["batch"]) == (other["precision"], other["batch"])
        return bool(alike and other["form"] == tokens.INSTEAD[mine["form"]])
    return bool(mine["stage"] in ("folder", "decode") or mine["batch"] == other["batch"])
