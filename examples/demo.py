"""`make demo`: two portraits that ship inside Python packages, or any folder, come in; a table is printed."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

from fer_fast import Classifier, Row, classify_rows

FACES = Path(".demo/faces")


def crop_faces(folder: Path) -> None:
    """Writes Grace Hopper's and Eileen Collins' faces, and half a file, which becomes a row as well."""
    import matplotlib.cbook
    import skimage.data
    from PIL import Image

    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    with matplotlib.cbook.get_sample_data("grace_hopper.jpg") as portrait:
        Image.open(portrait).crop((170, 120, 380, 330)).save(folder / "grace_hopper.jpg")
    Image.fromarray(skimage.data.astronaut()).crop((170, 60, 285, 175)).save(folder / "eileen_collins.png")
    whole = (folder / "grace_hopper.jpg").read_bytes()
    (folder / "half_a_file.jpg").write_bytes(whole[: len(whole) // 2])


def print_row(row: Row) -> None:
    """One line: the file, and the three likeliest expressions or the reason why there is none."""
    name = Path(row.path).name
    if row.prediction is None:
        print(f"{name:24} {row.status}: {row.error}")
        return
    likeliest = sorted(zip(row.prediction.probabilities, row.prediction.classes, strict=True), reverse=True)[:3]
    print(f"{name:24} " + "   ".join(f"{label} {100 * probability:.1f} %" for probability, label in likeliest))


def main() -> None:
    """Classifies the folder of the first argument, or the two portraits."""
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else FACES
    if folder == FACES:
        crop_faces(folder)
    with Classifier() as classifier:
        for row in classify_rows([str(folder)], classifier):
            print_row(row)
        ran = classifier.describe()
    print(f"\n{ran['engine']} {ran['precision']} on {ran['device']}, model {ran['model']!r}")
    command = os.path.relpath(Path(sys.executable).with_name("fer-fast"))
    print(f"the whole table: {command} classify {folder} -o faces.csv")


if __name__ == "__main__":
    main()
