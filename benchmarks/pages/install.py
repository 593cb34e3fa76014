"""What installs weigh and how soon they answer: install.json comes in, tables of README.md and docs/ go out."""

from __future__ import annotations

from typing import Any

from pages.shared import busy, load, machine, table

from fer_fast.machine.extras import EXTRAS

#: The start that README.md tells of.
FACE = "a face"
WORKER = "Classifier.predict of a face"
#: Packages that are named, the largest first.
NAMED = 3


def install() -> str:
    """A row an install: what it is for, what it weighs, when the first row comes, what a worker holds."""
    record = load("install")
    rows = []
    for extra, found in record["installs"].items():
        times = [f"{start(found, FACE, cache)['median']:.2f}" for cache in ("warm", "cold")]
        held = f"{start(found, WORKER, 'warm')['resident_mib']:,.0f}"
        rows.append([said(extra), f"{found['megabytes']:,.0f}", largest(found), *times, held])
    header = ["install", "MB", "most of it", "first row, s", "nothing compiled yet", "a worker, MiB"]
    pip = next(iter(record["installs"].values()))["pip_megabytes"]
    return (
        f"{table(header, rows)}\n\nOn disk, without the {pip:.0f} MB of an empty environment. "
        f"Measured on {machine(record['environment'])}{disturbed(record)}"
    )


def disturbed(record: dict[str, Any]) -> str:
    """What `busy` says of all installs."""
    return busy(record["environment"], *(found["load_average"][0] for found in record["installs"].values()))


def said(extra: str) -> str:
    """An install as the table calls it."""
    if extra == "none":
        return "`fer-fast`: classify, evaluate, export to OpenVINO, doctor"
    return f"`fer-fast[{extra}]`: {EXTRAS[extra].purpose}"


def largest(found: dict[str, Any]) -> str:
    """The packages that weigh most."""
    packages = sorted(found["packages"].items(), key=lambda package: -package[1]["megabytes"])
    return ", ".join(f"{name} {about['megabytes']:,.0f}" for name, about in packages[:NAMED])


def start(found: dict[str, Any], name: str, cache: str) -> dict[str, Any]:
    """The row of one start."""
    (row,) = (row for row in found["rows"] if (row["start"], row["cache"]) == (name, cache))
    return row


def weight() -> str:
    """What the install without extras weighs, in a sentence."""
    found = load("install")["installs"]["none"]
    return (
        f"That is {found['megabytes']:,.0f} MB with all that it asks for ({largest(found)}), without torch: "
        "OpenVINO runs the model. Training, NVIDIA cards, figures, parquet and HEIC are [extras](#install)."
    )


def starts() -> str:
    """Every start of the install without extras: median, and the least and most of its runs."""
    record = load("install")
    rows = []
    for row in record["installs"]["none"]["rows"]:
        least, most = row["seconds"][0], row["seconds"][-1]
        cells = [f"{1000 * value:,.0f}" for value in (row["median"], least, most)]
        rows.append([f"{row['start']}{', nothing compiled yet' if row['cache'] == 'cold' else ''}", *cells])
    said = table(["milliseconds of a process, install without extras", "median", "least", "most"], rows)
    return f"{said}\n\nMeasured on {machine(record['environment'])}{disturbed(record)}"


TABLES = {"install": install, "weight": weight}
START_TABLES = {"starts": starts}
