"""What workers are to have comes in; workers that are known to find room go out, or a sentence."""

from __future__ import annotations

import math
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fer_fast.decode.limits import check_count
from fer_fast.machine.extras import need
from fer_fast.machine.stall import Pulse
from fer_fast.models.files.paths import packaged_finders, packaged_models
from fer_fast.models.prior import is_prior_text
from fer_fast.pipeline import elsewhere
from fer_fast.pipeline.elsewhere import Opening
from fer_fast.ray.session import Session
from fer_fast.types import Item, one_line
from fer_fast.version import __version__

if TYPE_CHECKING:
    from fer_fast.ray.rows import RayRows
    from fer_fast.ray.worker import Begun
    from fer_fast.table.file_table import FileTable


@dataclass(frozen=True)
class Cluster(elsewhere.Cluster):
    """Workers that are Ray's actors. This process is to be on a machine of the cluster; no worker need be there.

    Args:
        address: HOST:PORT of the head node, or auto for the Ray that runs on this machine. None is what the
            environment variable RAY_ADDRESS says, or else a Ray of its own on this machine, for this process alone. A
            Ray that this process is connected to already is used as it is.
        workers: how many; None takes as many as there is room for.
        cpus: processors of each, which its model and its decoder share. None is 4, or of a smaller machine all.
        gpus: cards of each, or a share of one.

    Raises:
        ValueError, TypeError: a number out of range.
    """

    address: str | None = None
    workers: int | None = None
    cpus: int | None = None
    gpus: float = 0

    def __post_init__(self) -> None:
        check_count("workers of the cluster", self.workers)
        check_count("cpus", self.cpus)
        if isinstance(self.gpus, bool) or not isinstance(self.gpus, (int, float)):
            raise TypeError(f"gpus must be a number of 0 or more, not {self.gpus!r}")
        if not 0 <= self.gpus < math.inf or (self.gpus > 1 and self.gpus != int(self.gpus)):
            raise ValueError(f"gpus must be 0, a share of one, or whole cards, not {self.gpus!r}")

    def open(self, opening: Opening) -> Workers:
        """See `elsewhere.Cluster.open`.

        Raises:
            MissingExtraError: Ray is not installed.
            ValueError: the address does not answer, workers find no room, what a worker opens cannot be opened, or a
                device is a card where they have none.
        """
        need("a cluster", "ray")
        opening = _anywhere(_on_cards(opening, self.gpus))
        import ray

        session = None if ray.is_initialized() else Session(self.address)
        try:
            count, cpus = self._room([node["Resources"] for node in _nodes() if node["Alive"]])
            return Workers(opening, count, cpus, self.gpus, _tried(opening, cpus, self.gpus), session)
        except BaseException:
            if session:
                session.close()
            raise

    def _room(self, nodes: list[dict[str, float]]) -> tuple[int, int]:
        """How many workers there are to be, and how many processors each has.

        Raises:
            ValueError: they cannot be placed.
        """
        largest = int(max((node.get("CPU", 0) for node in nodes), default=0))
        cpus = self.cpus or max(1, min(4, largest))
        room = sum(self._fit(node, cpus) for node in nodes)
        wished = f"{cpus} CPUs" + (f" and {self.gpus:g} GPUs" if self.gpus else "")
        if not room:
            has = f"the largest of {len(nodes)} machines has {largest:g} CPUs"
            cards = max((node.get("GPU", 0) for node in nodes), default=0)
            has += f" and {cards:g} GPUs" if self.gpus else ""
            raise ValueError(f"a worker of {wished} cannot be placed: {has}; ask for less")
        if self.workers is not None and self.workers > room:
            most = f"the cluster has room for {room}"
            raise ValueError(
                f"{self.workers} workers of {wished} cannot be placed: {most}; ask for fewer, or smaller ones"
            )
        return self.workers or room, cpus

    def _fit(self, node: dict[str, float], cpus: int) -> int:
        fit = int(node.get("CPU", 0) // cpus)
        if not self.gpus:
            return fit
        cards = node.get("GPU", 0)
        return min(fit, int(cards) * int(1 / self.gpus) if self.gpus <= 1 else int(cards // self.gpus))


class Workers(elsewhere.Elsewhere):
    """Workers of a cluster that there is room for; Ray begins them when there are items.

    Args:
        opening, cpus, gpus: what each opens and has.
        count: how many.
        begun: what one of them said.
        session: the Ray that is left at the end; None leaves it to the caller.
    """

    def __init__(
        self, opening: Opening, count: int, cpus: int, gpus: float, begun: Begun, session: Session | None
    ) -> None:
        self.opening, self.count, self.cpus, self.gpus = opening, count, cpus, gpus
        self.about, self._ran, self._session = begun.about, begun.ran, session

    def rows(self, items: Iterable[Item], table: FileTable, stall_timeout: float, pulse: Pulse) -> RayRows:
        """See `Elsewhere.rows`."""
        from fer_fast.ray.rows import RayRows

        return RayRows(self, items, table, stall_timeout, pulse)

    def describe(self) -> dict[str, Any]:
        """See `Elsewhere.describe`."""
        return self._ran | {"cluster": "ray", "cluster_workers": self.count, "worker_cpus": self.cpus}

    def close(self) -> None:
        """Leaves the cluster; workers end with it."""
        if self._session:
            self._session.close()


def _on_cards(opening: Opening, gpus: float) -> Opening:
    """The same for workers that have so many cards: those that have none see those of their machine all the same.

    Raises:
        ValueError: a device is a card where they have none.
    """
    if gpus:
        return opening
    finds = opening.faces != "none"
    finder = _on_processors(opening.finder or {}) if finds else opening.finder
    return opening._replace(options=_on_processors(opening.options), finder=finder)


def _on_processors(options: Mapping[str, Any]) -> dict[str, Any]:
    device = options.get("device", "auto")
    if str(device).startswith("cuda"):
        told = f"device {device!r} is none of workers without cards"
        raise ValueError(f"{told}: give each some by --worker-gpus, or Cluster(gpus=...)")
    return {**options, "device": "cpu" if device == "auto" else device}


def _anywhere(opening: Opening) -> Opening:
    """The same for a process that has another folder for its own: files by their full paths.

    Only these options may name a file; the word of another, such as cpu, may be the name of one, too.
    """
    options = dict(opening.options)
    finder = None if opening.finder is None else dict(opening.finder)
    if str(options.get("model")) not in packaged_models():
        _make_whole(options, "model")
    if not is_prior_text(options.get("prior")):
        _make_whole(options, "prior")
    if finder and str(finder.get("finder")) not in packaged_finders():
        _make_whole(finder, "finder")
    return opening._replace(options=options, finder=finder)


def _make_whole(options: dict[str, Any], name: str) -> None:
    value = options.get(name)
    # Of a name that is too long Path raises.
    if isinstance(value, (str, os.PathLike)) and os.path.isfile(value):  # noqa: PTH113
        options[name] = Path(value).absolute()


def _nodes() -> Any:
    import ray

    return ray.nodes()  # type: ignore[no-untyped-call]


def _tried(opening: Opening, cpus: int, gpus: float) -> Begun:
    """What one worker says, from where it would be.

    Raises:
        ValueError: it is not placed for as long as the run may stand still, or cannot begin.
        Exception: what opening the model raises.
    """
    import ray

    from fer_fast.ray.worker import Trouble, tried

    answer = ray.remote(num_cpus=cpus, num_gpus=gpus, max_retries=0)(tried).remote(opening, cpus)
    patience = opening.stall_timeout or None
    if not ray.wait([answer], timeout=patience)[0]:
        ray.cancel(answer, force=True)
        told = f"a worker of {cpus} CPUs has not begun within {patience:g} seconds"
        raise ValueError(f"{told}: others use the cluster, or it opens the model too slowly")
    try:
        found = ray.get(answer)
    except Exception as error:
        raise ValueError(f"a worker cannot begin: {one_line(error)}") from error
    if isinstance(found, Trouble):
        raise found.raised()
    if found.version != __version__:
        raise ValueError(f"workers have fer-fast {found.version}, and this machine has {__version__}")
    return found
