"""Items with none, one and many pictures fill the model's batches; rows come whole, in order, or the run ends."""

import logging
import signal
import threading
import time
import weakref
from concurrent.futures import Future, ThreadPoolExecutor

import numpy as np
import pytest
from decoding import until
from shades import ShadeClassifier

from fer_fast.decode.interface import Decoded, Decoder
from fer_fast.decode.limits import limits_of
from fer_fast.machine.begun import begun
from fer_fast.machine.stall import Pulse, stacks, wait_for, within
from fer_fast.pipeline.batches import ItemBatches
from fer_fast.pipeline.summary import Stages
from fer_fast.types import Column, DecodeError, FerFastError, Item, StalledError, Status


class Crowds(Decoder):
    """A file called 3-70.jpg gives 3 pictures of shade 70, one called bad.jpg none but a reason."""

    name, image_size, workers, limits = "crowds", 16, 3, limits_of(3, 10)
    several = True
    columns = (Column("face", "integer"),)

    def __init__(self, slow=None):
        self.pool = ThreadPoolExecutor(self.workers)
        self.slow = slow or {}

    def submit(self, paths):
        return self.pool.submit(self._decoded, paths)

    def _decoded(self, paths):
        time.sleep(max(self.slow.get(path, 0) for path in paths))
        indices, cells, shades, failures = [], [], [], []
        for index, path in enumerate(paths):
            if path == "bad.jpg":
                failures.append((index, DecodeError(Status.CORRUPT, "bad")))
                continue
            count, shade = map(int, path.removesuffix(".jpg").split("-"))
            indices += [index] * count
            cells += [(face,) for face in range(count)]
            shades += [shade] * count
        pixels = np.empty((len(indices), 16, 16, 3), np.uint8)
        pixels[...] = np.array(shades, np.uint8).reshape(-1, 1, 1, 1)
        return Decoded(pixels, indices, failures, 0.001, [(1, 2)] * len(paths), cells)

    def close(self):
        self.pool.shutdown(wait=False)


def crowd_classifier(batch_size=4, **options):
    classifier = ShadeClassifier()
    classifier.decoder.close()
    classifier.decoder = Crowds(**options)
    classifier.batch_size = batch_size
    return classifier


def items(paths):
    return [Item(path, f"called {path}", key) for key, path in enumerate(paths)]


def classified(paths, classifier, **options):
    return [result for batch in ItemBatches(items(paths), classifier, Stages(), **options) for result in batch]


@pytest.mark.parametrize("batch_size", [1, 3, 4, 16])
def test_batches_are_filled_across_items(batch_size):
    rng = np.random.default_rng(batch_size)
    paths = [f"{rng.choice([0, 1, 2, 7, 30])}-{rng.integers(256)}.jpg" for _ in range(150)]
    paths[::13] = ["bad.jpg"] * len(paths[::13])
    slow = dict.fromkeys(paths[::17], 0.01)
    classifier = crowd_classifier(batch_size, slow=slow)
    results = classified(paths, classifier)
    assert [result.item for result in results] == items(paths)
    pictures = 0
    for path, result in zip(paths, results, strict=True):
        if path == "bad.jpg":
            assert [(row.status, row.error, row.cells) for row in result.rows] == [(Status.CORRUPT, "bad", ())]
            continue
        count, shade = map(int, path.removesuffix(".jpg").split("-"))
        pictures += count
        assert [row.cells for row in result.rows] == [(face,) for face in range(count)]
        assert {row.path for row in result.rows} <= {f"called {path}"} and result.stamp == (1, 2)
        assert all(round(float(row.prediction.probabilities[0]) * 255) == shade for row in result.rows)
    assert classifier.images == pictures
    # All but the first and the last batch are full: nothing waits for a neighbour that never comes.
    assert sum(size < batch_size for size in classifier.sizes) <= 2


def test_the_first_item_does_not_wait_for_a_batch_to_fill_up():
    classifier = crowd_classifier(4)
    batches = ItemBatches(items(["1-1.jpg"] * 9), classifier, Stages())
    assert [len(found) for found in batches] == [1, 4, 4] and sorted(classifier.sizes) == [1, 4, 4]
    batches.close()


def test_the_last_pictures_do_not_wait_until_those_before_them_are_answered():
    classifier, last = crowd_classifier(4), threading.Event()
    classifier.streams, predict = 2, classifier.predict_batch

    def watched(pixels):
        if len(pixels) == 2:
            last.set()
        assert len(pixels) != 4 or last.wait(10)
        return predict(pixels)

    classifier.predict_batch = watched
    assert len(classified(["1-1.jpg"] * 7, classifier)) == 7 and sorted(classifier.sizes) == [1, 2, 4]


def test_a_batch_that_does_not_fill_up_is_sent_when_it_is_needed():
    assert len(classified(["1-5.jpg", "0-0.jpg", "bad.jpg"], crowd_classifier(32))) == 3
    assert classified(["0-0.jpg"] * 9, crowd_classifier(2))[-1].rows == ()


