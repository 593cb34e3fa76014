"""Measures the main job against the plain script: folders come in, benchmarks/results/main_job.json goes out.

    python benchmarks/main_job.py --faces FER2013Test [--rounds 5]

Every ratio is of two figures taken in turn in one run, on the same files, after both gave the same labels.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np

from fer_fast import Classifier, Prediction, Row, Status, classify_folder
from fer_fast.bench.environment import environment
from fer_fast.bench.images import make_faces, make_photos
from fer_fast.bench.measure import rates_in_turn, ratio
from fer_fast.bench.plain import classify_plainly
from fer_fast.models.config import PRESETS
from fer_fast.models.fusion import FusionModel
from fer_fast.models.storage import load_model
from fer_fast.sinks import FileSink

RESULTS = Path(__file__).parent / "results"
#: Of the images on which plain script and toolkit must agree before either is timed.
AGREEMENT = 0.98
#: Images of the paper-sized plain script, which is too slow for the whole folder; a rate needs no more.
PAPER_IMAGES = 192


def labels_of(table: Path) -> dict[str, str]:
    """Path to label of a csv table."""
    with table.open(newline="") as file:
        return {row["path"]: row["label"] for row in csv.DictReader(file)}


def agreement(theirs: dict[str, str], folder: Path, paths: list[Path], classifier: Classifier) -> float:
    """The share of images to which plain script and toolkit give the same label.

    Raises:
        SystemExit: if it is below `AGREEMENT`: a wrong answer is not timed.
    """
    classify_folder([paths[0].parent], folder / "ours.csv", classifier=classifier)
    ours = labels_of(folder / "ours.csv")
    if set(theirs) != set(ours):
        raise SystemExit("plain script and toolkit did not see the same files")
    share = sum(ours[path] == label for path, label in theirs.items()) / len(theirs)
    if share < AGREEMENT:
        raise SystemExit(f"plain script and toolkit agree on {share:.1%} of the labels only: nothing is timed")
    return share


def measure_folder(
    work: Path, paths: list[Path], classifiers: dict[str, Classifier], plain: FusionModel, paper: FusionModel, n: int
) -> dict[str, Any]:
    """End to end and stage by stage, on one folder."""
    default = classifiers["default"]
    result: dict[str, Any] = {"images": len(paths), "bytes": sum(path.stat().st_size for path in paths)}
    classify_plainly(plain, paths, work / "plain.csv")
    theirs = labels_of(work / "plain.csv")
    result["agreement"] = {name: agreement(theirs, work, paths, each) for name, each in classifiers.items()}

    def ours(classifier: Classifier) -> Callable[[], int]:
        return lambda: classify_folder([paths[0].parent], work / "t.csv", classifier=classifier).rows

    calls: dict[str, Callable[[], int]] = {name: ours(each) for name, each in classifiers.items()}
    calls["plain"] = lambda: classify_plainly(plain, paths, work / "p.csv")
    calls["plain at paper size"] = lambda: classify_plainly(paper, paths[:PAPER_IMAGES], work / "p.csv")
    calls["decode alone"] = lambda: decode_alone(default, paths)
    calls["model alone"] = lambda: model_alone(default, len(paths))
    calls["write alone"] = lambda: write_alone(default, paths, work)
    rates = rates_in_turn(calls, n)
    result["images_per_second"] = rates
    result["times_plain"] = {name: ratio(rates, name, "plain") for name in classifiers}
    result["times_plain_at_paper_size"] = {name: ratio(rates, name, "plain at paper size") for name in classifiers}
    stages = {name: rates[name]["median"] for name in ("decode alone", "model alone", "write alone")}
    slowest = min(stages, key=stages.__getitem__)
    result["slowest_stage"] = slowest
    result["share_of_slowest_stage"] = ratio(rates, "default", slowest)
    # The stages share the cores: this is what perfect overlap without a wasted cycle would reach.
    result["work_conserving_limit"] = round(1 / sum(1 / rate for rate in stages.values()), 1)
    return result


def batches_of(paths: list[Path], size: int) -> list[list[Path]]:
    """The paths, `size` at a time."""
    return [paths[start : start + size] for start in range(0, len(paths), size)]


def decode_alone(classifier: Classifier, paths: list[Path]) -> int:
    """Reads and decodes every file, two batches ahead, and drops the pixels."""
    batches = [[str(path) for path in batch] for batch in batches_of(paths, classifier.batch_size)]
    return sum(len(future.result().indices) for future in [classifier.decoder.submit(batch) for batch in batches])


def model_alone(classifier: Classifier, images: int) -> int:
    """Runs the model on pixels in memory, in as many threads as it has streams."""
    side = classifier.image_size
    pixels = np.random.default_rng(0).integers(0, 256, (classifier.batch_size, side, side, 3), dtype=np.uint8)
    count = -(-images // classifier.batch_size)
    with ThreadPoolExecutor(classifier.streams) as pool:
        return sum(len(result) for result in pool.map(classifier.predict_batch, [pixels] * count))


def write_alone(classifier: Classifier, paths: list[Path], work: Path) -> int:
    """Writes a row for each path."""
    prediction = Prediction(classifier.classes, np.full(len(classifier.classes), 0.125, np.float32))
    (work / "w.csv").unlink(missing_ok=True)
    sink = FileSink(work / "w.csv", classifier.classes, classifier.identity, False)
    for batch in batches_of(paths, classifier.batch_size):
        sink.write([Row(str(path), Status.OK, prediction=prediction) for path in batch])
    sink.finish()
    sink.close()
    return len(paths)


def seconds_of(command: list[str], until_line: int = 0) -> float:
    """Seconds until a process ends, or until it has written a number of lines; the least of five."""
    fastest = float("inf")
    for _ in range(5):
        started = time.perf_counter()
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as process:
            assert process.stdout is not None
            for _ in range(until_line):
                process.stdout.readline()
            if not until_line:
                process.communicate()
            fastest = min(fastest, time.perf_counter() - started)
            process.kill()
    return round(fastest, 3)


def measure_startup(faces: Path) -> dict[str, float]:
    """Seconds to import, to help and to the first row with a compiled model on disk."""
    command = [sys.executable, "-m", "fer_fast"]
    return {
        "python alone": seconds_of([sys.executable, "-c", "pass"]),
        "import fer_fast": seconds_of([sys.executable, "-c", "import fer_fast"]),
        "fer-fast --help": seconds_of([*command, "--help"]),
        "first row": seconds_of([*command, "classify", str(faces)], until_line=2),
    }


def peak_memory(folder: Path, work: Path) -> float:
    """Peak resident memory of the command over a folder, MiB."""
    # Not getrusage: its peak starts at that of the process that started this one, which is larger.
    code = (
        "import pathlib, re, sys; from fer_fast.cli import run; status = run(sys.argv[1:]);"
        "peak = re.search(r'VmHWM:\\s+(\\d+)', pathlib.Path('/proc/self/status').read_text())[1];"
        "print(status, int(peak) / 1024)"
    )
    command = [sys.executable, "-c", code, "classify", str(folder), "-o", str(work / "m.csv"), "--quiet"]
    status, peak = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()
    if status != "0":
        raise SystemExit(f"the command ended with status {status}")
    return round(float(peak), 1)


def measure_memory(faces: list[Path], work: Path) -> dict[str, float]:
    """Peak resident memory for 2,000 and for 50,000 files."""
    many = work / "many"
    many.mkdir()
    for number in range(50_000):
        os.link(faces[number % len(faces)], many / f"{number:06d}.png")
    few, all_ = peak_memory(faces[0].parent, work), peak_memory(many, work)
    return {"2000 files, MiB": few, "50000 files, MiB": all_, "growth, MiB": round(all_ - few, 1)}


def main() -> None:
    """Measures everything and writes the JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--faces", type=Path, help="folder of 48 x 48 PNG faces; without it they are made of noise")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--out", type=Path, default=RESULTS / "main_job.json")
    parser.add_argument("--memory", action="store_true", help="measure the peak memory alone, into the same file")
    options = parser.parse_args()
    if options.memory:
        result = json.loads(options.out.read_text())
        with tempfile.TemporaryDirectory(prefix="fer-fast-") as name:
            result["memory"] = measure_memory(make_faces(Path(name) / "faces", 2000, options.faces), Path(name))
        options.out.write_text(json.dumps(result, indent=1) + "\n")
        return
    result: dict[str, Any] = {"environment": environment(), "faces": "real" if options.faces else "noise"}
    plain = load_model("fast")
    paper = FusionModel(PRESETS["paper"]).eval()  # the speed of a model does not depend on its weights
    with tempfile.TemporaryDirectory(prefix="fer-fast-") as name:
        work = Path(name)
        folders = {
            "faces": make_faces(work / "faces", 2000, options.faces),
            "photos": make_photos(work / "photos", 500),
        }
        precisions = {"default": "auto", "bf16": "bf16", "fp32": "fp32"}
        classifiers = {name: Classifier("fast", precision=precision) for name, precision in precisions.items()}
        result["ran"] = {name: each.describe() for name, each in classifiers.items()}
        for name, paths in folders.items():
            result[name] = measure_folder(work, paths, classifiers, plain, paper, options.rounds)
        result["startup, seconds"] = measure_startup(work / "faces")
        result["memory"] = measure_memory(folders["faces"], work)
    result["load_average_after"] = [round(load, 2) for load in os.getloadavg()]
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.write_text(json.dumps(result, indent=1) + "\n")
    print(json.dumps(result, indent=1))


if __name__ == "__main__":
    main()
