"""`make demo`: two photos (examples/photos), or any folder, come in; a table and drawn photos go out."""

from __future__ import annotations

import csv
import os
import shutil
import subprocess
import sys
from pathlib import Path

PORTRAITS = Path(__file__).parent / "photos"
DEMO = Path(".demo")
PHOTOS, DRAWN = DEMO / "photos", DEMO / "drawn"


def copy_photos(folder: Path) -> None:
    """Copies Grace Hopper's and Eileen Collins' portraits, and half of one, which becomes a row as well."""
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(PORTRAITS, folder, ignore=shutil.ignore_patterns("*.md"))
    whole = (folder / "grace_hopper.jpg").read_bytes()
    (folder / "half_a_file.jpg").write_bytes(whole[: len(whole) // 2])


def print_row(row: dict[str, str]) -> None:
    """One line: the photo, the face's place in it, and the likeliest expressions or the reason why there are none."""
    name = Path(row["path"]).name
    if not row["confidence"]:
        print(f"{name:24} {row['status']}: {row['error']}")
        return
    x, y, width, height = (round(float(row[key])) for key in ("x", "y", "width", "height"))
    named = ((float(value), key[2:]) for key, value in row.items() if key.startswith("p_"))
    likeliest = sorted(named, reverse=True)[:3]
    said = "   ".join(f"{label} {100 * probability:.1f} %" for probability, label in likeliest)
    print(f"{name:24} face {row['face']}, {width} x {height} at {x}, {y}:  {said}")


def main() -> int:
    """Classifies the faces in the folder of the first argument, or in the two photos."""
    given = Path(sys.argv[1]) if len(sys.argv) > 1 else None
    shutil.rmtree(DRAWN, ignore_errors=True)
    if given is None:
        copy_photos(PHOTOS)
    photos = given or PHOTOS
    DEMO.mkdir(exist_ok=True)
    program = os.path.relpath(Path(sys.executable).with_name("fer-fast"))
    command = [program, "classify", str(photos), "--faces", "all", "-o", str(DEMO / "faces.csv"), "--draw"]
    command.append(str(DRAWN))
    print(" ".join(command), flush=True)
    if status := subprocess.run(command).returncode:
        return status
    print()
    with (DEMO / "faces.csv").open(newline="") as table:
        for row in csv.DictReader(table):
            print_row(row)
    return 0


if __name__ == "__main__":
    sys.exit(main())
