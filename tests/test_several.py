"""Several cards as one engine and one decoder; stand-ins for cards, of which the tests' machine has none."""

import threading
import types
from concurrent.futures import Future, ThreadPoolExecutor

import numpy as np
import pytest

from fer_fast.decode.interface import Decoded
from fer_fast.decode.limits import limits_of
from fer_fast.decode.several import SeveralDecoders
from fer_fast.engines import choice
from fer_fast.engines.several import SeveralEngines
from fer_fast.models.architecture import Sides
from fer_fast.types import FerFastError


class Card:
    """An engine that answers with its own number."""

    sides = Sides(4, 4)

    def __init__(self, number, streams=2, precision="bf16"):
        self.device, self.streams, self.precision = f"cuda:{number}", streams, precision
        self.number, self.closed, self.busy, self.most = number, False, 0, 0
        self.lock, self.all_busy = threading.Lock(), None

    def infer(self, images):
        with self.lock:
            self.busy += 1
            self.most = max(self.most, self.busy)
        if self.all_busy is not None:
            self.all_busy.wait(timeout=30)
        with self.lock:
            self.busy -= 1
        return np.full((len(images), 8), self.number, np.float32)

    def describe(self):
        return {"engine": "torch", "device": self.device, "precision": self.precision, "streams": str(self.streams)}

    def close(self):
        self.closed = True


class Tensor(list):
    """Images on a card."""

    def __init__(self, device):
        super().__init__([0, 0, 0])
        self.device = device


def test_a_tensor_is_classified_where_it_lies():
    both = SeveralEngines([Card(0), Card(3)])
    assert both.infer(Tensor("cuda:3"))[0, 0] == 3
    assert both.infer(Tensor("cuda:0"))[0, 0] == 0
    assert (both.device, both.streams) == ("cuda:0,cuda:3", 4)


def test_arrays_keep_every_stream_of_every_card_busy():
    cards = [Card(0, streams=2), Card(1, streams=1)]
    for card in cards:
        card.all_busy = threading.Barrier(3)
    cards[1].all_busy = cards[0].all_busy  # passes only when three calls are inside at once
    both = SeveralEngines(cards)
    with ThreadPoolExecutor(6) as pool:
        found = list(pool.map(lambda _: both.infer(np.zeros((1, 4, 4, 3), np.uint8))[0, 0], range(6)))
    assert sorted(found).count(1) >= 1
    assert [card.most for card in cards] == [2, 1]


def test_it_describes_all_and_closes_all():
    cards = [Card(0), Card(1)]
    both = SeveralEngines(cards)
    assert both.describe() == {"engine": "torch", "device": "cuda:0,cuda:1", "precision": "bf16", "streams": "4"}
    both.close()
    assert all(card.closed for card in cards)


def test_cards_that_would_choose_different_precisions_are_refused():
    with pytest.raises(ValueError, match="precision must be given where cards differ: auto is bf16 on cuda:0, fp32 on"):
        SeveralEngines([Card(0), Card(1, precision="fp32")])


class Checkpoint:
    """One that nobody reads."""

    config, tensors = None, types.MappingProxyType({})


def test_devices_are_opened_one_by_one(monkeypatch):
    monkeypatch.setattr(choice, "check_installed", lambda *_: None)
    monkeypatch.setattr(choice, "_open", lambda _, __, device, *___: Card(int(device[5:])))
    monkeypatch.setattr(choice, "keeps_accuracy", lambda *_: True)
    opened = choice.open_engine(Checkpoint, device="cuda:0,cuda:12")
    assert opened.device == "cuda:0,cuda:12"


@pytest.mark.parametrize(("precision", "error"), [(None, FerFastError), ("fp16", ValueError)])
def test_of_several_cards_none_stays_open_if_they_do_not_go_together(monkeypatch, precision, error):
    first = Card(0)

    def opened(_, __, device, *___):
        if device == "cuda:0":
            return first
        if precision is None:
            raise FerFastError("there is no such card")
        return Card(1, precision=precision)

    monkeypatch.setattr(choice, "check_installed", lambda *_: None)
    monkeypatch.setattr(choice, "_open", opened)
    with pytest.raises(error):
        choice.open_engine(Checkpoint, device="cuda:0,cuda:1")
    assert first.closed


@pytest.mark.parametrize("device", ["cuda:0,cuda:0", "cuda,cuda:1", "cpu,cuda:0", "cuda:0,", "cuda:0, cuda:1"])
def test_wrong_devices(device):
    with pytest.raises(ValueError, match=r"device must be one of .*, or cards as cuda:0,cuda:1, not "):
        choice.open_engine(None, device=device)


def test_decoders_take_turns():
    class Decoding:
        name, image_size, workers, limits = "dali", 64, 2, limits_of(2, 1000)

        def __init__(self, number):
            self.number, self.closed = number, False

        def submit(self, paths):
            done = Future()
            done.set_result(Decoded(np.full((len(paths), 64, 64, 3), self.number, np.uint8), [], [], 0.0, []))
            return done

        def close(self):
            self.closed = True

    decoders = [Decoding(number) for number in range(3)]
    with SeveralDecoders(decoders) as every:
        found = [int(every.decode(["a"]).pixels[0, 0, 0, 0]) for _ in range(5)]
        assert (found, every.workers, every.name) == ([0, 1, 2, 0, 1], 6, "dali")
    assert all(decoder.closed for decoder in decoders)
