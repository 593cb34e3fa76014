"""The same faces by one process and by Ray's workers on the same processors: rates, start-up and memory go out as JSON.

    python benchmarks/ray_workers.py [--count 20000] [--model fast] [--rounds 3] [--out benchmarks/results/ray.json]

Ways take turns in one run: one process with two streams, and one and two workers of one thread each, whose rows must be
the same; and, in the first round alone, the script of Ray's own tutorials, read_images and map_batches with torch as it
comes. It wants two processors and a machine that does nothing else. Of each way the best counts.
"""

from __future__ import annotations

import argparse
import csv
import json
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from fer_fast import Classifier, classify_folder
from fer_fast.bench.environment import environment, load_average
from fer_fast.bench.images import make_faces
from fer_fast.ray import Cluster

RESULTS = Path(__file__).parent / "results" / "ray.json"
TUTORIAL = "the tutorial's script"
#: How processes of a run's workers are called, and those of Ray Data's.
_WORKERS = (b"ray::TableWorker", b"ray::MapWorker")
#: Batches are filled otherwise, and in bf16 an answer may depend on that.
_CLOSE = 5e-3


def main() -> None:
    """Measures and writes the JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=20000)
    parser.add_argument("--model", default="fast")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--out", type=Path, default=RESULTS)
    options = parser.parse_args()
    load = load_average()
    with tempfile.TemporaryDirectory() as scratch:
        faces, out = Path(scratch) / "faces", Path(scratch) / "faces.csv"
        make_faces(faces, options.count)
        with Classifier(model=options.model) as classifier:
            side = classifier.image_size
        begin_ray()
        ways: dict[str, Callable[[], Any]] = {
            "one process": lambda: classify_folder(faces, out, model=options.model),
            **{
                f"{workers} of Ray's workers": lambda workers=workers: classify_folder(
                    faces, out, cluster=Cluster(workers=workers, cpus=1), model=options.model
                )
                for workers in (1, 2)
            },
            TUTORIAL: lambda: tutorial(faces, options.model, side),
        }
        found = measured(ways, options.rounds, out)
        size = sum(path.stat().st_size for path in faces.iterdir()) / options.count
    about = {"environment": environment(), "load": load, "count": options.count, "bytes": round(size)}
    about["model"] = options.model
    options.out.write_text(json.dumps({**about, "ways": found}, indent=1) + "\n")
    print(json.dumps(found, indent=1))


def begin_ray() -> None:
    """A Ray for all rounds: what beginning it takes is no run's."""
    import ray

    begun = time.perf_counter()
    ray.init("local", num_cpus=2, include_dashboard=False, object_store_memory=500 << 20, log_to_driver=False)
    print(f"Ray begun in {time.perf_counter() - begun:.1f} s", file=sys.stderr)


def measured(ways: dict[str, Callable[[], Any]], rounds: int, out: Path) -> dict[str, dict[str, list[float]]]:
    """Of each way and round: images a second of the run, and of the whole call, opening models and beginning workers
    included; seconds of a processor that this process took, which is all or what a driver does; and the largest memory
    that any of Ray's workers had, MiB.
    """
    found: dict[str, dict[str, list[float]]] = {way: {"whole": [], "run": [], "own": [], "mib": []} for way in ways}
    rows = None
    for number in range(rounds):
        for way, work in ways.items():
            if number and way == TUTORIAL:
                continue
            with Peak() as peak:
                begun, own = time.perf_counter(), time.process_time()
                summary = work()
                seconds = time.perf_counter() - begun
            found[way]["own"].append(round(time.process_time() - own, 1))
            if isinstance(summary, int):  # the tutorial's: there is no table
                found[way]["whole"].append(round(summary / seconds, 1))
            else:
                rows = same_rows(rows, out, way)
                found[way]["whole"].append(round(summary.new / seconds, 1))
                found[way]["run"].append(round(summary.images_per_second, 1))
            found[way]["mib"].append(peak.mib)
    return found


def same_rows(before: list[Any] | None, out: Path, way: str) -> list[Any]:
    """A table's rows; they must be those of before."""
    with out.open(newline="") as file:
        rows = [(line["path"], line["status"], float(line["p_neutral"] or 0)) for line in csv.DictReader(file)]
    for one, other in zip(before or rows, rows, strict=True):
        assert one[:2] == other[:2] and abs(one[2] - other[2]) < _CLOSE, f"{way}: {other} instead of {one}"
    return rows


class Peak:
    """While inside, the largest resident memory of any of Ray's workers, looked at ten times a second."""

    def __enter__(self) -> Peak:
        self.mib = 0.0
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._ended.wait(0.1):
            for process in Path("/proc").glob("[0-9]*"):
                try:
                    if (process / "cmdline").read_bytes().startswith(_WORKERS):
                        pages = int((process / "statm").read_text().split()[1])
                        self.mib = max(self.mib, round(pages * 4096 / (1 << 20), 1))
                except (OSError, IndexError):  # it has just ended
                    continue


class Eager:
    """The actor of Ray's tutorials on batch inference: torch, as it comes."""

    def __init__(self, model: str) -> None:
        from fer_fast import load_model

        self.model = load_model(model).eval()

    def __call__(self, batch: dict[str, Any]) -> dict[str, Any]:
        """uint8 images [batch, side, side, 3] become labels."""
        import torch

        images = torch.from_numpy(batch["image"]).permute(0, 3, 1, 2).float() / 255
        with torch.inference_mode():
            return {"label": self.model(images).argmax(dim=1).numpy()}


def tutorial(faces: Path, model: str, side: int) -> int:
    """Ray's own way: images to a dataset, the dataset through actors; gives the rows."""
    import ray.data

    images = ray.data.read_images(str(faces), size=(side, side), mode="RGB")
    pool = ray.data.ActorPoolStrategy(size=1)
    answered = images.map_batches(Eager, fn_constructor_args=(model,), batch_size=32, compute=pool, num_cpus=1)
    return int(answered.count())


if __name__ == "__main__":
    main()
