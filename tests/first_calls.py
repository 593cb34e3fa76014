"""A process that provokes OpenVINO's deadlock: several first inferences at once. Run by test_first_calls.py.

OpenVINO's Python module asks numpy for its version in its first conversion of an array, under the guard of a static
variable; another thread that meets the guard waits for it with the GIL, which the first one needs to go on. Here the
first one gives the GIL away for certain.

    python first_calls.py WAY MODEL SECONDS
"""

from __future__ import annotations

import faulthandler
import sys
import threading
import time
from collections.abc import Callable

import numpy as np
import openvino
from numpy.lib import NumpyVersion

from fer_fast.classifier import Classifier
from fer_fast.engines import open_engine
from fer_fast.models.files.checkpoint import read_checkpoint

THREADS = 4


def give_the_gil_away() -> None:
    """Makes numpy's answer take long; everything else then runs."""
    answer = NumpyVersion.__init__

    def slow(self: NumpyVersion, version: str) -> None:
        time.sleep(0.3)
        answer(self, version)

    NumpyVersion.__init__ = slow  # type: ignore[method-assign]


def at_once(call: Callable[[], object]) -> None:
    """Calls from several threads that start together, and waits for all."""
    start = threading.Barrier(THREADS)

    def run() -> None:
        start.wait()
        call()

    threads = [threading.Thread(target=run) for _ in range(THREADS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def classify(model: str) -> None:
    """One classifier, called by all."""
    with Classifier(model, engine="openvino", precision="fp32", batch_size=4) as classifier:
        side = classifier.image_size
        at_once(lambda: classifier.predict_batch(np.zeros((2, side, side, 3), np.uint8)))


def classify_read_only(model: str) -> None:
    """The same with pixels that OpenVINO copies in another way."""
    with Classifier(model, engine="openvino", precision="fp32", batch_size=4) as classifier:
        pixels = np.zeros((2, classifier.image_size, classifier.image_size, 3), np.uint8)
        pixels.flags.writeable = False
        at_once(lambda: classifier.predict_batch(pixels))


def predict(model: str) -> None:
    """Pictures in memory, whose batches are spread over threads of the classifier's own."""
    with Classifier(model, engine="openvino", precision="fp32", batch_size=4) as classifier:
        at_once(lambda: classifier.predict(np.zeros((13, 20, 20, 3), np.uint8)))


def open_several(model: str) -> None:
    """Each thread opens an engine of its own."""
    checkpoint = read_checkpoint(model)
    images = np.zeros((1, checkpoint.config.image_size, checkpoint.config.image_size, 3), np.uint8)
    at_once(lambda: open_engine(checkpoint, engine="openvino", precision="fp32", batch_size=4).infer(images))


def without_us(model: str) -> None:
    """OpenVINO alone: hangs, as long as it has the fault that the others are about."""
    ops = openvino.opset13
    images = ops.parameter([2], np.float32)
    compiled = openvino.Core().compile_model(openvino.Model([ops.relu(images)], [images]), "CPU")
    at_once(lambda: compiled.create_infer_request().infer([np.zeros(2, np.float32)], share_inputs=True))


if __name__ == "__main__":
    faulthandler.dump_traceback_later(float(sys.argv[3]), exit=True)
    give_the_gil_away()
    {way.__name__: way for way in (classify, classify_read_only, predict, open_several, without_us)}[sys.argv[1]](
        sys.argv[2]
    )
