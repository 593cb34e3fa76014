"""First calls are made alone, calls and closing from many threads, and what a forked child may do; on stand-ins."""

import os
import signal
import threading
import time
import types
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from fer_fast.engines import choice
from fer_fast.engines.interface import Engine
from fer_fast.engines.opened import alone
from fer_fast.machine import devices
from fer_fast.models.architecture import Sides
from fer_fast.types import FerFastError

PATIENCE = 20


class StandIn(Engine):
    """An engine whose calls last until they may go on."""

    streams, device, sides = 2, "cpu", Sides(4, 4)

    def __init__(self):
        super().__init__()
        self.may_go_on = threading.Event()
        self.may_go_on.set()
        self.begun = threading.Semaphore(0)
        self.released = 0
        self.callers = []

    def _infer(self, images):
        self.callers.append((threading.get_ident(), images.flags.writeable))
        self.begun.release()
        assert self.may_go_on.wait(PATIENCE)
        assert not self.released, "given back under a call"
        return np.zeros((len(images), 8), np.float32)

    def describe(self):
        return {"precision": "fp32"}

    def _release(self):
        self.released += 1


IMAGES = np.zeros((1, 4, 4, 3), np.uint8)


@pytest.fixture
def engine():
    return StandIn()


@pytest.fixture
def busy(engine):
    """The engine with a call of another thread in it."""
    engine.may_go_on.clear()
    with ThreadPoolExecutor(4) as pool:
        call = pool.submit(engine.infer, IMAGES)
        assert engine.begun.acquire(timeout=PATIENCE)
        yield engine, call, pool
        engine.may_go_on.set()


class Tiny:
    tensors = types.MappingProxyType({})

    class config:  # noqa: N801 (stands in for an attribute)
        precision_falls = types.MappingProxyType({})


def test_first_calls_are_made_by_the_thread_that_opens(monkeypatch):
    engine = StandIn()
    monkeypatch.setattr("fer_fast.engines.openvino.OpenVinoEngine", lambda *_: engine)
    assert choice.open_engine(Tiny, engine="openvino", device="cpu") is engine
    assert engine.callers == [(threading.get_ident(), True), (threading.get_ident(), False)]


def test_a_first_call_that_fails_closes_the_engine(monkeypatch):
    engine = StandIn()
    engine._infer = lambda _: (_ for _ in ()).throw(FerFastError("no memory"))
    monkeypatch.setattr("fer_fast.engines.openvino.OpenVinoEngine", lambda *_: engine)
    with pytest.raises(FerFastError, match="no memory"):
        choice.open_engine(Tiny, engine="openvino", device="cpu")
    assert engine.released == 1


def test_engines_open_one_at_a_time(monkeypatch):
    inside, most = [], []

    def opening(*_):
        inside.append(1)
        time.sleep(0.01)
        most.append(len(inside))
        inside.pop()
        return StandIn()

    monkeypatch.setattr(choice, "_open", opening)
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda _: choice.open_engine(Tiny), range(4)))
    assert most == [1, 1, 1, 1]


def test_closing_waits_for_the_calls_of_other_threads(busy):
    engine, call, pool = busy
    closing = [pool.submit(engine.close), pool.submit(engine.close)]
    while not engine._closed:
        time.sleep(0.001)
    with pytest.raises(FerFastError, match=r"^the engine is closed$"):
        engine.infer(IMAGES)
    assert not any(each.done() for each in closing) and not engine.released
    engine.may_go_on.set()
    assert call.result(PATIENCE).shape == (1, 8)
    for each in closing:
        each.result(PATIENCE)
    assert engine.released == 1


def test_closing_again_does_nothing(engine):
    engine.close()
    engine.close()
    assert engine.released == 1
    with pytest.raises(FerFastError, match="the engine is closed"):
        engine.infer(IMAGES)


