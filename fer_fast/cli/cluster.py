"""Options about clusters come in, what a run needs to know of one goes out, or a sentence what is wrong."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from fer_fast.cli.arguments import positive, share
from fer_fast.cli.films import refuse_film_options

if TYPE_CHECKING:
    from fer_fast.ray import Cluster

_OF_CLUSTER = ("address", "cluster_workers", "worker_cpus", "worker_gpus")
_HERE_ALONE = ("draw", "crops")


def add_cluster_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the options about clusters, a group of their own."""
    add = parser.add_argument_group("clusters").add_argument
    add("--cluster", choices=("ray",), help="have the files classified by workers of Ray, here or on many machines")
    add(
        "--address",
        metavar="HOST:PORT",
        help="Ray's head node, or auto for the Ray that runs on this machine (default: $RAY_ADDRESS, or a Ray for this "
        "run alone, on this machine)",
    )
    add("--cluster-workers", type=positive, metavar="N", help="how many (default: as many as there is room for)")
    add(
        "--worker-cpus", type=positive, metavar="N", help="processors of each (default: 4, or all of a smaller machine)"
    )
    add("--worker-gpus", type=share, metavar="X", help="cards of each, such as 1 or 0.5 (default: 0)")


def given_cluster(arguments: argparse.Namespace) -> Cluster | None:
    """The cluster that is asked for.

    Raises:
        ValueError: options contradict each other.
    """
    if arguments.cluster is None:
        for name in _OF_CLUSTER:
            if getattr(arguments, name) is not None:
                raise ValueError(f"--{name.replace('_', '-')} needs --cluster ray")
        return None
    for name in _HERE_ALONE:
        if getattr(arguments, name) is not None:
            raise ValueError(f"--{name} is for one machine: leave it out, or --cluster")
    if arguments.output is None:
        raise ValueError("--cluster needs the table's file: add -o OUT")
    refuse_film_options(arguments)
    from fer_fast.ray import Cluster

    return Cluster(arguments.address, arguments.cluster_workers, arguments.worker_cpus, arguments.worker_gpus or 0)
