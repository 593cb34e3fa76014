"""How tests are dealt out to workers (pytest -n auto, as in `make test`), and what those make once for all."""

from __future__ import annotations

import fcntl
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from fer_fast.machine.processors import usable_processors

#: Fixtures that compile for long.
BUILDS = {"prefix", "sanitized"}


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers() -> int:
    """What `auto` is: xdist knows no container's quota."""
    return usable_processors()


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """A file goes to one worker, since its tests share fixtures; each Python's suite is a worker's alone."""
    from xdist.scheduler import LoadScopeScheduling

    class Scheduling(LoadScopeScheduling):
        def _split_scope(self, nodeid: str) -> str:
            file, _, name = nodeid.partition("::")
            return nodeid if name.startswith("test_the_suite_without_torch") else file

    config.option.loadscopereorder = False  # files of many tests would begin first, not those that take long
    return Scheduling(config, log)


@pytest.hookimpl(tryfirst=True)  # before pytest looks for markers
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Marks what builds as long, too; among workers it begins sooner, lest one be left with it at the end."""

    def place(item: pytest.Item) -> int:
        return 0 if item.get_closest_marker("long") else 1 if BUILDS & set(item.fixturenames) else 2

    if hasattr(config, "workerinput"):
        items.sort(key=place)
    for item in items:
        if place(item) == 1:
            item.add_marker("long")


def once(factory: pytest.TempPathFactory, name: str, make: Callable[[Path], object]) -> Path:
    """A folder of this run, which the first that asks makes; other workers wait for it."""
    base = factory.getbasetemp()
    folder = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / name
    whole = folder.with_name(f"{name}.whole")
    with folder.with_name(f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not whole.exists():
            shutil.rmtree(folder, ignore_errors=True)  # of one that failed
            folder.mkdir()
            make(folder)
            whole.touch()
    return folder
