"""Which decoder "auto" takes on a card: stand-ins whose time is a number, so that nothing here is timed."""

import logging
from concurrent.futures import Future

import numpy as np
import pytest
from PIL import Image

from fer_fast.decode import fastest as module
from fer_fast.decode import open_decoder
from fer_fast.decode.choice import LIBRARIES
from fer_fast.decode.fastest import ranked
from fer_fast.decode.interface import Decoded, Decoder
from fer_fast.machine.cache import Place
from fer_fast.types import DecodeError, FerFastError, Status

SIDE = 24
NAMES = ["one", "other"]


class StandIn(Decoder):
    """Decodes as Pillow does, in as many seconds of the machine's own clock as it is said to take."""

    def __init__(self, machine, name):
        self.machine, self.name = machine, name
        self.seconds, self.off, self.fails = machine.decoders[name]

    def submit(self, paths):
        self.machine.now += self.seconds * len(paths)
        future = Future()
        failures = [(0, DecodeError(Status.CORRUPT, "no scan"))] if self.fails else []
        future.set_result(Decoded(self.pixels(paths), [*range(len(paths))], failures, 0.0, []))
        return future

    def pixels(self, paths):
        found = []
        for path in paths:
            if path not in self.machine.shown:
                with Image.open(path) as image:
                    square = image.resize((self.machine.side,) * 2, Image.Resampling.BILINEAR)
                self.machine.shown[path] = np.asarray(square)
            found.append(self.machine.shown[path])
        return np.clip(np.stack(found).astype(int) + self.off, 0, 255).astype(np.uint8)

    def close(self):
        self.machine.open.remove(self.name)


class Machine:
    """Seconds an image, grey levels that pixels are off, and whether files fail, by decoder; None does not open."""

    def __init__(self, **decoders):
        self.decoders, self.now, self.side = decoders, 0.0, SIDE
        self.opened, self.open, self.shown = [], [], {}

    def opening(self, name):
        self.opened.append(name)
        if self.decoders[name] is None:
            raise FerFastError(f"{name} does not decode on this card")
        self.open.append(name)
        return StandIn(self, name)

    def fastest(self, card="a card", side=SIDE):
        self.side = side
        self.shown.clear()  # of files that are drawn anew
        found, self.why = ranked(NAMES, self.opening, card, side, lambda: self.now)
        assert not self.open, "closed, whatever became of it"
        return found[0]


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("FER_FAST_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(module, "_PICTURES", 4)
    monkeypatch.setattr(module, "driver_version", lambda: "580")
    return tmp_path / "cache"


def entry(*rates):
    """How a machine is described where both open and show right pixels."""
    return {name: (1 / rate, 0, False) for name, rate in zip(NAMES, rates, strict=True)}


@pytest.mark.parametrize(("rates", "best"), [((200, 100), "one"), ((100, 200), "other")])
def test_the_one_that_decodes_most_a_second(rates, best):
    machine = Machine(**entry(*rates))
    assert machine.fastest() == best
    assert machine.why == f"images a second on a card, measured: one {rates[0]}, other {rates[1]}"


def test_it_is_measured_once_a_card_size_and_release(monkeypatch):
    first, later = Machine(**entry(100, 200)), Machine(**entry(200, 100))
    assert first.fastest() == "other" and first.opened == NAMES
    assert later.fastest() == "other" and later.opened == [], "as it was measured, and nothing opened for it"
    assert later.why == "images a second on a card, kept: one 100, other 200"
    assert later.fastest(card="another card") == "one" and later.opened == NAMES
    assert Machine(**entry(200, 100)).fastest(side=SIDE + 1) == "one"
    monkeypatch.setattr(module, "driver_version", lambda: "581")
    assert Machine(**entry(200, 100)).fastest() == "one"
    monkeypatch.setattr(module, "_versions", lambda: {"nvidia-dali-cuda130": "99"})
    assert Machine(**entry(100, 200)).fastest() == "other"


@pytest.mark.parametrize(
    ("wrong", "why"),
    [
        (None, "one does not decode on this card"),
        ((0.001, 9, False), "decoder 'one' shows a JPEG "),
        ((0.001, 0, True), "decoder 'one' does not decode a JPEG: no scan"),
    ],
)
def test_one_that_does_not_work_is_left_out_and_tried_again(wrong, why, cache, caplog):
    broken = Machine(one=wrong, other=(0.01, 0, False))
    assert broken.fastest() == "other"
    assert f"decoder auto leaves out: {why}" in caplog.text
    assert not cache.exists(), "nothing is kept"
    assert Machine(**entry(200, 100)).fastest() == "one"


def test_pixels_that_round_otherwise_are_right():
    assert Machine(one=(0.001, 1, False), other=(0.01, 0, False)).fastest() == "one"


def test_where_none_works_each_says_why():
    with pytest.raises(FerFastError, match="one does not decode on this card; other does not decode on this card"):
        Machine(one=None, other=None).fastest()


@pytest.mark.parametrize("content", [b"", b"[1, 2]", b'{"one": 1}', b'{"one": 1, "other": "fast"}', b"\xff"])
def test_what_is_kept_and_makes_no_sense_is_measured_again(content, cache):
    Machine(**entry(100, 200)).fastest()
    (file,) = cache.iterdir()
    place = Place("decoder", {})
    place.file = file
    place.store(content)
    again = Machine(**entry(100, 200))
    assert again.fastest() == "other" and again.opened == NAMES


@pytest.mark.needs_dali
@pytest.mark.needs_nvimagecodec
@pytest.mark.needs_torch
def test_auto_measures_the_libraries_themselves(monkeypatch, tmp_path, caplog):
    """On the CPU, which passes for a card here."""
    caplog.set_level(logging.INFO)
    for place in ("fer_fast.machine.devices", "fer_fast.decode.nvidia"):
        monkeypatch.setattr(f"{place}.torch_device", lambda _: "cpu")
    monkeypatch.setattr(module, "_BATCHES", 1)
    monkeypatch.setattr(module, "_TIMES", 1)
    Image.new("RGB", (64, 64), (200, 100, 50)).save(tmp_path / "face.jpg")
    for how in ("measured", "kept"):
        with open_decoder("auto", SIDE, 1, max_pixels=64 * 64, device="cuda:0") as decoder:
            assert decoder.name in LIBRARIES
            assert decoder.decode([str(tmp_path / "face.jpg")]).indices == [0]
        assert decoder.why.startswith(f"images a second on cpu, {how}: dali ")
        assert f"{decoder.name} decodes: {decoder.why}" in caplog.text
    assert "leaves out" not in caplog.text
