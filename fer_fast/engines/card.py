"""`auto` on a card: a model comes in, the engine that is measured to be the fastest there goes out."""

from __future__ import annotations

import importlib.metadata
import statistics
import time
from collections.abc import Callable, Iterator
from functools import cached_property
from typing import TYPE_CHECKING, ClassVar

import numpy as np
import numpy.typing as npt
import torch

from fer_fast.engines.answers import fault_of, fixed_images
from fer_fast.engines.interface import FORMS, Engine, keeps_accuracy
from fer_fast.engines.measured import Candidate, fastest
from fer_fast.engines.tensorrt_sources import GRAPH_VERSION
from fer_fast.engines.torch import card_precision
from fer_fast.machine.cache import Place
from fer_fast.machine.devices import driver_version, torch_device
from fer_fast.machine.extras import is_installed
from fer_fast.models.registry import architecture_of

if TYPE_CHECKING:
    from fer_fast.models.files.checkpoint import Checkpoint, FinderCheckpoint

#: Raise it when what is measured, or how, changes: choices of before are then made again.
METHOD = 2
#: Batches, of which those below the caller's are measured, too.
BATCH_SIZES = (256, 128, 32, 8)
#: Images that are told apart; a batch of them is that many again and again.
_IMAGES = 8
_WARM_UP = 3
_ROUNDS = 9


def fastest_engine(
    model: Checkpoint | FinderCheckpoint,
    device: str,
    precision: str,
    batch_size: int,
    side: int,
    cached: bool,
    opened: Callable[[str, Candidate, Callable[[], bool] | None, bool], Engine],
) -> Engine:
    """The fastest on a card, see `fer_fast.engines.measured.fastest`.

    Args:
        model, precision, batch_size, side, cached: see `fer_fast.engines.open_engine`.
        device: auto, cuda or cuda:N.
        opened: opens a candidate on a device, see `Trials.open` and `sizes_for`.

    Raises:
        FerFastError: there is no such card, or nothing runs there.
    """
    device = torch_device(device)
    card = torch.device(device)
    trials = CardTrials(model, card, batch_size, side, lambda *arguments: opened(device, *arguments))
    tried = list(candidates(model, card, precision, batch_size))
    smaller = [each for each in BATCH_SIZES if each < batch_size]
    kept = Choice(_key(model, card, precision, batch_size, side), cached)
    return fastest(tried, smaller, trials, kept, time.monotonic)


def candidates(
    model: Checkpoint | FinderCheckpoint, card: torch.device, precision: str, batch_size: int
) -> Iterator[Candidate]:
    """The forms that may run a model, in the card's usual precision first.

    int8 is there where it is asked for alone, for nobody measured what TensorRT's costs.
    """
    forms = FORMS if is_installed("tensorrt") else ("torch",)
    if precision == "int8":
        forms = tuple(form for form in forms if form == "tensorrt") or forms
    if architecture_of(model).cut_obstacle(model):
        forms = tuple(form for form in forms if form != "tensorrt-fused")
    for each in _precisions(model, card) if precision == "auto" else (precision,):
        for form in forms:
            yield Candidate(form, each, batch_size)


def _precisions(model: Checkpoint | FinderCheckpoint, card: torch.device) -> list[str]:
    capability = torch.cuda.get_device_capability(card)
    computed = {"bf16": (8, 0), "fp16": (6, 0), "fp32": (0, 0)}  # since which compute capability
    found = [name for name, since in computed.items() if capability >= since and keeps_accuracy(model.config, name)]
    usual = card_precision(card, model.config)
    return sorted(found, key=lambda name: name != usual)


