"""How quickly every frame of a film is classified, against a plain loop with OpenCV: films.json goes out.

    python benchmarks/films.py [--frames 250] [--rounds 3] [--limit 60]

A 720p film of drawn heads, which are moved over the picture, is written once; then all ways take turns:
`fer_fast.classify_video`, each of its stages alone with all processors, and what a script does: cv2.VideoCapture,
FaceDetectorYN with the same weights on each frame, and one call of a model for each face, by fer_fast in int8 or by
torch in fp32. Processors that did nothing but the stages' work, one after the other, would leave room for as many
frames a second as the stages' seconds a frame add up to; cutting faces out is in none of them. A way that has not
come to the film's end after `--limit` seconds stops there, and its rate is of the frames that it has done: torch's
threads wait for each other many times a face, and where others keep the processors busy that takes seconds. Needs
opencv-python-headless and the extras video and torch.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from fractions import Fraction
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import av
import cv2
import numpy as np
import torch

import fer_fast
from fer_fast.bench.environment import environment, load_average
from fer_fast.bench.opencv import opencv_finder
from fer_fast.bench.portraits import photo_with_faces
from fer_fast.evaluation import json_text
from fer_fast.films.film import Film
from fer_fast.machine.disk import check_place, write_whole
from fer_fast.models.files.checkpoint import read_finder

RESULTS = Path(__file__).parent / "results" / "films.json"
SIZE, RATE, FACES, FIND_SIZE = (1280, 720), 25, 2, 640
STAGES = ("decoding alone", "finding alone", "classifying alone")


class Passed(NamedTuple):
    """One way through the film, as far as it came."""

    frames: int
    faces: int
    seconds: float


#: A way through the film: given the seconds after which it stops.
Way = Callable[[float], Passed]


def main() -> None:
    """Measures and writes the JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--frames", type=int, default=250)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--limit", type=float, default=60, help="seconds of each way in each round")
    parser.add_argument("--out", default=str(RESULTS))
    options = parser.parse_args()
    target = check_place(options.out)
    with tempfile.TemporaryDirectory() as folder, fer_fast.Classifier() as classifier, fer_fast.FaceFinder() as finder:
        film = Path(folder) / "film.mp4"
        save_film(film, options.frames)
        model = fer_fast.load_model("fast")
        label = {"int8": partial(by_classifier, classifier), "torch": partial(by_torch, model)}
        ways: dict[str, Way] = {
            "decoding alone": partial(decoded, film),
            "finding alone": partial(found, reduced(film), finder, classifier.decoder.workers),
            "classifying alone": partial(answered, classifier, options.frames),
            "classify_video": partial(classified, film, classifier, finder),
            "OpenCV, a call of Classifier (int8) a face": partial(looped, film, label["int8"]),
            "OpenCV, torch fp32, a face at a time": partial(looped, film, label["torch"]),
        }
        busy = load_average()
        for name, way in ways.items():
            passed(name, "to warm up", way, options.limit)
        turns = [f"round {turn} of {options.rounds}" for turn in range(1, options.rounds + 1)]
        rounds = [{name: passed(name, turn, way, options.limit) for name, way in ways.items()} for turn in turns]
    runs = {name: about([each[name] for each in rounds]) for name in ways}
    seen = [each[name] for each in rounds for name in ways if name != "decoding alone"]
    least = min(each.faces / (FACES * each.frames) for each in seen)
    if least < 0.9:
        raise SystemExit(f"of {FACES} faces all should be found; one way found {100 * least:.0f}%")
    room = 1 / sum(1 / runs[name]["frames_per_second"] for name in STAGES)
    film_is = {"size": list(SIZE), "rate": RATE, "faces": FACES, "frames": options.frames}
    report = {"environment": environment(), "load_before": busy, "film": film_is, "runs": runs, "room": round(room, 1)}
    write_whole(target, json_text(report).encode())
    print(json_text(runs), file=sys.stderr)


def passed(name: str, when: str, way: Way, limit: float) -> Passed:
    """Goes one way, and says so."""
    print(f"{name}, {when}: ", end="", file=sys.stderr, flush=True)
    found = way(limit)
    print(f"{found.frames} frames in {found.seconds:.1f} s", file=sys.stderr)
    return found


