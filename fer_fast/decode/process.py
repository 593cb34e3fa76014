"""Runs of paths come in, a process decodes them, views of them and reasons go out.

A codec that crashes ends that process and no other. It is none of multiprocessing's: those run the user's main module
again, or are forked from a process that has threads.
"""

from __future__ import annotations

import fcntl
import mmap
import os
import select
import signal
import socket
import subprocess
import sys
from collections.abc import Sequence
from contextlib import ExitStack, suppress
from io import BufferedRandom
from pathlib import Path

import numpy as np
import numpy.typing as npt
import PIL
from PIL import ImageFile

from fer_fast.decode.limits import Large, Limits
from fer_fast.decode.messages import packed, receive
from fer_fast.decode.views import View
from fer_fast.machine.blas import ONE_THREAD
from fer_fast.types import DecodeError, FerFastError, Stamp, Status, one_line

#: What became of a file: the stamp of what was read, why there are no pixels, or that it is to be decoded apart.
Answer = Stamp | DecodeError | Large | None

#: Runs that a process has at once: it decodes one while the other's pixels are taken and the next is sent.
CHANNELS = 2

#: Milliseconds that a process has to begin; it takes some 100 on a machine that does nothing else.
_PATIENCE = 60_000

#: What it runs: this package from its folder, which is on no module's path. A dataclasses.py beside it is nobody's.
_PROGRAM = """
import sys
sys.path[:] = sys.argv[2:]
from importlib.machinery import PathFinder
from importlib.util import module_from_spec
spec = PathFinder.find_spec("fer_fast", sys.argv[1:2])
sys.modules["fer_fast"] = package = module_from_spec(spec)
spec.loader.exec_module(package)
from fer_fast.decode.worker import main
main()
"""

#: Where this package is, and where Pillow and numpy are: a program may find them by a relative path and then move.
_PACKAGE = str(Path(__file__).absolute().parents[2])
_NEEDED = [str(Path(module.__file__ or "").absolute().parents[1]) for module in (PIL, np)]


class LostProcessError(FerFastError):
    """A process that ended while it decoded.

    Args:
        reason: a sentence.
        code: how it ended, as `subprocess` counts; None where it has not.

    Attributes:
        has_left: it ended by itself, as it does where its starter seems gone; that says nothing of a file.
        was_slow: a file took longer than the limit.
    """

    def __init__(self, reason: str, code: int | None) -> None:
        super().__init__(reason)
        self.has_left = code == 0
        self.was_slow = code == -signal.SIGPROF


