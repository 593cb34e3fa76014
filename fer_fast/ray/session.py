"""Where Ray is comes in; a Ray that this process is connected to goes out, until it is left."""

from __future__ import annotations

import logging
import os
import socket
import threading
from concurrent.futures import FIRST_COMPLETED, Future, wait
from typing import Any

from fer_fast.machine.begun import begun
from fer_fast.machine.processors import usable_processors
from fer_fast.types import one_line

#: Seconds in which a head node takes a connection.
_ANSWERS = 10.0
#: Bytes of the object store of a Ray that is begun here; paths and rows are small.
_STORE = 512 << 20


class Session:
    """A Ray that this process is connected to by a thread, or has begun.

    Linux kills the processes of a Ray that is begun here when the thread that began them ends (PR_SET_PDEATHSIG): this
    one waits until Ray is left. On a thread of its own Ray leaves the signals to their owner.

    Args:
        address: see `Cluster`.

    Raises:
        ValueError: nobody answers there, or Ray cannot be used.
    """

    def __init__(self, address: str | None) -> None:
        logging.getLogger("ray").setLevel(logging.ERROR)  # what goes wrong is told by the run
        address = _found(address or os.environ.get("RAY_ADDRESS") or "local")
        _check_answers(address)
        options: dict[str, Any] = {"address": address}
        if address == "local":
            options |= {"num_cpus": usable_processors(), "include_dashboard": False, "object_store_memory": _STORE}
        self._connected: Future[None] = Future()
        self._leave = threading.Event()
        self._left = begun(lambda: self._stay(options), "fer-fast-ray")
        try:
            wait([self._connected, self._left], return_when=FIRST_COMPLETED)
        except BaseException:
            self._leave.set()  # after an interrupt Ray may come yet
            raise
        if error := self._left.exception() if self._left.done() else None:
            raise _unusable(address, error) from error

    def close(self) -> None:
        """Leaves Ray, which ends if it was begun here."""
        self._leave.set()
        self._left.result()

    def _stay(self, options: dict[str, Any]) -> None:
        import ray

        try:
            ray.init(log_to_driver=False, logging_level=logging.ERROR, **options)
            self._connected.set_result(None)
            self._leave.wait()
        finally:
            ray.shutdown()


def _found(address: str) -> str:
    """The same, but for auto the address that Ray would take, so that it can be checked.

    Raises:
        ValueError: there is none.
    """
    if address != "auto":
        return address
    from ray._private.services import canonicalize_bootstrap_address

    try:
        return canonicalize_bootstrap_address(address) or "local"  # None if the environment says local
    except Exception as error:
        raise _unusable(address, error) from error


def _unusable(address: str, error: BaseException) -> ValueError:
    return ValueError(f"Ray at {address!r} cannot be used: {one_line(error)}")


def _check_answers(address: str) -> None:
    """Refuses what Ray would try for minutes.

    Raises:
        ValueError: nobody takes a connection there.
    """
    if address == "local":
        return
    host, colon, port = address.rpartition(":")
    if "://" in address or not (host and colon and port.isascii() and port.isdigit() and 0 < int(port) < 1 << 16):
        raise ValueError(
            f"address must be auto or HOST:PORT of Ray's head node, such as 10.0.0.1:6379, not {address!r}"
        )
    try:
        socket.create_connection((host, int(port)), _ANSWERS).close()
    except OSError as error:
        raise ValueError(f"Ray does not answer at {address!r}: {one_line(error)}") from error