def test_a_signals_handler_may_close_what_it_interrupts(engine):
    before = signal.signal(signal.SIGUSR1, lambda *_: engine.close())
    infer = engine._infer

    def interrupted(images):
        os.kill(os.getpid(), signal.SIGUSR1)
        return infer(images)

    engine._infer = interrupted
    try:
        assert engine.infer(IMAGES).shape == (1, 8), "the call ends first"
    finally:
        signal.signal(signal.SIGUSR1, before)
    assert engine.released == 1


def test_many_threads_call_while_others_close():
    for _ in range(50):
        engine = StandIn()

        def call(number, engine=engine):
            if number == 5:
                return engine.close()
            try:
                return engine.infer(IMAGES)
            except FerFastError as error:
                return str(error)

        with ThreadPoolExecutor(8) as pool:
            answers = list(pool.map(call, range(16)))
        assert engine.released == 1 and not engine._callers
        assert all(isinstance(each, np.ndarray) or each in (None, "the engine is closed") for each in answers)


def in_child(function):
    """What a function says in a forked child that has PATIENCE seconds for it."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        signal.alarm(PATIENCE)
        try:
            said = function()
        except BaseException as error:
            said = f"{type(error).__name__}: {error}"
        os.write(writing, str(said).encode())
        os._exit(0)
    os.close(writing)
    with os.fdopen(reading) as stream:
        said = stream.read()
    assert os.waitpid(child, 0)[1] == 0, "it hung"
    return said


def test_a_forked_child_is_refused_at_once(busy):
    engine, *_ = busy
    with engine._change:  # another thread could hold it at the moment of the fork
        said = in_child(lambda: engine.infer(IMAGES))
        assert said.startswith("FerFastError: the engine was opened before fork: open a Classifier in each process")
        assert in_child(lambda: (engine.close(), engine.released)) == "(None, 0)"


def test_a_forked_child_never_takes_its_parents_engines_apart():
    engine = StandIn()
    destroyed = []
    StandIn.__del__ = lambda self: destroyed.append(1)
    try:

        def drop():
            nonlocal engine
            engine = None
            return destroyed

        assert in_child(drop) == "[]"
        assert drop() == [1]
    finally:
        del StandIn.__del__


def test_a_forked_child_may_open_while_a_thread_of_its_parent_opens():
    def enter():
        with alone():
            return "entered"

    held, done = threading.Event(), threading.Event()

    def hold():
        with alone():
            held.set()
            done.wait(PATIENCE)

    thread = threading.Thread(target=hold)
    thread.start()
    held.wait(PATIENCE)
    try:
        assert in_child(enter) == "entered"
    finally:
        done.set()
        thread.join()


@pytest.mark.needs_torch
def test_a_card_is_refused_in_a_forked_child_of_a_process_that_used_it(monkeypatch):
    monkeypatch.setattr("torch.cuda._is_in_bad_fork", lambda: True)
    with pytest.raises(FerFastError, match=r"device 'cuda:1' .* forked .* spawn"):
        devices.torch_device("cuda:1")
    assert devices.torch_device("cpu") == "cpu"


def test_a_call_that_ctrl_c_ends_anywhere_leaves_no_caller(monkeypatch):
    class Quick(StandIn):
        def _infer(self, images):
            return np.zeros((len(images), 8), np.float32)

    def interrupt(number, frame):
        raise KeyboardInterrupt

    engine, interrupts = Quick(), 0
    before = signal.signal(signal.SIGALRM, interrupt)
    try:
        for call in range(20_000):
            try:
                signal.setitimer(signal.ITIMER_REAL, 1e-6 * (1 + call % 40))
                engine.infer(IMAGES)
                signal.setitimer(signal.ITIMER_REAL, 0)
            except KeyboardInterrupt:
                interrupts += 1
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    assert interrupts > 1000 and not engine._running()
    with ThreadPoolExecutor(1) as pool:
        pool.submit(engine.close).result(PATIENCE)
    assert engine.released == 1
