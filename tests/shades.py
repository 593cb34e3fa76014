"""A classifier whose answer is the image's shade, so that a row with another file's pixels is found out."""

import ctypes
import os
import sys
import threading
import time
from pathlib import Path

import numpy as np
from PIL import Image

from fer_fast import EMOTIONS
from fer_fast.decode import open_decoder
from fer_fast.table.file_table import rows_on_disk

#: A model that hangs does so behind this shade: of a hundred images a shade each, in batches of one and then of four.
LAST_ANSWERED = 20


class ShadeClassifier:
    """p_neutral is the mean shade / 255, p_happiness the rest."""

    classes = EMOTIONS
    image_size = 16
    batch_size = 4
    streams = 2

    def __init__(self, model="shade", delay=0.0, fail_at=None, workers=2, **_):
        self.identity = f"{model} fp32"
        self.decoder = open_decoder("auto", self.image_size, workers)
        self.delay, self.fail_at = delay, fail_at
        self.hang = os.environ.get("SHADE_HANG")  # "python": while it holds the interpreter's lock
        self.calls = self.images = 0
        self.closed = False
        self.sizes = []
        self._lock = threading.Lock()

    def predict_batch(self, pixels):
        out = os.environ.get("SHADE_OUT")  # there are rows before the model hangs
        with self._lock:
            self.calls += 1
            self.images += len(pixels)
            self.sizes.append(len(pixels))
            if self.fail_at is not None and self.calls > self.fail_at:
                raise RuntimeError("out of\nmemory")
        self._tell("begun ")
        time.sleep(self.delay)
        if self.hang and pixels.max() > LAST_ANSWERED:
            while out and rows_on_disk(out) < 9:
                time.sleep(0.01)
            (ctypes.PyDLL(None) if self.hang == "python" else ctypes.CDLL(None)).sleep(600)
        answer = np.zeros((len(pixels), len(self.classes)), np.float32)
        answer[:, 0] = pixels.mean(axis=(1, 2, 3)) / 255
        answer[:, 1] = 1 - answer[:, 0]
        self._tell("answered ")
        return answer

    def _tell(self, word):
        if path := os.environ.get("SHADE_TELLS"):  # for who waits for a batch, see `command_runs.wait_for_batches`
            with Path(path).open("a") as file:
                file.write(word)

    def describe(self):
        return {"model": self.identity, "engine": "shade", "device": "cpu", "precision": "fp32"}

    def close(self):
        self.closed = True
        self.decoder.close()


def save_shade(path, shade):
    """Writes a grey PNG, whatever the suffix."""
    Image.new("L", (8, 8), shade).save(path, "PNG")


def main():
    """The command, with this classifier: what kill and Ctrl-C tests run in a process of its own."""
    from fer_fast import cli
    from fer_fast.pipeline import faces, opening
    from fer_fast.table import parts

    def opened(options):
        return ShadeClassifier(delay=float(os.environ.get("SHADE_DELAY", 0)), **options)

    opening._open = opened
    if os.environ.get("SHADE_FINDER"):
        from shade_faces import SureFinder

        faces._finder = lambda arguments: SureFinder(160)
    if os.environ.get("SHADE_STORE"):
        import disk_store

        disk_store.register()
    parts.SECONDS = (float(os.environ.get("SHADE_PART_SECONDS", parts.SECONDS[0])), parts.SECONDS[1])
    sys.argv[0] = "fer-fast"
    cli.main()


if __name__ == "__main__":
    main()
