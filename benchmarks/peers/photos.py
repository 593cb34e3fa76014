"""Compares fer_fast with what else classifies the faces in photos: photos come in, one table of speed goes out.

    python benchmarks/peers/photos.py [--photos FOLDER] [--python fer=VENV/bin/python] [--json FILE]

Each peer is a program of its own (see README.md). The photos are drawn, so that it is known which faces are in them;
--photos takes those of a folder, with a boxes.csv beside them, instead.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from asking import NoAnswerError, Outcome, Peer, add_options, check_options, need, run_in_turn, speed_of

from fer_fast.bench.environment import environment, load_average
from fer_fast.bench.images import JPEG_QUALITY, PHOTO_SIZE
from fer_fast.bench.photos import overlap
from fer_fast.bench.portraits import MOST_FACES, photo_with_faces
from fer_fast.datasets.labelled_boxes import LabelledPhoto, load_boxes
from fer_fast.machine.disk import check_place, write_whole
from fer_fast.types import OutputRefusedError

HERE = Path(__file__).resolve().parent
PEERS = (
    Peer("fer_fast", "fer_fast `fast`", HERE / "fer_fast_photos.py"),
    Peer("opencv", "FaceDetectorYN, a call of `fast` a face", HERE / "opencv_photos.py"),
    Peer("fer", "fer, its default detector", HERE / "fer_photos.py", ("haar",)),
    Peer("fer_mtcnn", "fer, MTCNN", HERE / "fer_photos.py", ("mtcnn",)),
    Peer("deepface", "DeepFace", HERE / "deepface_photos.py"),
    Peer("pyfeat", "Py-Feat", HERE / "pyfeat_photos.py"),
)
#: Photos that are drawn: each differs.
PHOTOS = 60
#: Of a found and a labelled box that are one face, the intersection as a part of the union: finders draw differently.
SAME = 0.3
#: The shorter side of a labelled face that is asked for, in pixels.
LEAST = 24


def drawn_photos(folder: Path) -> list[LabelledPhoto]:
    """Photos with one to five faces each."""
    random, photos = np.random.default_rng(0), []
    for number in range(PHOTOS):
        photo, boxes = photo_with_faces(random, PHOTO_SIZE, number % MOST_FACES + 1)
        path = folder / f"photo{number:03d}.jpg"
        photo.save(path, quality=JPEG_QUALITY)
        photos.append(LabelledPhoto(path, np.array(boxes), np.ones(len(boxes), bool)))
    return photos


def check(answer: dict[str, Any], photos: int) -> None:
    """Whether an answer may count.

    Raises:
        NoAnswerError: if it lacks something, or is not a list of faces a photo, each four numbers and a label.
    """
    need(answer, "faces")
    faces = answer["faces"]
    if not isinstance(faces, list) or len(faces) != photos:
        raise NoAnswerError(f"wrong answer: faces must be {photos} lists")
    for face in (face for each in faces for face in each):
        *box, label = face or [""]
        if len(box) != 4 or not np.isfinite(np.array(box, np.float64)).all() or not isinstance(label, str):
            raise NoAnswerError(f"wrong answer: a face must be x, y, width, height and a label, not {face!r}")


def row_of(outcome: Outcome, ours: Outcome, photos: Sequence[LabelledPhoto]) -> dict[str, Any]:
    """One peer's row, ready for JSON."""
    row = speed_of(outcome, ours, len(photos))
    if outcome.reason:
        return row
    faces = outcome.answers[0]["faces"]
    right = sum(_right(found, photo) for found, photo in zip(faces, photos, strict=True))
    return row | {"found": sum(map(len, faces)), "right": right}


def _right(found: list[list[Any]], photo: LabelledPhoto) -> int:
    """How many of the faces that are asked for were found."""
    boxes = [tuple(face[:4]) for face in found]
    return sum(any(overlap(box, other) >= SAME for other in boxes) for box in _asked(photo))


def _asked(photo: LabelledPhoto) -> list[tuple[float, float, float, float]]:
    large = photo.valid & (photo.boxes[:, 2:4].min(axis=1) >= LEAST)
    return [(x, y, width, height) for x, y, width, height in photo.boxes[large].tolist()]


def table(rows: list[dict[str, Any]], asked: int) -> str:
    """The rows as a Markdown table."""
    header = ["peer", "photos/s", "of fer_fast", f"of {asked} faces", "faces in all", "start, s", "how it was run"]
    lines = [header, ["---", *["---:"] * 5, "---"], *map(cells_of, rows)]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def cells_of(row: dict[str, Any]) -> list[str]:
    """One row's cells."""
    if "reason" in row:
        return [row["title"], *["-"] * 5, row["reason"].replace("|", "/")]
    times = row["times_fer_fast"]
    rate, share = f"{row['images_per_second']['median']:,.1f}", "-" if times is None else f"{times:.3f} x"
    counts = str(row["right"]), str(row["found"]), f"{row['startup_seconds']:.1f}"
    return [row["title"], rate, share, *counts, row["how"]]


def main(arguments: list[str] | None = None) -> int:
    """Runs all peers; returns the exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--photos", type=Path, help="photos with a boxes.csv, instead of drawn ones")
    add_options(parser, PEERS)
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory(prefix="fer-fast-photos-") as work:
        try:
            check_options(options)
            target = check_place(str(options.json)) if options.json else None
            folder = options.photos
            photos = load_boxes(folder, folder / "boxes.csv") if folder else drawn_photos(Path(work))
        except (ValueError, OutputRefusedError) as error:
            print(f"photos.py: {error}", file=sys.stderr)
            return 2
        machine, paths = environment(), [str(photo.path.resolve()) for photo in photos]
        outcomes = run_in_turn(PEERS, options, paths, check)
    rows = [row_of(outcome, outcomes[0], photos) for outcome in outcomes]
    asked = sum(len(_asked(photo)) for photo in photos)
    print(table(rows, asked))
    if target:
        found = {"photos": len(photos), "drawn": not folder, "faces": asked, "rounds": options.rounds}
        result = {"environment": machine, **found, "load_average_after": load_average(), "peers": rows}
        write_whole(target, f"{json.dumps(result, indent=1)}\n".encode())
    return 0


if __name__ == "__main__":
    sys.exit(main())
