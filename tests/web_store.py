"""A web server on the loopback that serves what a test gives it, and answers with the faults that the test puts in."""

from __future__ import annotations

import hashlib
import socket
import threading
from collections import Counter, defaultdict, deque
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


class WebStore:
    """Files by their names, served at `url(name)`.

    Attributes:
        files: what is served.
        faults: of a name what becomes of the next requests for it, in their order: a status, ("cut", bytes), or a
            function that is given the request's handler and says whether it has answered.
        asked: how often each name was asked for, by method.
        most: requests that were answered at once, at most.
    """

    def __init__(self, address: str) -> None:
        self.files: dict[str, bytes] = {}
        self.faults: dict[str, deque[Any]] = defaultdict(deque)
        self.words: dict[int, str] = {}
        self.asked: Counter[tuple[str, str]] = Counter()
        self.heads = True  # whether HEAD is allowed: what was signed for GET alone allows none
        self.lengths = True  # whether answers say how long they are
        self.now = self.most = 0
        self.lock = threading.Lock()
        self._address = address

    def url(self, name: str) -> str:
        """Where a file is."""
        return f"{self._address}/{name}"


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    store: WebStore

    def do_GET(self) -> None:
        self._answer("GET")

    def do_HEAD(self) -> None:
        self._answer("HEAD")

    def log_message(self, *_: object) -> None:
        pass

    def _answer(self, method: str) -> None:
        name = self.path[1:].partition("?")[0]
        store = self.store
        with store.lock:
            store.asked[name, method] += 1
            store.now += 1
            store.most = max(store.most, store.now)
            fault = store.faults[name].popleft() if method == "GET" and store.faults[name] else None
        try:
            self._send(name, method, fault)
        except OSError:  # who asked has gone
            self.close_connection = True
        finally:
            with store.lock:
                store.now -= 1

    def _send(self, name: str, method: str, fault: Any) -> None:
        if callable(fault):
            if fault(self):
                return
            fault = None
        if method == "HEAD" and not self.store.heads:
            fault = 403
        content = self.store.files.get(name)
        status = fault if isinstance(fault, int) else 200 if content is not None else 404
        body = content if status == 200 and content is not None else self.store.words.get(status, "").encode()
        self.send_response(status)
        if status == 200:
            self.send_header("ETag", f'"{hashlib.md5(body).hexdigest()}"')
        if self.store.lengths:
            self.send_header("Content-Length", str(len(body)))
        else:
            self.close_connection = True
        self.end_headers()
        if method == "HEAD":
            return
        if isinstance(fault, tuple):
            self.wfile.write(body[: fault[1]])
            self.close_connection = True
            return
        self.wfile.write(body)


class _Server(ThreadingHTTPServer):
    """Leaves no thread behind: who asked keeps connections open for another question."""

    request_queue_size = 128
    daemon_threads = False

    def __init__(self, *arguments: Any) -> None:
        self._connections: list[socket.socket] = []
        super().__init__(*arguments)

    def get_request(self) -> tuple[socket.socket, Any]:
        connection, address = super().get_request()
        self._connections.append(connection)
        return connection, address

    def server_close(self) -> None:
        for connection in self._connections:
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
        super().server_close()

    def handle_error(self, *_: object) -> None:
        """Whoever asked may go in the midst of an answer."""


@contextmanager
def web_store() -> Iterator[WebStore]:
    """A server while inside."""

    class Handler(_Handler):
        pass

    with _Server(("127.0.0.1", 0), Handler) as server:
        Handler.store = WebStore(f"http://127.0.0.1:{server.server_address[1]}")
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield Handler.store
        finally:
            server.shutdown()
            thread.join()
