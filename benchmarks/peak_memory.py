"""Face images by the thousand come in; the peak of resident memory goes out, for few files and for many.

    python benchmarks/peak_memory.py                  decoding, tables and all, with a model that costs nothing
    python benchmarks/peak_memory.py --model fast     the whole, with a real model: 50,000 images take their time

The files are hard links to one image: they fill no disk. Each count runs in a process of its own.
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
from PIL import Image

import fer_fast
from fer_fast import EMOTIONS, classify_folder
from fer_fast.decode import open_decoder


class Idle:
    """A classifier whose model costs nothing and always is of the same mind."""

    classes, batch_size, streams, identity = EMOTIONS, 32, 2, "idle"

    def __init__(self):
        self.decoder = open_decoder("auto", 112)

    def predict_batch(self, pixels):
        """uint8 [batch, 112, 112, 3] to float32 [batch, 8]."""
        return np.full((len(pixels), len(EMOTIONS)), 1 / len(EMOTIONS), np.float32)

    def describe(self):
        """What runs."""
        return {"model": "none"}

    def close(self):
        """Ends the threads that decode."""
        self.decoder.close()


def measure(folder: Path, model: str | None) -> None:
    """Classifies a folder and prints one line of JSON."""
    classifier = fer_fast.Classifier(model) if model else Idle()  # torch is imported only for a model
    summary = classify_folder(folder, folder.with_suffix(".csv"), classifier=classifier)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    rate = round(summary.images_per_second)
    print(json.dumps({"files": summary.rows, "peak_mib": round(peak, 1), "images_per_second": rate}))


def main() -> None:
    """Measures each count in a process of its own and compares the peaks."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--counts", type=int, nargs="+", default=[2_000, 50_000])
    parser.add_argument("--model", help="a packaged model or a checkpoint; without it only the way of the files")
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.folder:
        measure(arguments.folder, arguments.model)
        return
    peaks = []
    for count in arguments.counts:
        with tempfile.TemporaryDirectory() as place:
            folder = Path(place) / "faces"
            folder.mkdir()
            Image.effect_noise((48, 48), 60).save(folder / "0.png")
            for number in range(1, count):
                os.link(folder / "0.png", folder / f"{number}.png")
            model = ["--model", arguments.model] if arguments.model else []
            command = [sys.executable, __file__, "--folder", str(folder), *model]
            line = subprocess.run(command, check=True, capture_output=True, text=True).stdout
            print(line, end="", flush=True)
            peaks.append(json.loads(line)["peak_mib"])
    print(f"difference: {peaks[-1] - peaks[0]:.1f} MiB")


if __name__ == "__main__":
    main()
