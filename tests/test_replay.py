"""Graphs of several sizes without a card: torch's CUDA is made up, a graph is the calls made in its capture."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from fer_fast.engines import replay
from fer_fast.engines.replay import Replays, graphs_of, sizes_for

CPU = torch.device("cpu")


@pytest.mark.parametrize(
    ("most", "sizes", "words"),
    [
        (1, (1,), "CUDA graph of 1 image"),
        (2, (1, 2), "CUDA graphs of 1 and 2 images"),
        (32, (1, 8, 32), "CUDA graphs of 1, 8 and 32 images"),
        (100, (1, 8, 32, 100), "CUDA graphs of 1, 8, 32 and 100 images"),
        (256, (1, 8, 32, 128, 256), "CUDA graphs of 1, 8, 32, 128 and 256 images"),
        (512, (1, 8, 32, 128, 256, 512), "CUDA graphs of 1, 8, 32, 128, 256 and 512 images"),
    ],
)
def test_sizes(most: int, sizes: tuple[int, ...], words: str) -> None:
    assert sizes_for(most) == sizes
    assert graphs_of(sizes) == words


def test_what_is_measured_alone_has_the_largest_graph_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    assert (sizes_for(256, largest_alone=True), graphs_of((256,))) == ((256,), "CUDA graph of 256 images")
    card = Card(monkeypatch)
    replays = Replays(card.model, (32, 4, 4, 3), CPU, sizes_for(32, largest_alone=True))
    assert [size for size, *_ in card.captured] == [32, 32]
    replays(torch.zeros((1, 4, 4, 3), dtype=torch.uint8))
    assert card.replayed == [32]


class Card:
    """What `Replays` uses of torch.cuda.

    Attributes:
        captured: of each graph: images, stream, pool.
        replayed: images of each graph that ran.
    """

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.captured: list[tuple[int, str, str]] = []
        self.replayed: list[int] = []
        self.capture: list[Callable[[], None]] | None = None
        names = iter(f"{what} {number}" for number in range(9) for what in ("stream", "pool"))
        self.size = 0

        class Stream:
            def __init__(self, _: object) -> None:
                self.name = next(names)

            def wait_stream(self, other: object) -> None:
                assert other == "the caller's"

            def synchronize(self) -> None:
                pass

        class Graph:
            def replay(graph) -> None:  # noqa: N805
                self.replayed.append(graph.size)
                for call in graph.calls:
                    call()

        @contextlib.contextmanager
        def capturing(graph: Graph, stream: Stream, pool: str):
            self.capture = graph.calls = []
            yield
            self.capture, graph.size = None, self.size
            self.captured.append((self.size, stream.name, pool))

        fakes = {
            "Stream": Stream,
            "CUDAGraph": Graph,
            "device": lambda _: contextlib.nullcontext(),
            "stream": lambda _: contextlib.nullcontext(),
            "current_stream": lambda: "the caller's",
            "graph_pool_handle": lambda: next(names),
            "synchronize": lambda: None,
        }
        monkeypatch.setattr(replay.torch, "cuda", SimpleNamespace(**fakes))
        monkeypatch.setattr(replay, "capturing", capturing)
        monkeypatch.setattr(replay, "_pinned", torch.empty)

    def model(self, shape: tuple[int, ...]) -> Callable[[torch.Tensor], torch.Tensor]:
        """Each image's mean and the size of its graph; computed when a graph runs."""

        def run(images: torch.Tensor) -> torch.Tensor:
            assert images.shape == shape
            self.size, output = len(images), torch.full((len(images), 2), float("nan"))

            def compute() -> None:
                output[:, 0] = images.float().mean(dim=(1, 2, 3))
                output[:, 1] = len(images)

            if self.capture is not None:
                self.capture.append(compute)
            return output

        return run


def test_a_batch_runs_the_smallest_graph_that_holds_it(monkeypatch: pytest.MonkeyPatch) -> None:
    card = Card(monkeypatch)
    replays = Replays(card.model, (40, 4, 4, 3), CPU, sizes_for(40))
    random = np.random.default_rng(0)
    for batch, size in ((1, 1), (2, 8), (8, 8), (9, 32), (32, 32), (33, 40), (40, 40), (1, 1)):
        images = random.integers(0, 256, (batch, 4, 4, 3), dtype=np.uint8)
        found = replays(torch.from_numpy(images))
        np.testing.assert_allclose(found[:, 0], images.mean(axis=(1, 2, 3)), rtol=1e-6)
        assert found.shape == (batch, 2) and set(found[:, 1]) == {size}
    assert card.replayed == [1, 8, 8, 32, 32, 40, 40, 1]


def test_graphs_of_a_stream_share_memory_and_those_of_another_do_not(monkeypatch: pytest.MonkeyPatch) -> None:
    card = Card(monkeypatch)
    Replays(card.model, (32, 4, 4, 3), CPU, sizes_for(32))
    sizes = (32, 8, 1)  # the largest first
    wanted = [(size, f"stream {number}", f"pool {number}") for number in (0, 1) for size in sizes]
    assert card.captured == wanted


def test_an_answer_is_the_callers_own(monkeypatch: pytest.MonkeyPatch) -> None:
    card = Card(monkeypatch)
    replays = Replays(card.model, (8, 4, 4, 3), CPU, sizes_for(8))
    first = replays(torch.full((3, 4, 4, 3), 7, dtype=torch.uint8))
    for _ in range(replay.STREAMS):
        replays(torch.full((3, 4, 4, 3), 9, dtype=torch.uint8))
    assert first[:, 0].tolist() == [7, 7, 7]
