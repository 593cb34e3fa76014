"""One image at a time, as an interactive program asks: a file or an array to one prediction."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial

import numpy as np
import torch

from fer_fast import Classifier
from fer_fast.bench.case import Agreement, Case, Key, Prepared
from fer_fast.bench.forms import on_card
from fer_fast.bench.material import Material
from fer_fast.bench.stages.folder import TOLERANCES

#: Calls a round: a 99th percentile takes 100 of them in three rounds. Eager torch on a CPU is too slow for more than
#: the 20 of a 95th.
CALLS, SLOW_CALLS = 34, 7


def cases(material: Material, device: str) -> Iterator[Case]:
    """A file and an array, by each engine."""
    engines = on_card()
    if device == "cpu":
        engines = [("openvino", precision) for precision in ("fp32", "bf16", "int8")] + [("torch", "fp32")]
    name = next(iter(material.folders))
    for engine, precision in engines:
        quick = (engine, precision) == material.chosen[device]
        work = material.cost("model", precision, 1)
        for form, images in (("array to prediction", ""), ("file to prediction", name)):
            key = Key("latency", form, engine, device, precision, 1, images)
            yield Case(key, partial(_prepare, material, key), 1, work, quick)


def _prepare(material: Material, key: Key) -> Prepared:
    classifier = Classifier(material.model, engine=key.engine, device=key.device, precision=key.precision)
    pixels = material.pixels(1)
    image = str(material.folders[key.images][0]) if key.images else pixels[0]
    call: Callable[[], object] = partial(classifier.predict, [image])

    def check() -> Agreement:
        with torch.inference_mode():
            logits = material.exact_model(torch.from_numpy(pixels)) / material.config.temperature
        exact = logits.softmax(dim=1)[0].numpy()
        error = float(np.abs(classifier.predict([image])[0].probabilities - exact).max())
        return Agreement(error, TOLERANCES[key.precision], "largest difference of a probability")

    slow = (key.engine, key.device) == ("torch", "cpu")
    return Prepared(call, check, calls=SLOW_CALLS if slow else CALLS)
