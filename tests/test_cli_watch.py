"""`fer-fast watch` in a process of its own: its lines, and how it ends."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from command_runs import ENVIRONMENT, HERE, hear_interrupts
from films import save_film
from watched import SIZE, Shades, SureFinder, standard_input, with_face

from fer_fast import EMOTIONS, FerFastError, MissingExtraError, watch
from fer_fast.cli import run
from fer_fast.cli.window import Window

Process = subprocess.Popen[bytes]
Start = Callable[..., Process]
FRAMES = ("-", "--size", "160x96")


@pytest.fixture
def begin() -> Iterator[Start]:
    """Starts the command; it does not outlive its test."""
    processes: list[Process] = []

    def begin(*arguments: str, **settings: str) -> Process:
        command = [sys.executable, str(HERE / "watched.py"), "watch", *arguments]
        pipes: dict[str, Any] = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.PIPE)
        environment = {**ENVIRONMENT, **settings}
        processes.append(subprocess.Popen(command, env=environment, preexec_fn=hear_interrupts, bufsize=0, **pipes))
        return processes[-1]

    yield begin
    for process in processes:
        process.kill()
        process.communicate()


def told(process: Process, content: bytes = b"") -> tuple[int, list[dict[str, Any]], list[str]]:
    """Status, lines and sentences of a command whose input ends behind this."""
    out, error = process.communicate(content, timeout=120)
    return process.returncode, [json.loads(line) for line in out.splitlines()], error.decode().splitlines()


def fed(process: Process, frames: list[np.ndarray]) -> list[dict[str, Any]]:
    """Lines, of which each frame gives one, each frame sent when that of the last has come."""
    assert process.stdin is not None and process.stdout is not None
    lines = []
    for frame in frames:
        process.stdin.write(frame.tobytes())
        lines.append(json.loads(process.stdout.readline()))
    return lines


def test_each_face_is_a_line_as_of_a_table(begin: Start) -> None:
    process = begin(*FRAMES, "--rate", "20", "--smooth", "1", "--empty-frames", "--abstain", "0.6")
    nobody = np.zeros_like(with_face(0))
    lines = fed(process, [with_face(0, 70), with_face(1, 120), nobody, with_face(3, 70)])
    status, rest, said = told(process)
    assert (status, rest) == (0, []) and said[0] == "4 frames came, 4 looked at"
    assert len(said) == 2 and said[1].startswith("from frame to row: ")
    box, live = ["face", "x", "y", "width", "height", "score"], ["frame", "time", "track", "at"]
    answers = ["label", "confidence", *(f"p_{name}" for name in EMOTIONS)]
    averages = [f"smooth_{name}" for name in EMOTIONS]
    assert [*lines[0]] == ["path", "status", "error", *box, *live, *averages, *answers]
    assert [line["frame"] for line in lines] == [0, 1, 2, 3]
    assert [line["time"] for line in lines] == [0.0, 0.05, 0.1, 0.15]
    assert [line["status"] for line in lines] == ["ok", "abstained", "no_face", "ok"]
    assert [line["track"] for line in lines] == [0, 0, None, 0]
    assert [line["x"] for line in lines] == [4.0, 6.0, None, 10.0]
    assert [line["label"] for line in lines] == ["happiness", None, None, "happiness"]
    assert lines[2]["error"] == "no face was found" and {lines[2][name] for name in (*answers, *averages)} == {None}
    assert lines[0]["p_neutral"] < lines[1]["smooth_neutral"] < lines[1]["p_neutral"] < 0.5
    assert all(line["path"] == "-" and line["at"].endswith("+00:00") for line in lines)


def test_who_is_slow_drops_frames_and_says_so(begin: Start) -> None:
    process = begin(*FRAMES, SHADE_DELAY="0.4")
    fed(process, [with_face(0)])
    status, lines, said = told(process, b"".join(with_face(number).tobytes() for number in range(1, 61)))
    assert status == 0 and lines[-1]["frame"] == 60 and len(lines) < 30
    looked = len(lines) + 1
    assert said[0] == f"61 frames came, {looked} looked at, {61 - looked} dropped for newer ones"


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_ends_it_in_good_order(number: int, status: int, begin: Start) -> None:
    process = begin(*FRAMES)
    fed(process, [with_face(0), with_face(1)])
    process.send_signal(number)
    assert process.wait(timeout=60) == status
    assert process.stderr is not None
    assert process.stderr.read().decode().splitlines()[0] == "2 frames came, 2 looked at"


def test_a_source_that_does_not_answer_is_left_by_ctrl_c(begin: Start) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        silent.settimeout(60)
        process = begin(f"http://127.0.0.1:{silent.getsockname()[1]}/x", "--timeout", "600", "-q")
        silent.accept()
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=60) == 130
        assert process.stderr is not None and process.stderr.read() == b""


def test_a_reader_that_goes_away_ends_it_quietly(begin: Start) -> None:
    process = begin(*FRAMES)
    fed(process, [with_face(0)])
    assert process.stdout is not None and process.stdin is not None and process.stderr is not None
    process.stdout.close()
    process.stdin.write(with_face(1).tobytes())
    assert process.wait(timeout=60) == 141 and process.stderr.read() == b""
    process.stdout = None


def test_a_full_disk_behind_it_is_one_sentence() -> None:
    command = [sys.executable, str(HERE / "watched.py"), "watch", *FRAMES, "-q"]
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            command, input=with_face(0).tobytes(), stdout=full, stderr=subprocess.PIPE, env=ENVIRONMENT, timeout=120
        )
    assert done.returncode == 1
    assert done.stderr == b"fer-fast: standard output cannot be written: No space left on device\n"


@pytest.mark.parametrize(
    ("arguments", "status", "sentence"),
    [
        (("99",), 2, "source '99' is no camera that is there: there is no '/dev/video99'"),
        (("gone.mp4",), 2, "source 'gone.mp4' does not exist"),
        (("-",), 2, "source '-' is uncompressed frames on standard input: their size must be said"),
        (("/dev/null",), 1, "camera /dev/null cannot be opened: it is no camera"),
        ((*FRAMES, "--every", "often"), 2, "every must be as"),
        ((*FRAMES, "--faces", "largest", "--max-faces", "2"), 2, "--faces largest takes one face a photo"),
        (("http://127.0.0.1:9/x",), 1, "http://127.0.0.1:9/x cannot be watched: Connection refused"),
    ],
)
def test_what_cannot_be_watched_is_one_sentence(
    arguments: tuple[str, ...],
    status: int,
    sentence: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr("fer_fast.cli.watch._opened", lambda _: (Shades(), SureFinder(160)))
    with standard_input():
        assert run(["watch", "-q", *arguments]) == status
    said = capsys.readouterr()
    assert said.out == "" and said.err.startswith(f"fer-fast: {sentence}") and said.err.count("\n") == 1


class Screen:
    """Stands in for Tk."""

    TclError = RuntimeError

    def __init__(self, has_one: bool = True, closed_at: int = 999) -> None:
        self.has_one, self.closed_at = has_one, closed_at
        self.shown: list[Any] = []
        self.title = ""
        self.close: Callable[[], None] = lambda: None
        self.is_destroyed = False

    def Tk(self) -> Any:  # noqa: N802 (Tk's name)
        if not self.has_one:
            raise self.TclError("no display name and no $DISPLAY environment variable")

        def title(text: str) -> None:
            self.title = text

        def protocol(_: str, close: Callable[[], None]) -> None:
            self.close = close

        def update() -> None:
            if len(self.shown) >= self.closed_at and not self.is_destroyed:
                self.close()

        def destroy() -> None:
            self.is_destroyed = True

        return SimpleNamespace(title=title, protocol=protocol, update=update, destroy=destroy)

    def Label(self, _: Any) -> Any:  # noqa: N802 (Tk's name)
        return SimpleNamespace(pack=lambda: None, configure=lambda image: self.shown.append(image))

    def put(self, monkeypatch: pytest.MonkeyPatch) -> None:
        pictures = SimpleNamespace(PhotoImage=lambda image, master: image)
        monkeypatch.setitem(sys.modules, "tkinter", self)  # type: ignore[arg-type]
        monkeypatch.setitem(sys.modules, "PIL.ImageTk", pictures)  # type: ignore[arg-type]
        monkeypatch.setattr("PIL.ImageTk", pictures, raising=False)


def test_a_window_shows_the_faces_until_it_is_closed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    screen = Screen(closed_at=3)
    screen.put(monkeypatch)
    film = save_film(tmp_path / "film.mkv", [with_face(number) for number in range(50)], codec="ffv1")
    classifier = Shades()
    with watch(film, classifier, finder=SureFinder(160)) as watching:
        seen = list(Window("a film").until_closed(watching))
    classifier.close()
    assert screen.title == "a film" and screen.is_destroyed
    assert len(seen) == 3 == len(screen.shown)
    for each, picture in zip(seen, screen.shown, strict=True):
        assert picture.size == SIZE
        plain, drawn = each.image.rgb().astype(int), np.asarray(picture).astype(int)
        x = round(each.faces[0].face.x)
        assert np.abs(plain - drawn)[50, x - 2 : x + 2].max() > 60, "its box"
        np.testing.assert_array_equal(plain[:, -20:], drawn[:, -20:])


def test_no_window_without_a_screen_or_tk(monkeypatch: pytest.MonkeyPatch) -> None:
    Screen(has_one=False).put(monkeypatch)
    with pytest.raises(FerFastError, match="--window needs a screen, and there is none: no display name"):
        Window("camera 0")
    monkeypatch.setitem(sys.modules, "tkinter", None)
    with pytest.raises(MissingExtraError, match="--window needs tkinter, which this Python lacks"):
        Window("camera 0")
