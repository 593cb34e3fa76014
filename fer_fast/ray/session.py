"""Where Ray is comes in; a Ray that this process is connected to goes out, until it is left."""

from __future__ import annotations

import logging
import os
import socket
import threading
from collections.abc import Iterator
from concurrent.futures import FIRST_COMPLETED, Future, wait
from contextlib import ExitStack, contextmanager
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
        with ExitStack() as quiet:
            quiet.enter_context(_quiet())
            self._connect(address)
            self._quiet = quiet.pop_all()

    def close(self) -> None:
        """Leaves Ray, which ends if it was begun here."""
        self._leave.set()
        with self._quiet:
            self._left.result()

    def _connect(self, address: str | None) -> None:
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

    def _stay(self, options: dict[str, Any]) -> None:
        import ray

        try:
            if options["address"] != "local":
                _check_token(options["address"])
            ray.init(log_to_driver=False, logging_level=logging.ERROR, **options)
            self._connected.set_result(None)
            self._leave.wait()
        finally:
            ray.shutdown()


@contextmanager
def _quiet() -> Iterator[None]:
    """While inside Ray logs errors alone: what else goes wrong is told by the run."""
    import ray  # it sets its logger up

    logger = logging.getLogger(ray.__name__)
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(level)


def _found(address: str) -> str:
    """The same, but for auto the address that Ray would take, so that it can be checked.

    Raises:
        ValueError: there is none.
    """
    if address != "auto":
        return address
    from ray._private.authentication.authentication_token_setup import maybe_enable_token_auth_if_token_available
    from ray._private.services import canonicalize_bootstrap_address

    # As Ray does for auto alone: a head node on this machine has the token in this user's file by default.
    maybe_enable_token_auth_if_token_available(warn_if_disabled=False)
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


def _check_token(address: str) -> None:
    """Refuses at once where Ray would try for twenty seconds, and tell why by a line of its log for each.

    Raises:
        RuntimeError: the head node does not take this process's token.
    """
    from ray._private.authentication.authentication_token_setup import ensure_token_if_auth_enabled
    from ray._raylet import GcsClient  # type: ignore[attr-defined]
    from ray.exceptions import AuthenticationError

    try:
        ensure_token_if_auth_enabled(create_token_if_missing=False)
        with _unheard():
            GcsClient(address=address)
    except AuthenticationError:
        where = "in RAY_AUTH_TOKEN or ~/.ray/auth_token"
        raise RuntimeError(f"it wants its token: set RAY_AUTH_MODE=token, and have the token {where}") from None


@contextmanager
def _unheard() -> Iterator[None]:
    """While inside nothing of this process comes to standard error: Ray's native part asks nobody what it may log."""
    try:
        kept = os.dup(2)
    except OSError:  # it is closed
        yield
        return
    with open(os.devnull, "wb") as nowhere:  # noqa: PTH123
        os.dup2(nowhere.fileno(), 2)
    try:
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
