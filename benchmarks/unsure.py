"""What faces that a finder is not sure of add to tracks: films of drawn faces come in, unsure.json goes out.

    python benchmarks/unsure.py [--frames 250] [--out benchmarks/results/unsure.json]

Faces become blurred, are hidden from below, or turn, and come back. `--face-score` is lowered: a face of less than 0.6
begins no track, but continues one. Counts alone: of the faces that are there how many have a track, of how many tracks,
and how many boxes with one are where no face is. What is a face's box: see find_every.py.
"""

from __future__ import annotations

import argparse
import math
import sys
import tempfile
from pathlib import Path
from typing import Any

from find_every import HEAD, HEADS, MATCH, RATE, SIZE, overlap, save_film, swaying
from PIL import Image, ImageFilter

import fer_fast
from fer_fast.bench.environment import environment
from fer_fast.bench.portraits import Box
from fer_fast.evaluation import json_text
from fer_fast.machine.disk import check_place, write_whole

RESULTS = Path(__file__).parent / "results" / "unsure.json"
SCORES = (0.6, 0.45, 0.3)
#: Seconds from one time that a face is seen well to the next.
TURN = 2.0


def blurred(picture: Image.Image, head: Image.Image, place: tuple[int, int], time: float) -> None:
    """As if it were out of focus, by up to 14 pixels."""
    soft = head.filter(ImageFilter.GaussianBlur(14 * _share(time)))
    picture.paste(soft, place, soft)


def hidden(picture: Image.Image, head: Image.Image, place: tuple[int, int], time: float) -> None:
    """By something that rises before it, up to its eyes."""
    picture.paste(head, place, head)
    covered = round(0.7 * HEAD * _share(time))
    if covered:
        picture.paste(Image.new("RGB", (HEAD, covered), (120, 110, 100)), (place[0], place[1] + HEAD - covered))


def tilted(picture: Image.Image, head: Image.Image, place: tuple[int, int], time: float) -> None:
    """To its shoulder, by up to 75 degrees."""
    turned = head.rotate(75 * _share(time), Image.Resampling.BICUBIC)
    picture.paste(turned, place, turned)


SCENES = {"blurred": blurred, "hidden from below": hidden, "tilted": tilted}


def main(arguments: list[str] | None = None) -> None:
    """Measures and writes the JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--frames", type=int, default=250, help="of each scene")
    parser.add_argument("--out", default=str(RESULTS))
    options = parser.parse_args(arguments)
    target = check_place(options.out)
    runs = []
    with tempfile.TemporaryDirectory() as folder, fer_fast.Classifier() as classifier:
        for name, put in SCENES.items():
            film = Path(folder) / "film.mp4"
            truth = save_film(film, [swaying(number) for number in range(HEADS)], options.frames, put)
            for score in SCORES:
                with fer_fast.FaceFinder(score=score) as finder:
                    runs.append({"scene": name, "score": score} | tracked(film, truth, classifier, finder))
                print(runs[-1], file=sys.stderr)
    about = {"size": list(SIZE), "rate": RATE, "frames": options.frames, "heads": HEADS}
    write_whole(target, json_text({"environment": environment(), "films": about, "runs": runs}).encode())


def tracked(
    film: Path, truth: list[list[Box]], classifier: fer_fast.Classifier, finder: fer_fast.FaceFinder
) -> dict[str, Any]:
    """What has a track, in one way through a film."""
    there = found = wrong = loose = 0
    tracks: set[int] = set()
    for look in fer_fast.classify_video(film, classifier, finder=finder):
        faces = {each.track: each.face for each in look.faces if each.track is not None}
        boxes = [(face.x, face.y, face.width, face.height) for face in faces.values()]
        best = [max((overlap(face, box) for box in boxes), default=0.0) for face in truth[look.frame]]
        matched = sum(share >= MATCH for share in best)
        there, found, wrong = there + len(best), found + matched, wrong + len(boxes) - matched
        loose += len(look.faces) - len(faces)
        tracks |= {*faces}
    return {"faces": there, "tracked": found, "elsewhere": wrong, "tracks": len(tracks), "without_track": loose}


def _share(time: float) -> float:
    return 0.5 - 0.5 * math.cos(2 * math.pi * time / TURN)


if __name__ == "__main__":
    main()
