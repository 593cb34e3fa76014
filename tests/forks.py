"""A process that has classified forks; its child does one thing and ends by itself. Run by test_fork.py.

python forks.py WAY ENGINE MODEL SECONDS
"""

from __future__ import annotations

import faulthandler
import os
import sys
import threading
from typing import Any

import numpy as np

from fer_fast import Classifier
from fer_fast.types import FerFastError

IMAGES = [np.zeros((40, 40, 3), np.uint8)] * 9


def opened(**options: Any) -> Classifier:
    """As every process here opens it."""
    return Classifier(sys.argv[3], engine=sys.argv[2], device="cpu", batch_size=4, **options)


def parents(classifier: Classifier) -> None:
    """Uses what its parent opened."""
    batch = np.zeros((1, classifier.image_size, classifier.image_size, 3), np.uint8)
    calls = (lambda: classifier.predict(IMAGES), lambda: classifier.predict_batch(batch), lambda: next(BEGUN))
    for call in calls:
        try:
            call()
        except FerFastError as error:
            assert str(error).startswith("the classifier was opened before fork: open a Classifier in each"), error
        else:
            raise AssertionError("a forked child was answered")
    classifier.close()


def own(classifier: Classifier) -> None:
    """Opens one of its own: the library's threads stayed behind with the parent, and it may wait for them for ever."""
    try:
        opened()
    except FerFastError as error:
        assert "was in use before fork: start processes that classify by spawn or forkserver" in str(error), error
        return
    raise AssertionError("it was opened, and may hang")


def compiled(classifier: Classifier) -> None:
    """The same with nothing in the cache."""
    os.environ["FER_FAST_CACHE"] += "/empty"
    own(classifier)


def nothing(classifier: Classifier) -> None:
    """Ends, and takes nothing apart that is its parent's."""


if __name__ == "__main__":
    faulthandler.dump_traceback_later(float(sys.argv[4]), exit=True)  # a start that hangs says where
    classifier = opened()
    EXPECTED = classifier.predict(IMAGES)[0].probabilities
    BEGUN = classifier.predict_iter(IMAGES)
    next(BEGUN)
    if "busy" in sys.argv:
        threading.Thread(target=lambda: [classifier.predict(IMAGES) for _ in range(10**6)], daemon=True).start()
    faulthandler.cancel_dump_traceback_later()  # a thread: it would not come along, and be waited for
    child = os.fork()
    faulthandler.dump_traceback_later(float(sys.argv[4]) * (1 if child == 0 else 1.5), exit=True)
    if child == 0:
        {way.__name__: way for way in (parents, own, compiled, nothing)}[sys.argv[1]](classifier)
        sys.exit(0)
    status = os.waitpid(child, 0)[1]
    print("child ended with status", status, flush=True)
    os._exit(status != 0)