class DecodingProcess:
    """A process that decodes, started by this, ended by any thread.

    Args:
        most_bytes: that the views of a run may take.
        limits: of each file.

    Attributes:
        is_ready: it has begun and takes work.

    Raises:
        FerFastError: no process can be started here.
    """

    def __init__(self, most_bytes: int, limits: Limits) -> None:
        self.is_ready = False
        self._owner = os.getpid()
        size = CHANNELS * most_bytes
        try:
            with _file_in_memory() as memory, ExitStack() as theirs:
                memory.truncate(size)
                self._errors = _file_in_memory()
                pairs = [_socket_pair() for _ in range(CHANNELS)]
                self._ends = [end for end, _ in pairs]
                ends = [theirs.enter_context(end) for _, end in pairs]
                self._pixels = np.frombuffer(mmap.mmap(memory.fileno(), size), np.uint8).reshape(CHANNELS, -1)
                self._process = _started(ends, memory, self._errors)
                others = [end.fileno() for end in ends[1:]]  # the first is its standard input
                self._form = self._owner, others, memory.fileno(), size, tuple(limits)
        except (OSError, subprocess.SubprocessError) as error:
            raise FerFastError(f"no process can be started: {one_line(error)}") from error

    @property
    def pid(self) -> int:
        """Its number."""
        return self._process.pid

    def wait_until_ready(self) -> None:
        """Waits until it takes work.

        Raises:
            FerFastError: it does not come to that.
        """
        answers = select.poll()
        answers.register(self._ends[0], select.POLLIN)
        try:
            self._send(0, packed((*self._form, ImageFile.LOAD_TRUNCATED_IMAGES)))
            if not answers.poll(_PATIENCE):
                raise FerFastError(f"a process does not begin within {_PATIENCE // 1000} s")
            receive(self._ends[0].fileno())
            self.is_ready = True
        except (OSError, EOFError):
            raise FerFastError(f"a process {self._ending()} before it began: {self._last_words()}") from None
        finally:
            self._errors.close()

    def decode(
        self,
        channel: int,
        folder: str | None,
        paths: Sequence[str],
        view: View,
        out: Sequence[npt.NDArray[np.uint8]],
        room: int | None = None,
    ) -> tuple[list[Answer], float]:
        """Decodes files; by each channel one run at a time.

        Args:
            channel: 0 to `CHANNELS` - 1.
            folder: where relative paths begin; None if there are none.
            paths: not more than it has room for.
            view: what is made of each.
            out: where it goes, see `View.put`; of no use where a file gives no pixels.
            room: bytes that each file may take; None is as many as a worker may take without asking.

        Returns:
            What became of each path, and the seconds that decoding took; nothing of any if it cannot go to the folder.

        Raises:
            LostProcessError: it ended meanwhile.
        """
        message = packed((folder, list(paths), room, view.form))
        try:
            self._send(channel, message)
            answers, seconds = receive(self._ends[channel].fileno())
        except (OSError, EOFError, ValueError, TypeError):  # the last two: what a damaged process says
            ending = self._ending()
            raise LostProcessError(f"the process that decoded it {ending}", self._process.returncode) from None
        found: list[Answer] = []
        for place, answer in enumerate(answers):
            if len(answer) == 1:
                found.append(Large(*answer[0]))
            elif len(answer) == 4:
                stamp, status, reason, again = answer
                found.append(DecodeError(Status(status), reason, stamp, again))
            else:
                stamp, length = answer
                start = place * view.most_bytes
                view.put(self._pixels[channel, start : start + length], out[place])
                found.append(stamp)
        return found, seconds

    def end(self) -> None:
        """Ends it at once, whatever it does; who waits for an answer gets a `LostProcessError`."""
        if os.getpid() != self._owner:
            return  # a forked child's memory of it
        for end in self._ends:  # it ends by itself, too, when nobody asks: this process may have lost its right to kill
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
        with suppress(OSError):
            self._process.kill()
        with suppress(subprocess.TimeoutExpired):  # it may wait for a disk that does not answer
            self._process.wait(1)

    def __del__(self) -> None:
        if hasattr(self, "_process"):
            self.end()
        for end in getattr(self, "_ends", []):
            end.close()

    def _send(self, channel: int, message: bytes) -> None:
        # The program around us may have left SIGPIPE at its default, which ends a process.
        self._ends[channel].sendall(message, socket.MSG_NOSIGNAL)

    def _ending(self) -> str:
        """How it ended, for a sentence."""
        try:
            code = self._process.wait(5)
        except subprocess.TimeoutExpired:
            return "said nothing that makes sense"
        return f"ended with code {code}" if code >= 0 else f"was ended by {signal.Signals(-code).name}"

    def _last_words(self) -> str:
        self._errors.seek(0)
        lines = self._errors.read().decode(errors="replace").split("\n")
        return next((line.strip() for line in reversed(lines) if line.strip()), "without a word")[:300]


def _file_in_memory() -> BufferedRandom:
    return os.fdopen(_beyond_standard(os.memfd_create("fer-fast-decode")), "r+b")


def _socket_pair() -> tuple[socket.socket, socket.socket]:
    """Our end and theirs."""
    ours, theirs = (socket.socket(fileno=_beyond_standard(end.detach())) for end in socket.socketpair())
    for end in (ours, theirs):
        end.settimeout(None)  # whatever the program's own default
    return ours, theirs


def _beyond_standard(descriptor: int) -> int:
    """The same by a number that is no standard stream's: a program may have closed its own, a process gets new ones."""
    if descriptor > 2:
        return descriptor
    try:
        return fcntl.fcntl(descriptor, fcntl.F_DUPFD_CLOEXEC, 3)
    finally:
        os.close(descriptor)


def _folders() -> list[str]:
    """Where it finds modules: absolute folders alone, so that none in whatever folder it works in is taken for one."""
    absolute = [folder for folder in sys.path if isinstance(folder, str) and Path(folder).is_absolute()]
    return [*absolute, *(folder for folder in _NEEDED if folder not in absolute)]


def _started(ends: Sequence[socket.socket], memory: BufferedRandom, errors: BufferedRandom) -> subprocess.Popen[bytes]:
    interpreter = Path(sys.executable or "")
    if getattr(sys, "frozen", False) or not interpreter.name.startswith(("python", "pypy")):
        raise OSError(f"{str(interpreter)!r} is not a Python interpreter")
    flags = subprocess._args_from_interpreter_flags()  # type: ignore[attr-defined]
    utf8 = ["-X", "utf8"] if sys.flags.utf8_mode else []  # a path's bytes must mean the same there
    # The process that starts it decides what becomes of it on Ctrl-C, from the first moment on.
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        return subprocess.Popen(
            [sys.executable, *flags, *utf8, "-c", _PROGRAM, _PACKAGE, *_folders()],
            stdin=ends[0].fileno(),
            stdout=subprocess.DEVNULL,
            stderr=errors,
            env={**ONE_THREAD, **os.environ},
            pass_fds=(memory.fileno(), *(end.fileno() for end in ends[1:])),
        )
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
