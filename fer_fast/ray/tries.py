"""A batch that is begun comes in; how often it was, without coming to its end, goes out.

Ray counts tries, too, but also those of a call that cannot be made while a node is not yet known to be dead.
"""

from __future__ import annotations

from collections import Counter
from typing import Any

#: How often a batch is tried again on which a worker was lost.
TRIES = 2


class Tries:
    """An actor that outlives the workers; on the node of the process that began them."""

    def __init__(self) -> None:
        self._begun: Counter[str] = Counter()

    def begin(self, batch: str) -> int:
        """Counts it; by a name that no other has."""
        self._begun[batch] += 1
        return self._begun[batch]

    def end(self, batch: str) -> None:
        """A worker has survived it."""
        del self._begun[batch]


def tries_here() -> Any:
    """Begins the actor."""
    import ray
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    here: Any = NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=False)
    return ray.remote(num_cpus=0, scheduling_strategy=here)(Tries).remote()