class CardTrials:
    """Opens, checks and times candidates on a card; see `fer_fast.engines.measured.Trials` for the methods."""

    def __init__(
        self,
        model: Checkpoint | FinderCheckpoint,
        card: torch.device,
        batch_size: int,
        side: int,
        opened: Callable[[Candidate, Callable[[], bool] | None, bool], Engine],
    ) -> None:
        self._model, self._card, self._opened = model, card, opened
        self._batch_size, self._side = batch_size, side

    def open(self, candidate: Candidate) -> Engine:
        """See `Trials.open`."""
        return self._open(candidate, None, largest_alone=False)

    def open_largest(self, candidate: Candidate, may_go_on: Callable[[], bool] | None) -> Engine:
        """See `Trials.open_largest`."""
        return self._open(candidate, may_go_on, largest_alone=True)

    def _open(self, candidate: Candidate, may_go_on: Callable[[], bool] | None, largest_alone: bool) -> Engine:
        torch.cuda.empty_cache()  # what torch keeps of a form that is closed, TensorRT could not take
        return self._opened(candidate, may_go_on, largest_alone)

    def fault(self, engine: Engine, candidate: Candidate) -> str:
        """Some images in one batch, and one alone."""
        images, expected = self._images, self._expected
        return fault_of(engine.infer(images), expected, candidate.precision) or fault_of(
            engine.infer(images[:1]), expected[:1], candidate.precision
        )

    def seconds(self, engine: Engine) -> float:
        """The median batch, from pixels on the card to an answer in memory."""
        batch = self._images[np.arange(self._batch_size) % len(self._images)]
        pixels = torch.from_numpy(batch).to(self._card)
        return event_seconds(lambda: engine.infer(pixels), self._card)

    @cached_property
    def _images(self) -> npt.NDArray[np.uint8]:
        sides = architecture_of(self._model).sides(self._model)
        return fixed_images(min(_IMAGES, self._batch_size), (sides if sides.fixed else sides.only(self._side)).step)

    @cached_property
    def _expected(self) -> npt.NDArray[np.float32]:
        """What the model answers on the processor, in fp32."""
        network = architecture_of(self._model).eager(self._model, "fp32")
        with torch.inference_mode():
            answers: npt.NDArray[np.float32] = network(torch.from_numpy(self._images)).float().numpy()
        return answers


def event_seconds(call: Callable[[], object], card: torch.device) -> float:
    """The median of some calls, by CUDA's events."""
    seconds: list[float] = []
    with torch.cuda.device(card):
        for number in range(_WARM_UP + _ROUNDS):
            begun, ended = (torch.cuda.Event(enable_timing=True) for _ in range(2))  # type: ignore[no-untyped-call]
            begun.record()
            call()
            ended.record()
            ended.synchronize()
            if number >= _WARM_UP:
                seconds.append(begun.elapsed_time(ended) / 1000)
    return statistics.median(seconds)


class Choice:
    """Where a choice lies: in the cache, unless that is not used, and in this process."""

    _of_this_process: ClassVar[dict[str, bytes]] = {}

    def __init__(self, key: dict[str, str | int], cached: bool) -> None:
        self._place = Place("choice", key) if cached else None
        self._name = str(sorted(key.items()))

    def fetch(self) -> memoryview | None:
        """See `Kept.fetch`."""
        if (found := self._of_this_process.get(self._name)) is not None:
            return memoryview(found)
        return None if self._place is None else self._place.fetch()

    def store(self, compiled: bytes) -> str:
        """See `Kept.store`."""
        self._of_this_process[self._name] = compiled
        return "not used" if self._place is None else self._place.store(compiled)


def _key(
    model: Checkpoint | FinderCheckpoint, card: torch.device, precision: str, batch_size: int, side: int
) -> dict[str, str | int]:
    """What makes it another choice."""
    major, minor = torch.cuda.get_device_capability(card)
    return {
        "model": model.digest,
        "method": METHOD,
        "graph": GRAPH_VERSION,
        **architecture_of(model).versions(model.config),
        "precision": precision,
        "batch_size": batch_size,
        "side": side,
        "card": f"{torch.cuda.get_device_name(card)} {major}.{minor}",
        "driver": driver_version(),
        "torch": f"{torch.__version__} {torch.version.cuda} {torch.backends.cudnn.version()}",  # type: ignore[no-untyped-call]
        "tensorrt": _tensorrt_version(),
    }


def _tensorrt_version() -> str:
    try:
        return importlib.metadata.version("tensorrt")
    except importlib.metadata.PackageNotFoundError:
        return ""
