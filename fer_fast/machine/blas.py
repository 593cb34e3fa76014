"""numpy, imported in a process of our own: without the threads of its linear algebra, which nothing here uses.

OpenBLAS starts one for each other processor as it is loaded, and they wait for work busily, on processors on which a
command could write its first row.
"""

from __future__ import annotations

import os

#: How a process of ours is told when it starts.
ONE_THREAD = {"OPENBLAS_NUM_THREADS": "1"}


def import_numpy() -> None:
    """Imports numpy so, unless the caller's environment says how many threads there are to be.

    The environment stays as it is: a torch built with OpenBLAS computes on as many threads as it would.
    """
    unset = [name for name in ONE_THREAD if name not in os.environ]
    os.environ.update({name: ONE_THREAD[name] for name in unset})
    try:
        import numpy  # noqa: F401
    finally:
        for name in unset:
            del os.environ[name]
