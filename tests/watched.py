"""What is watched in tests: frames on standard input, streams of servers of this process; and who watches."""

from __future__ import annotations

import os
import socket
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from shade_faces import ShadeFinder, draw
from shades import ShadeClassifier

from fer_fast import FerFastError, LiveFaces, Watch

SIZE = (160, 96)
Pixels = npt.NDArray[np.uint8]


class Shades(ShadeClassifier):
    """Says of a face its shade."""

    framing = "box"


class SureFinder(ShadeFinder):
    """As sure of a dark face as of a light one: who is not sure begins no track."""

    def find_in(self, pixels: Pixels) -> Any:
        found = super().find_in(pixels)
        found[:, 14] = 0.9
        return found


def with_face(number: int, shade: int = 120) -> Pixels:
    """A frame with one face, which goes to the right."""
    return np.asarray(draw(SIZE, [(shade, 4 + 2 * number % 100, 30, 30)]))


@contextmanager
def standard_input() -> Iterator[int]:
    """A pipe is this process's standard input meanwhile; gives its other end, to be closed by whoever takes it."""
    before = sys.stdin
    reader, writer = os.pipe()
    with os.fdopen(reader) as sys.stdin:
        try:
            yield writer
        finally:
            sys.stdin = before
            with suppress(OSError):
                os.close(writer)


def until_it_fails(watching: Watch) -> tuple[list[LiveFaces], str]:
    """All that comes, and the sentence that ends it."""
    seen: list[LiveFaces] = []
    with watching, pytest.raises(FerFastError) as caught:
        seen.extend(watching)
    return seen, str(caught.value)


#: Sends something on a connection, by the first argument; the second is how many came before it.
Answer = Callable[[Callable[[bytes], Any], int], None]


@contextmanager
def http_server(answer: Answer, headers: Sequence[tuple[str, str]] = ()) -> Iterator[tuple[str, list[str]]]:
    """Gives its address, and the list of what was asked for."""
    asked: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            self.send_response(200)
            for name, value in headers:
                self.send_header(name, value)
            self.end_headers()
            with suppress(OSError):  # who watches has gone
                answer(self.wfile.write, len(asked) - 1)

        def log_message(self, *_: Any) -> None:
            """Nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}", asked
        server.shutdown()


@contextmanager
def rtsp_server(answer: Answer) -> Iterator[str]:
    """Sends MPEG-TS by RTP within RTSP's own connection (RFC 2326, 10.12; RFC 2250, 2); gives its address."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port = listening.getsockname()[1]
        threading.Thread(target=_serve_rtsp, args=(listening, answer), daemon=True).start()
        yield f"rtsp://127.0.0.1:{port}/live"


def _serve_rtsp(listening: socket.socket, answer: Answer) -> None:
    about = "v=0\r\no=- 0 0 IN IP4 127.0.0.1\r\ns=test\r\nt=0 0\r\nm=video 0 RTP/AVP 33\r\na=control:track1\r\n"
    count = 0
    with suppress(OSError):
        while True:
            connection, _ = listening.accept()
            with connection, connection.makefile("rwb", buffering=0) as stream, suppress(OSError):
                while request := _request(stream):
                    method, number = request
                    extra, body = "Session: 1\r\n", ""
                    if method == "OPTIONS":
                        extra = "Public: DESCRIBE, SETUP, PLAY, TEARDOWN\r\n"
                    elif method == "DESCRIBE":
                        extra, body = f"Content-Type: application/sdp\r\nContent-Length: {len(about)}\r\n", about
                    elif method == "SETUP":
                        extra += "Transport: RTP/AVP/TCP;unicast;interleaved=0-1\r\n"
                    stream.write(f"RTSP/1.0 200 OK\r\nCSeq: {number}\r\n{extra}\r\n{body}".encode())
                    if method == "PLAY":
                        answer(_rtp(stream.write), count)
                        count += 1
                        break


def _request(stream: Any) -> tuple[str, str] | None:
    lines = []
    while (line := stream.readline().decode().strip()) or not lines:
        if not line:
            return None
        lines.append(line)
    number = next(line.partition(":")[2].strip() for line in lines if line.lower().startswith("cseq"))
    return lines[0].split()[0], number


def _rtp(write: Callable[[bytes], Any]) -> Callable[[bytes], None]:
    """Seven packets of MPEG-TS at a time."""

    def send(content: bytes) -> None:
        step = 7 * 188
        for number, start in enumerate(range(0, len(content), step)):
            payload = content[start : start + step]
            packet = (
                bytes([0x80, 33]) + number.to_bytes(2, "big") + (90 * number).to_bytes(4, "big") + b"fast" + payload
            )
            write(b"$\0" + len(packet).to_bytes(2, "big") + packet)

    return send


def main() -> None:
    """The command, with this classifier and finder: what tests run in a process of its own."""
    from fer_fast import cli
    from fer_fast.cli import watch

    def opened(_: Any) -> Any:
        return Shades(delay=float(os.environ.get("SHADE_DELAY", 0))), SureFinder(160)

    watch._opened = opened
    sys.argv[0] = "fer-fast"
    cli.main()


if __name__ == "__main__":
    main()
