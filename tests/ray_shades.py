"""Workers of Ray whose model is a shade's stand-in, and that end as tests wish: by the names of files in a folder.

`kill-55` in the folder RAY_SHADES: the worker that sees the shade 55 takes the file away and is killed; of `always-55`
each is that sees it. `lose-NODE`: that node's worker kills the node in its second batch, raylet and all, and takes away
`hold-NODE`, for whose end the worker of another node waits with its second batch.
"""

import os
import signal
import sys
import time
from contextlib import suppress
from pathlib import Path

import numpy as np
import ray
from shades import ShadeClassifier

HOOK = "ray_shades.prepare"


class WorkerShades(ShadeClassifier):
    """A `ShadeClassifier` that may not survive what it sees."""

    def predict_batch(self, pixels):
        folder = Path(os.environ["RAY_SHADES"])
        for shade in np.unique(pixels).tolist():
            if (folder / f"kill-{shade}").exists():
                (folder / f"kill-{shade}").unlink()
                os.kill(os.getpid(), signal.SIGKILL)
            if (folder / f"always-{shade}").exists():
                os.kill(os.getpid(), signal.SIGKILL)
            if (folder / f"fail-{shade}").exists():
                raise RuntimeError("out of\nmemory")
        _in_a_batch_of(folder, ray.get_runtime_context().get_node_id())
        return super().predict_batch(pixels)


def _in_a_batch_of(folder, node):
    with (folder / f"batches-{node}").open("a") as batches:
        batches.write(".")
        is_first = batches.tell() == 1
    if is_first:
        return
    end = time.monotonic() + 120
    while (folder / f"hold-{node}").exists():
        assert time.monotonic() < end, "the other node's worker had no second batch"
        time.sleep(0.01)
    with suppress(FileNotFoundError):  # once: without its raylet a worker has another process for its parent
        (folder / f"lose-{node}").unlink()
        for hold in folder.glob("hold-*"):
            hold.unlink()
        _lose_node()
        os.kill(os.getpid(), signal.SIGKILL)


def _lose_node():
    """Kills this process's raylet and its workers but for itself."""
    raylet = os.getppid()
    assert Path(f"/proc/{raylet}/comm").read_text() == "raylet\n"
    children = " ".join(each.read_text() for each in Path(f"/proc/{raylet}/task").glob("*/children"))
    for process in (raylet, *map(int, children.split())):
        if process != os.getpid():
            os.kill(process, signal.SIGKILL)


def prepare():
    """What each worker of Ray does before its work."""
    from shade_faces import SureFinder

    from fer_fast.pipeline import faces, opening

    faces._finder = lambda arguments: SureFinder(160)
    opening._open = lambda options: WorkerShades(delay=float(os.environ.get("SHADE_DELAY", 0)), **options)


def main():
    """The command as a process that is connected to a Ray of these workers, whose address is RAY_SHADES_AT."""
    import ray

    from fer_fast import cli
    from fer_fast.ray import batches
    from fer_fast.table import parts

    connect(ray, os.environ["RAY_SHADES_AT"])
    batches.SIZE, parts.SECONDS = 8, (0.0, parts.SECONDS[1])
    sys.argv[0] = "fer-fast"
    cli.main()


def connect(ray, address, **more):
    """Begins a Ray of these workers, or connects to one."""
    where = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    kept = {name: where[name] for name in ("PYTHONPATH", "RAY_SHADES", "SHADE_DELAY") if name in where}
    environment = {"worker_process_setup_hook": HOOK, "env_vars": kept}
    ray.init(address, runtime_env=environment, log_to_driver=False, logging_level="ERROR", **more)


if __name__ == "__main__":
    main()
