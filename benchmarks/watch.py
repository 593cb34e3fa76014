"""How long after a frame its faces are told, by `fer-fast watch`: drawn faces come in, watch.json goes out.

    python benchmarks/watch.py [--seconds 20] [--out benchmarks/results/watch.json]

A process of its own writes uncompressed frames by the clock to the command's standard input, as a camera would, and
keeps when it began to write each; here is seen when the line of a frame can be read. Both are of one clock. The first
seconds do not count.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from fer_fast.bench.environment import environment, load_average
from fer_fast.bench.portraits import photo_with_faces
from fer_fast.evaluation import json_text
from fer_fast.machine.disk import check_place, write_whole

RESULTS = Path(__file__).parent / "results" / "watch.json"
#: Width and height, frames a second, faces in each.
SCENES = (((640, 480), 15, 1), ((1280, 720), 15, 1), ((1280, 720), 30, 1), ((1280, 720), 30, 4))
#: Pictures that differ, in which the faces have moved; seconds that do not count; frames in which all must be found.
MOVED, WARM, FOUND = 16, 3.0, 0.9
#: Writes frames by the clock, which begins once the first is taken: the command has opened its models then.
FEED = """
import sys, time
frames, size, rate, seconds, told = sys.argv[1], *map(float, sys.argv[2:5]), sys.argv[5]
content = memoryview(open(frames, "rb").read())
size, begun = int(size), []
pictures = len(content) // size
for number in range(int(rate * seconds)):
    if number > 1:
        time.sleep(max(0.0, origin + number / rate - time.monotonic()))
    begun.append(time.monotonic())
    place = number % pictures * size
    sys.stdout.buffer.write(content[place : place + size])
    sys.stdout.buffer.flush()
    if number == 0:
        origin = time.monotonic()
open(told, "w").write(" ".join(map(repr, begun)))
"""


class Told(NamedTuple):
    """Of each frame that was looked at, when its first line was read, and how many faces it has."""

    when: dict[int, float]
    faces: Counter[int]
    said: str


def main(arguments: list[str] | None = None) -> None:
    """Measures and writes the JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=20, help="of each scene")
    parser.add_argument("--out", default=str(RESULTS))
    options = parser.parse_args(arguments)
    target = check_place(options.out)
    runs = []
    for size, rate, faces in SCENES:
        runs.append(measured(size, rate, faces, options.seconds))
        print(runs[-1], file=sys.stderr)
    report = {"environment": environment(), "warm_seconds": WARM, "runs": runs}
    write_whole(target, json_text(report).encode())


def measured(size: tuple[int, int], rate: int, faces: int, seconds: float) -> dict[str, Any]:
    """One scene: what its frames' latencies are."""
    busy = load_average()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        photo, _ = photo_with_faces(np.random.default_rng(faces), size, faces=faces)
        first = np.asarray(photo.convert("RGB"))
        frames = b"".join(np.roll(first, 2 * step, axis=1).tobytes() for step in range(MOVED))
        (folder / "frames").write_bytes(frames)
        told = watched(folder, size, rate, seconds + WARM)
        begun = [float(each) for each in (folder / "begun").read_text().split()]
    whole = sum(count == faces for count in told.faces.values()) / len(told.faces)
    if whole < FOUND:
        raise SystemExit(f"of {faces} faces all were found in {100 * whole:.0f}% of the frames alone")
    late = begun[0] + WARM
    spent = [1000 * (when - begun[frame]) for frame, when in told.when.items() if begun[frame] >= late]
    return {
        "size": list(size),
        "rate": rate,
        "faces": faces,
        "frames": len(begun),
        "counted": len(spent),
        "looked_a_second": round(len(spent) / seconds, 2),
        "p50_ms": round(float(np.percentile(spent, 50)), 1),
        "p95_ms": round(float(np.percentile(spent, 95)), 1),
        "said": told.said,
        "load_before": busy,
    }


def watched(folder: Path, size: tuple[int, int], rate: int, seconds: float) -> Told:
    """Runs the command on what is fed by the clock."""
    width, height = size
    fed = [str(folder / "frames"), str(3 * width * height), str(rate), str(seconds), str(folder / "begun")]
    watch = ["-m", "fer_fast", "watch", "-", "--size", f"{width}x{height}", "--empty-frames"]
    when: dict[int, float] = {}
    faces: Counter[int] = Counter()
    with (
        subprocess.Popen([sys.executable, "-c", FEED, *fed], stdout=subprocess.PIPE) as feeding,
        (folder / "said").open("w+") as said,
        subprocess.Popen(
            [sys.executable, *watch], stdin=feeding.stdout, stdout=subprocess.PIPE, stderr=said
        ) as watching,
    ):
        assert feeding.stdout is not None and watching.stdout is not None
        feeding.stdout.close()  # the command's alone, so that it ends with who feeds
        for line in watching.stdout:
            now = time.monotonic()
            row = json.loads(line)
            when.setdefault(row["frame"], now)
            faces[row["frame"]] += row["status"] != "no_face"
        said.seek(0)
        sentences = said.read().strip()
    if watching.returncode or feeding.returncode:
        raise SystemExit(f"it did not end well: {sentences}")
    return Told(when, faces, sentences)


if __name__ == "__main__":
    main()
