"""The crops of images come in; each image goes out with their rows, in order, whatever the batches were."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import numpy as np
import pytest
from decoding import until
from threads_left import threads_left

from fer_fast.face_predictions import in_batches
from fer_fast.faces.turns import in_turn

BATCH, STREAMS = 4, 2


class Model:
    """Says of each crop its own shade, and remembers its batches."""

    def __init__(self, fails_at: int | None = None) -> None:
        self.sizes: list[int] = []
        self.fails_at = fails_at
        self._lock = threading.Lock()

    def __call__(self, pixels: np.ndarray) -> np.ndarray:
        with self._lock:
            self.sizes.append(len(pixels))
        if (pixels == self.fails_at).any():
            raise RuntimeError("out of memory")
        return pixels[:, 0, 0, :1].astype(np.float32)


@pytest.fixture(autouse=True)
def no_thread_is_left() -> Iterator[None]:
    yield
    until(lambda: not threads_left("fer-fast-faces", "fer-fast-model"))


def crops(counts: list[int]) -> Iterator[tuple[int, np.ndarray]]:
    """Images by number with so many crops each, whose shades are those of no other."""
    shade = 0
    for number, count in enumerate(counts):
        pixels = np.empty((count, 2, 2, 3), np.uint8)
        pixels[:] = np.arange(shade, shade + count, dtype=np.uint8)[:, None, None, None]
        shade += count
        yield number, pixels


@pytest.mark.parametrize("counts", [[], [0], [1], [0, 3, 0, 0, 2, 11, 0], [4, 4], [23], [1] * 30, [0] * 50])
def test_each_image_has_the_rows_of_its_crops(counts: list[int]) -> None:
    model = Model()
    answers = list(in_batches(crops(counts), model, BATCH, STREAMS))
    assert [number for number, _ in answers] == list(range(len(counts)))
    assert [len(rows) for _, rows in answers] == counts
    assert [float(row[0]) for _, rows in answers for row in rows] == list(range(sum(counts)))
    assert sorted(model.sizes, reverse=True) == [BATCH] * (sum(counts) // BATCH) + (
        [rest] if (rest := sum(counts) % BATCH) else []
    )


def test_few_crops_do_not_wait_for_a_full_batch_for_ever() -> None:
    called = threading.Event()

    def model(pixels: np.ndarray) -> np.ndarray:
        called.set()
        return Model()(pixels)

    def images() -> Iterator[tuple[int, np.ndarray]]:
        yield from crops([1, *[0] * (4 * BATCH)])
        assert called.wait(30)
        raise OSError("the end")

    answers = in_batches(images(), model, BATCH, STREAMS)
    assert [float(row[0]) for row in next(answers)[1]] == [0]
    with pytest.raises(OSError, match="the end"):
        list(answers)


@pytest.mark.parametrize("counts", [[1] * 250, [1, *[0] * 250]], ids=["faces", "none but one"])
def test_how_many_images_wait_is_bounded_while_the_model_does_not_answer(counts: list[int]) -> None:
    waiting: list[int] = []
    given = 0
    held = threading.Event()
    threading.Timer(0.5, held.set).start()

    def model(pixels: np.ndarray) -> np.ndarray:
        held.wait(30)
        return np.zeros((len(pixels), 1), np.float32)

    def images() -> Iterator[tuple[int, np.ndarray]]:
        for number, pixels in crops(counts):
            waiting.append(number - given)
            yield number, pixels

    for _ in in_batches(images(), model, BATCH, STREAMS):
        given += 1
    assert given == len(counts) and max(waiting) <= (STREAMS + 2) * 4 * BATCH


def test_what_fails_is_raised_once_the_images_before_are_answered() -> None:
    def images() -> Iterator[tuple[int, np.ndarray]]:
        yield from crops([1, 2, 0])
        raise OSError("no disk")

    answers = in_batches(images(), Model(), BATCH, STREAMS)
    assert [number for number, _ in (next(answers), next(answers), next(answers))] == [0, 1, 2]
    with pytest.raises(OSError, match="no disk"):
        next(answers)


def test_a_batch_that_fails_gives_nobody_anothers_rows() -> None:
    given = []
    with pytest.raises(RuntimeError, match="out of memory"):
        for number, rows in in_batches(crops([1] * 40), Model(fails_at=9), BATCH, STREAMS):
            given.append((number, float(rows[0][0])))
    assert given == [(number, number) for number in range(len(given))] and len(given) <= 8


def test_pieces_of_work_are_answered_in_turn_and_their_faults_too() -> None:
    first = threading.Event()

    def wait() -> str:
        first.wait(30)
        return "first"

    def tell() -> str:
        first.set()
        return "second"

    def fail() -> str:
        raise ValueError("third")

    found = in_turn([wait, tell, fail, tell], workers=2)
    assert [next(found), next(found)] == ["first", "second"]
    with pytest.raises(ValueError, match="third"):
        next(found)
