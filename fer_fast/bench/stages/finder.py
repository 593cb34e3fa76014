"""The face finder by itself: photos in memory, reduced already, come in, their faces go out, one photo a call."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
import torch

from fer_fast.bench.case import Agreement, Case, Key, Prepared
from fer_fast.bench.forms import TORCH_PRECISIONS
from fer_fast.bench.material import compared
from fer_fast.bench.opencv import opencv_finder
from fer_fast.bench.photos import SCORE, Photos, boxes_of, check_faces, faces_agree
from fer_fast.engines import open_engine
from fer_fast.faces.finder import FaceFinder

if TYPE_CHECKING:
    from fer_fast.bench.material import Material
    from fer_fast.bench.photos import Found, Pixels

FORM, NETWORK_FORM, OPENCV_FORM = "finder", "the network alone", "FaceDetectorYN"
#: Longer sides of what is looked at; the last is what `FaceFinder` takes unless told otherwise.
SIZES = (320, 640)
#: Photos a call of the network alone: what more of them would gain a card; a processor is full with one a core.
NETWORK_BATCHES = {"cpu": (1,), "cuda": (1, 8, 32)}
#: Share of faces that may be others than those of eager torch: a score or an overlap that is on the edge.
TOLERANCES = {"fp32": 0.01, "fp16": 0.02, "bf16": 0.1}


def form_at(form: str, size: int) -> str:
    """How a row is called that looks at photos of a longer side of so many pixels."""
    return f"{form}, {size} px"


def cases(material: Material, device: str) -> Iterator[Case]:
    """At each size fer_fast in each precision, the network without what is around it, and OpenCV's finder."""
    photos = Photos(next(iter(material.with_faces.values())))
    engine = "openvino" if device == "cpu" else "torch"
    precisions = ("fp32", "bf16") if device == "cpu" else TORCH_PRECISIONS["cuda"]
    for size in SIZES:
        for precision in precisions:
            yield _case(photos, size, Key("faces", form_at(FORM, size), engine, device, precision, 1), _ours)
            for batch in NETWORK_BATCHES[device]:
                key = Key("faces", form_at(NETWORK_FORM, size), engine, device, precision, batch)
                yield _case(photos, size, key, _network)
        if device == "cpu":
            yield _case(photos, size, Key("faces", form_at(OPENCV_FORM, size), "opencv", "cpu", "fp32", 1), _opencv)


def _case(photos: Photos, size: int, key: Key, prepare: Callable[[Photos, int, Key], Prepared]) -> Case:
    quick = size == SIZES[-1] and prepare is not _network
    return Case(key, partial(prepare, photos, size, key), key.batch, photos.cost(size), quick)


def _ours(photos: Photos, size: int, key: Key) -> Prepared:
    finder = FaceFinder(engine=key.engine, device=key.device, precision=key.precision, find_size=size, score=SCORE)
    return _prepared(photos, size, key, finder.find_in, finder.streams)


def _opencv(photos: Photos, size: int, key: Key) -> Prepared:
    return _prepared(photos, size, key, opencv_finder(photos.checkpoint, SCORE), 1)


def _prepared(photos: Photos, size: int, key: Key, find_in: Callable[[Pixels], Found], threads: int) -> Prepared:
    seen, wanted = photos.reduced(size), [boxes_of(found) for found in photos.exact(size)]
    check_faces(wanted)
    turns = itertools.cycle(seen)

    def check() -> Agreement:
        return faces_agree(wanted, [boxes_of(find_in(pixels)) for pixels in seen], TOLERANCES[key.precision])

    return Prepared(lambda: find_in(next(turns)), check, threads)


def _network(photos: Photos, size: int, key: Key) -> Prepared:
    """Cells, and no faces of them: what a photo would take if all around the network cost nothing."""
    engine = open_engine(
        photos.checkpoint,
        engine=key.engine,
        device=key.device,
        precision=key.precision,
        batch_size=key.batch,
        side=size,
    )
    canvases = [canvas for canvas in photos.canvases(size) if canvas.shape == photos.canvases(size)[0].shape]
    images = np.concatenate(list(itertools.islice(itertools.cycle(canvases), key.batch)))

    def check() -> Agreement:
        with torch.inference_mode():
            exact = photos.network(torch.from_numpy(images))
        return compared([torch.from_numpy(engine.infer(images))], [exact], key.precision)

    return Prepared(lambda: engine.infer(images), check, engine.streams)