def test_what_waits_for_its_caller_has_rows_and_no_pixels(monkeypatch):
    classifier, pixels, submit = crowd_classifier(batch_size=4), [], Crowds.submit

    def watched(self, paths):
        future = submit(self, paths)
        future.add_done_callback(lambda done: pixels.append(weakref.ref(done.result().pixels)))
        return future

    monkeypatch.setattr(Crowds, "submit", watched)
    batches = ItemBatches(items(["40-70.jpg"] * 24), classifier, Stages())
    next(batches)
    until(lambda: len(pixels) == 6 and not any(each() is not None for each in pixels))
    assert sum(len(result.rows) for found in batches for result in found) == 23 * 40
    batches.close()


def test_pictures_that_no_batch_takes_are_released():
    """At the interpreter's end a pool takes no work; a decoder that waits for room must not wait for ever."""
    classifier, released = crowd_classifier(slow={"5-2.jpg": 0.1}), []
    classifier.decoder.release = released.append
    batches = ItemBatches(items(["4-1.jpg"] * 4 + ["5-2.jpg"] * 4), classifier, Stages())
    next(batches)
    batches.close()
    until(lambda: sum(released) == 36)


def test_an_image_that_a_decoder_of_one_picture_a_file_loses_is_an_error():
    classifier = crowd_classifier()
    classifier.decoder.several = False
    assert len(classified(["1-1.jpg"] * 9 + ["bad.jpg"], classifier)) == 10
    for path in ("0-0.jpg", "2-1.jpg"):
        with pytest.raises(FerFastError, match="the decoder lost an image"):
            classified(["1-1.jpg", path], classifier)


def test_a_model_that_does_not_answer_ends_the_run_with_every_stack(caplog):
    classifier, release = crowd_classifier(), threading.Event()
    classifier.predict_batch = lambda pixels: release.wait(60)
    begun = time.monotonic()
    with caplog.at_level(logging.ERROR), pytest.raises(StalledError, match=r"next batch has not come for 0\.3 seconds"):
        classified(["1-1.jpg"] * 20, classifier, stall_timeout=0.3)
    assert time.monotonic() - begun < 30
    assert "thread MainThread:" in caplog.text and "release.wait(60)" in caplog.text
    release.set()


def test_a_decoder_that_does_not_answer_ends_the_run():
    classifier = crowd_classifier()
    classifier.decoder.submit = lambda paths: Future()
    with pytest.raises(StalledError):
        classified(["1-1.jpg"], classifier, stall_timeout=0.1)


def test_slow_but_steady_work_is_no_stall():
    classifier = crowd_classifier(1, slow={"1-1.jpg": 0.3})
    assert len(classified(["1-1.jpg"] * 10, classifier, stall_timeout=2)) == 10


def test_a_wait_counts_signs_of_life_not_seconds(monkeypatch):
    """A process that was stopped for long, by Ctrl-Z say, finds one slice of its wait over, not all."""
    future, waits = Future(), []

    def result(seconds):
        waits.append(seconds)
        if len(waits) == most:
            return "come"
        raise TimeoutError

    monkeypatch.setattr(future, "result", result)
    for seconds, slice_seconds, most in ((5, 0.5, 9), (300, 1, 299), (0, 1, 1000)):
        waits.clear()
        assert wait_for(future, seconds, Pulse(), "it") == "come" and waits == [slice_seconds] * most


def test_a_wait_sees_a_signal_that_another_thread_heard(interruptible):
    """As it may be the one that came when Python had looked for one, and did not wait yet."""

    def hear():
        time.sleep(0.2)
        signal.pthread_kill(threading.get_ident(), signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        begun(hear, "somebody")
        wait_for(Future(), 0, Pulse(), "it")


def test_files_that_each_take_their_time_are_no_stall():
    """One batch, in which a file is done in each slice of the wait."""
    future, pulse, done = Future(), Pulse(), [0]
    pulse.follow(lambda: done[0])

    def result(seconds):
        done[0] += 1
        if done[0] == 1000:
            return "come"
        raise TimeoutError

    future.result = result
    assert wait_for(future, 300, pulse, "it") == "come"
    assert pulse.beats == 1000


def test_a_runs_pulse_follows_its_decoder():
    classifier, pulse = crowd_classifier(1), Pulse()
    batches = ItemBatches(iter([]), classifier, Stages(), pulse=pulse)
    classifier.decoder.files_done += 7
    assert pulse.beats == 7
    batches.close()
    assert pulse.beats == 0, "a run has many of them, one after the other"


def test_an_error_that_is_a_timeout_of_its_own_is_passed_on():
    future = Future()
    future.set_exception(TimeoutError(110, "Connection timed out"))
    with pytest.raises(TimeoutError, match="Connection"):
        wait_for(future, 1, Pulse(), "it")


def test_work_within_a_limit_gives_its_result_or_its_error():
    assert within(10, lambda: threading.current_thread().name, "it") == "fer-fast-open"
    with pytest.raises(KeyError):
        within(10, lambda: {}["no"], "it")
    with pytest.raises(StalledError, match="the model has not come"):
        within(0.1, lambda: time.sleep(5), "the model")
    assert "test_work_within_a_limit" in stacks()
