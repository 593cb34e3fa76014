"""docs/faces.md: photos that one face fills come in, their table goes out."""

from __future__ import annotations

from pages.shared import RESULTS, load, machine, table, unmeasured


def filled() -> str:
    """A row a side."""
    if not (RESULTS / "filled.json").exists():
        return unmeasured("benchmarks/filled.py --data FERPLUS")
    record = load("filled")
    names = ("found_once", "found", "right")
    rows = [[str(row["side"]), *(f"{100 * row[name]:.1f}" for name in names)] for row in record["sides"]]
    header = ["pixels a side", "found by one look at the photo as it is, %", "found, %"]
    written = table([*header, f"found and rightly classified by `{record['model']}`, %"], rows)
    about = f"{record['photos']} faces of FERPlus' validation split, enlarged"
    return f"{written}\n\n{about}. On {machine(record['environment'])}"


TABLES = {"filled": filled}
