"""A process that decodes: runs of paths come in by sockets, pixels go out by shared memory, reasons by the sockets.

`decode.process` starts it and speaks to it. Left alone it ends once the file that it decodes is done; signals for the
whole group it leaves to the process that started it, and it writes nothing to the terminal.
"""

from __future__ import annotations

import mmap
import os
import select
import signal
import time
import warnings
from collections.abc import Iterator

from PIL import ImageFile

from fer_fast.decode.codecs import decode_file
from fer_fast.decode.files import working_folder
from fer_fast.decode.formats.opening import prepare_codecs
from fer_fast.decode.messages import receive, send
from fer_fast.types import DecodeError, Stamp

#: What became of one file: its stamp and how many bytes `pixels.square` gave; or what `DecodeError` takes.
Answer = tuple[Stamp | None, int] | tuple[Stamp | None, str, str, bool]

#: After so many milliseconds an idle process looks whether it has been left alone. The end of its input tells that,
#: too, but not while some other child of the one that started it has inherited the socket.
_PATIENCE = 5000


def main() -> None:
    """Decodes until nobody asks any more; standard input is the first of its sockets."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    warnings.simplefilter("ignore")
    prepare_codecs()
    first = os.dup(0)
    starter, others, memory, size, side, max_pixels, ImageFile.LOAD_TRUNCATED_IMAGES = receive(first)
    _be_quiet()
    pixels = memoryview(mmap.mmap(memory, size))
    os.close(memory)
    sockets = [first, *others]
    share = size // len(sockets)
    shares = {each: pixels[place * share : (place + 1) * share] for place, each in enumerate(sockets)}
    send(first, "ready")
    try:
        for each in _asked(sockets, starter):
            folder, paths = receive(each)
            begun = time.perf_counter()
            answers = []
            if _is_in(folder):  # or the run goes back
                answers = [*_answers(paths, shares[each], side, max_pixels, starter)]
            send(each, (answers, time.perf_counter() - begun))
    except (EOFError, OSError):
        pass  # nobody waits for an answer
    os._exit(0)  # there is nothing to tidy up


def _is_in(folder: str | None) -> bool:
    """Goes where relative paths begin, None for anywhere; False if it cannot."""
    try:
        if folder is not None and folder != working_folder():
            os.chdir(folder)
    except OSError:
        return False
    return True


def _answers(paths: list[str], pixels: memoryview, side: int, max_pixels: int, starter: int) -> Iterator[Answer]:
    """Decodes paths, the first to the memory's beginning, until whoever asks is gone."""
    for place, path in enumerate(paths):
        if os.getppid() != starter:
            raise EOFError
        try:
            data, stamp = decode_file(path, side, max_pixels)
        except DecodeError as error:
            yield error.stamp, error.status.value, str(error), error.again
        else:
            start = place * side * side * 3
            pixels[start : start + len(data)] = data
            yield stamp, len(data)


def _asked(sockets: list[int], starter: int) -> Iterator[int]:
    """The sockets by which something is asked, each when it is, until whoever asks is gone."""
    requests = select.poll()
    for each in sockets:
        requests.register(each, select.POLLIN)
    while os.getppid() == starter:
        yield from (each for each, _ in requests.poll(_PATIENCE))


def _be_quiet() -> None:
    """What codecs print is nobody's to read; until here standard error is what a failed start is told by."""
    nowhere = os.open(os.devnull, os.O_RDWR)
    for number in (0, 1, 2):
        os.dup2(nowhere, number)
    os.close(nowhere)