def about(rounds: list[Passed]) -> dict[str, Any]:
    """Frames a second, and the frames and faces of the first round."""
    rates = [each.frames / each.seconds for each in rounds]
    return {
        "frames_per_second": round(statistics.median(rates), 1),
        "rounds": [round(rate, 1) for rate in rates],
        "frames": rounds[0].frames,
        "faces": rounds[0].faces,
    }


def save_film(path: Path, frames: int) -> None:
    """H.264 as cameras and phones write it."""
    photo, _ = photo_with_faces(np.random.default_rng(FACES), SIZE, faces=FACES)
    picture = np.asarray(photo.convert("RGB"))
    with av.open(str(path), "w") as out:
        stream = out.add_stream("libx264", rate=Fraction(RATE))
        stream.width, stream.height = SIZE
        stream.pix_fmt = "yuv420p"
        for number in range(frames):
            moved = np.roll(picture, 2 * (number % 32), axis=1)
            out.mux(stream.encode(av.VideoFrame.from_ndarray(moved, format="rgb24")))
        out.mux(stream.encode())


def decoded(film: Path, limit: float) -> Passed:
    """Frames as the finder sees them, without a model."""
    with Film(film) as opened:
        return counted((0 for frame in opened.frames() if frame.reduced(FIND_SIZE).size), limit)


def reduced(film: Path) -> list[np.ndarray]:
    """All frames as the finder sees them."""
    with Film(film) as opened:
        return [frame.reduced(FIND_SIZE) for frame in opened.frames()]


def found(frames: list[np.ndarray], finder: fer_fast.FaceFinder, workers: int, limit: float) -> Passed:
    """Faces of frames that are there, on as many threads as a film's."""
    with ThreadPoolExecutor(workers) as pool:
        return counted((len(faces) for faces in pool.map(finder.find_in, frames)), limit)


def answered(classifier: fer_fast.Classifier, frames: int, limit: float) -> Passed:
    """As many faces as the film has, in whole batches; what is in the pixels takes no more and no less."""
    side, size = classifier.image_size, classifier.batch_size
    batch = np.random.default_rng(0).integers(0, 256, (size, side, side, 3), np.uint8)
    begun, faces = time.perf_counter(), 0
    with ThreadPoolExecutor(classifier.streams) as pool:
        for rows in pool.map(classifier.predict_batch, [batch] * -(-FACES * frames // size)):
            faces += len(rows)
            if time.perf_counter() - begun > limit:
                break
    return Passed(faces // FACES, faces, time.perf_counter() - begun)


def classified(film: Path, classifier: fer_fast.Classifier, finder: fer_fast.FaceFinder, limit: float) -> Passed:
    """By `classify_video`."""
    with closing(fer_fast.classify_video(film, classifier, finder=finder)) as frames:
        return counted((len(frame.faces) for frame in frames), limit)


def looped(film: Path, label_of: Callable[[np.ndarray], str], limit: float) -> Passed:
    """As a script does it."""
    return counted(faces_in(film, label_of), limit)


def faces_in(film: Path, label_of: Callable[[np.ndarray], str]) -> Iterator[int]:
    """How many faces each frame has, which are classified one after the other."""
    find_in = opencv_finder(read_finder("finder"), 0.6)
    capture = cv2.VideoCapture(str(film))
    while True:
        there, frame = capture.read()
        if not there:
            return
        frame = cv2.cvtColor(frame, cv2.COLOR_BGR2RGB)
        boxes = find_in(frame)[:, :4].tolist()
        for x, y, width, height in boxes:
            side = round(max(width, height))
            label_of(cv2.getRectSubPix(frame, (side, side), (x + width / 2, y + height / 2)))
        yield len(boxes)


def counted(faces: Iterable[int], limit: float) -> Passed:
    """Takes the frames' numbers of faces, until the limit."""
    begun, frames, found = time.perf_counter(), 0, 0
    for each in faces:
        frames, found = frames + 1, found + each
        if time.perf_counter() - begun > limit:
            break
    return Passed(frames, found, time.perf_counter() - begun)


def by_classifier(classifier: fer_fast.Classifier, crop: np.ndarray) -> str:
    """One call a face."""
    return str(classifier.predict([crop])[0].label)


@torch.no_grad()
def by_torch(model: torch.nn.Module, crop: np.ndarray) -> str:
    """The same weights in eager fp32."""
    pixels = torch.from_numpy(cv2.resize(crop, (112, 112), interpolation=cv2.INTER_AREA))[None]
    return fer_fast.EMOTIONS[int(model(pixels).argmax())]


if __name__ == "__main__":
    main()
