"""A process that decodes: paths come in by sockets, views of their pictures go out by shared memory, or reasons.

`decode.process` starts it and speaks to it. Left alone it ends once the file that it decodes is done; a file that takes
too long ends it. Signals for the whole group it leaves to the process that started it, and it writes nothing to the
terminal: what codecs print goes to the row of the file that they print it on.
"""

from __future__ import annotations

import mmap
import os
import resource
import select
import signal
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from PIL import Image, ImageFile

from fer_fast.decode.codecs import decode_file
from fer_fast.decode.faults import NO_MEMORY
from fer_fast.decode.files import working_folder
from fer_fast.decode.formats.opening import prepare_codecs
from fer_fast.decode.limits import RUN_SECONDS, LargeError, Limits
from fer_fast.decode.messages import receive, send
from fer_fast.decode.views import View, view_of
from fer_fast.types import DecodeError, Stamp, Status

#: What became of one file: its stamp and how many bytes `View.make` gave; or what `DecodeError` takes; or what
#: `Large` takes, in a tuple of its own.
Answer = tuple[Stamp | None, int] | tuple[Stamp | None, str, str, bool] | tuple[tuple[int, Stamp | None]]

#: After so many milliseconds an idle process looks whether it has been left alone. The end of its input tells that,
#: too, but not while some other child of the one that started it has inherited the socket.
_PATIENCE = 5000

#: A file that takes more than it said by so much, and by as many bytes, finds no more memory.
_SLACK, _SLACK_BYTES = 1.5, 256 << 20

#: Where codecs print, and how many characters of it are kept.
_ERRORS, _MOST_WORDS = 2, 200


def main() -> None:
    """Decodes until nobody asks any more; standard input is the first of its sockets."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    signal.signal(signal.SIGPROF, signal.SIG_DFL)  # the time limit, whatever the program around us does with it
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGPROF})
    warnings.simplefilter("ignore")
    Image.MAX_IMAGE_PIXELS = None  # `Limits` has its own
    prepare_codecs()
    _take_one_processor()
    first = os.dup(0)
    starter, others, memory, size, limits, ImageFile.LOAD_TRUNCATED_IMAGES = receive(first)
    _be_quiet()
    decoding = _Decoding(Limits(*limits), starter)
    pixels = memoryview(mmap.mmap(memory, size))
    os.close(memory)
    sockets = [first, *others]
    share = size // len(sockets)
    shares = {each: pixels[place * share : (place + 1) * share] for place, each in enumerate(sockets)}
    send(first, "ready")
    try:
        for each in _asked(sockets, starter):
            folder, paths, room, form = receive(each)
            begun = time.perf_counter()
            answers = []
            if _is_in(folder):  # or the run goes back
                answers = [*decoding.answers(paths, view_of(form), shares[each], room)]
            send(each, (answers, time.perf_counter() - begun))
    except (EOFError, OSError):
        pass  # nobody waits for an answer
    os._exit(0)  # there is nothing to tidy up


class _Decoding:
    """How files are decoded here.

    Args:
        limits: a file that takes too long ends this process by SIGPROF, in whatever codec it is.
        starter: the process that asks.
    """

    def __init__(self, limits: Limits, starter: int) -> None:
        self._limits, self._starter = limits, starter

    def answers(self, paths: list[str], view: View, pixels: memoryview, room: int | None) -> Iterator[Answer]:
        """Decodes paths, the first to the memory's beginning, for `RUN_SECONDS`, until whoever asks is gone."""
        end = time.perf_counter() + RUN_SECONDS
        room = self._limits.small if room is None else room
        with _at_most(room):
            for place, path in enumerate(paths):
                if place and time.perf_counter() > end:
                    break
                if os.getppid() != self._starter:
                    raise EOFError
                start = place * view.most_bytes
                signal.setitimer(signal.ITIMER_PROF, self._limits.max_seconds)
                yield self._answer(path, view, pixels[start:], room)
            signal.setitimer(signal.ITIMER_PROF, 0)

    def _answer(self, path: str, view: View, pixels: memoryview, room: int) -> Answer:
        try:
            data, stamp = decode_file(path, view, self._limits, room)
        except LargeError as error:
            return ((error.large.memory, error.large.stamp),)
        except DecodeError as error:
            reason, status = str(error), error.status
            if reason == NO_MEMORY:
                reason, status = "it takes more memory than its header promises", Status.TOO_LARGE
            return error.stamp, status.value, reason + _words(), error.again
        _words()
        pixels[: len(data)] = data
        return stamp, len(data)


def _words() -> str:
    """What codecs have printed, in one line, for the end of a sentence; forgets it."""
    if not os.lseek(_ERRORS, 0, os.SEEK_CUR):
        return ""
    words = " ".join(os.pread(_ERRORS, 4 * _MOST_WORDS, 0).decode(errors="replace").split()).lstrip(": ")
    os.ftruncate(_ERRORS, 0)
    os.lseek(_ERRORS, 0, os.SEEK_SET)
    return f": {words[:_MOST_WORDS]}" if words else ""


@contextmanager
def _at_most(room: int) -> Iterator[None]:
    """Lets this process have not much more memory than it has and `room`: headers may promise less than comes."""
    soft, hard = resource.getrlimit(resource.RLIMIT_DATA)
    limit = _data() + int(_SLACK * room) + _SLACK_BYTES
    if soft != resource.RLIM_INFINITY:
        limit = min(limit, soft)
    resource.setrlimit(resource.RLIMIT_DATA, (limit, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_DATA, (soft, hard))


def _data() -> int:
    """Bytes of this process's own memory, as RLIMIT_DATA counts them."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) << 10 for line in lines if line.startswith("VmData:"))


def _is_in(folder: str | None) -> bool:
    """Goes where relative paths begin, None for anywhere; False if it cannot."""
    try:
        if folder is not None and folder != working_folder():
            os.chdir(folder)
    except OSError:
        return False
    return True


def _asked(sockets: list[int], starter: int) -> Iterator[int]:
    """The sockets by which something is asked, each when it is, until whoever asks is gone."""
    requests = select.poll()
    for each in sockets:
        requests.register(each, select.POLLIN)
    while os.getppid() == starter:
        yield from (each for each, _ in requests.poll(_PATIENCE))


def _take_one_processor() -> None:
    """Keeps libavif from a thread for each processor: on many of them their memory is more than a file's."""
    with suppress(ImportError):
        from PIL import AvifImagePlugin  # not in every Pillow

        AvifImagePlugin.DEFAULT_MAX_THREADS = 1


def _be_quiet() -> None:
    """What codecs print goes to a file in memory; until here standard error is what a failed start is told by.

    Standard input and output are nobody's.
    """
    nowhere = os.open(os.devnull, os.O_RDWR)
    for number in (0, 1):
        os.dup2(nowhere, number)
    os.close(nowhere)
    printed = os.memfd_create("fer-fast-printed")
    os.dup2(printed, _ERRORS)
    os.close(printed)
