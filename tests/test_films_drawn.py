"""`fer-fast classify --draw` and `--crops` with films: what is drawn is what the table has, whoever ended the run."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path

import numpy as np
import pytest
from command_runs import ENVIRONMENT, HERE
from film_runs import passing, save, save_photo
from films import save_film
from PIL import Image
from shade_faces import SureFinder

from fer_fast import DecodeError, Status, merge_tables
from fer_fast.films.film import Film
from fer_fast.films.frame import Frame
from fer_fast.films.opening import _Places
from fer_fast.pipeline.drawn_films import DrawnFilms
from fer_fast.pipeline.films import FilmOptions

FRAMES = 50
Filmed = Callable[..., tuple[int, str, str]]
#: Where files may have so many bytes only.
FULL = """
import resource, signal, sys
import shades
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (30_000, resource.RLIM_INFINITY))
shades.main()
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A photo, and a film of 25 seconds in whose frames 20 to 29 nobody is seen."""
    made = tmp_path_factory.mktemp("films") / "inputs"
    made.mkdir()
    save_photo(made / "a.png", [(120, 10, 10, 30)])
    save(made / "b.mkv", [[] if 20 <= number < 30 else passing(number, FRAMES) for number in range(FRAMES)])
    return made


@pytest.fixture
def filmed(ended: Filmed, monkeypatch: pytest.MonkeyPatch) -> Filmed:
    monkeypatch.setattr("fer_fast.pipeline.faces._finder", lambda arguments: SureFinder(160))
    return ended


def drawn(folder: Path) -> Path:
    """The only film there."""
    (found,) = folder.glob("b_*.mkv")
    assert not [*folder.glob(".*")]
    return found


def shown(path: Path) -> list[tuple[float, np.ndarray]]:
    with Film(path) as film:
        return [(frame.time, frame.rgb().astype(int)) for frame in film.frames()]


def has_boxes(pixels: np.ndarray) -> bool:
    """Whether anything has a colour: frames are grey, and so is what stands beneath but for its last lines."""
    part = pixels[:96]
    return bool((part.max(axis=2) - part.min(axis=2)).max() > 60)


def boxed(path: Path) -> list[int]:
    return [number for number, (_, pixels) in enumerate(shown(path)) if has_boxes(pixels)]


def test_photos_and_films_are_drawn_and_cut_in_one_run(folder: Path, tmp_path: Path, filmed: Filmed) -> None:
    out, pictures, crops = tmp_path / "out.csv", tmp_path / "drawn", tmp_path / "crops"
    status, _, said = filmed(folder, "-o", out, "--draw", pictures, "--crops", crops, "--smooth", 1, "--strict")
    assert status == 0, said
    assert (
        f"1 picture in {pictures}\n" in said and f"1 film in {pictures}\n" in said and f"81 pictures in {crops}" in said
    )
    assert [time for time, _ in shown(drawn(pictures))] == [number / 2 for number in range(FRAMES)]
    assert boxed(drawn(pictures)) == [*range(20), *range(30, FRAMES)]
    names = sorted(path.name[-13:] for path in crops.glob("b_*"))
    assert names == [f"_{n:06}_{face}.png" for n in range(FRAMES) if not 20 <= n < 30 for face in (0, 1)]
    (first,) = crops.glob("b_*_000000_0.png")
    with Image.open(first) as crop:
        assert crop.size == (16, 16)


@pytest.mark.parametrize(
    ("options", "wanted"),
    [
        (["--every", "5s", "-o", "out.jsonl"], [*range(20), *range(30, FRAMES)]),
        (["--every", "10f", "--from", "5", "--to", "20", "-o", "out.parquet"], [*range(10, 20), *range(30, 40)]),
        (["--empty-frames", "-o", "out.csv"], [*range(20), *range(30, FRAMES)]),
    ],
)
def test_a_frame_in_which_nobody_was_seen_shows_nobody(
    options: list[str], wanted: list[int], folder: Path, tmp_path: Path, filmed: Filmed, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    status, _, said = filmed(folder / "b.mkv", "--draw", "drawn", *options)
    assert status == 0 and "0 pictures" not in said, said
    assert boxed(drawn(tmp_path / "drawn")) == wanted


@pytest.mark.parametrize("sure", [True, False])
def test_who_is_not_sure_enough_of_has_no_colour(sure: bool, folder: Path, tmp_path: Path, filmed: Filmed) -> None:
    option = ["--abstain", "0.6"] if sure else ["--abstain", "1"]
    film = save(tmp_path / "b.mkv", [[(70, 60, 20, 60)]] * 2)
    assert filmed(film, "-o", tmp_path / "out.csv", "--draw", tmp_path / "drawn", *option)[0] == 0
    edge = shown(drawn(tmp_path / "drawn"))[0][1][50, 56:62]
    brightest = edge[edge.sum(axis=1).argmax()]
    assert brightest.max() > 150 and (brightest.max() - brightest.min() > 60) == sure


def test_a_drawing_is_made_where_there_is_none_and_kept_where_it_is_true(
    folder: Path, tmp_path: Path, filmed: Filmed
) -> None:
    out, pictures = tmp_path / "out.csv", tmp_path / "drawn"
    assert filmed(folder, "-o", out)[0] == 0 and not pictures.exists()
    status, _, said = filmed(folder, "-o", out, "--resume", "--draw", pictures)
    assert status == 0 and f"1 film in {pictures}" in said
    film = drawn(pictures)
    assert boxed(film) == [*range(20), *range(30, FRAMES)]
    before = film.stat()
    status, _, said = filmed(folder, "-o", out, "--resume", "--draw", pictures)
    assert status == 0 and os.path.samestat(film.stat(), before) and " in " + str(pictures) not in said
    film.write_text("no film")
    status, _, said = filmed(folder, "-o", out, "--resume", "--draw", pictures)
    assert status == 0 and boxed(film) == [*range(20), *range(30, FRAMES)]


@pytest.mark.parametrize("suffix", [".mkv", ".mp4", ".mov"])
def test_a_drawing_of_other_rows_is_made_anew(folder: Path, tmp_path: Path, filmed: Filmed, suffix: str) -> None:
    """They were made by a run that did not draw, or by one with another table."""
    film, out, pictures = tmp_path / f"b{suffix}", tmp_path / "out.csv", tmp_path / "drawn"
    frames = [passing(number) for number in range(8)]
    save(film, frames, **({} if suffix == ".mkv" else {"codec": "libx264", "pix_fmt": "yuv444p"}))
    assert filmed(film, "-o", out, "--draw", pictures)[0] == 0
    (made,) = pictures.iterdir()
    assert boxed(made) == [*range(8)]
    assert filmed(film, "-o", out, "--to", "2")[0] == 0
    status, _, said = filmed(film, "-o", out, "--to", "2", "--draw", pictures, "--resume")
    assert status == 0 and f"1 film in {pictures}" in said and boxed(made) == [0, 1, 2, 3]
    before = made.stat()
    assert filmed(film, "-o", out, "--to", "2", "--draw", pictures, "--resume")[0] == 0
    assert os.path.samestat(made.stat(), before) and made.stat().st_mtime_ns == before.st_mtime_ns


def test_a_film_that_changed_behind_the_table_is_not_drawn_with_its_rows(tmp_path: Path, filmed: Filmed) -> None:
    out, pictures = tmp_path / "out.csv", tmp_path / "drawn"
    film = save(tmp_path / "b.mkv", [passing(number) for number in range(8)])
    assert filmed(film, "-o", out)[0] == 0
    save(film, [passing(29 - number) for number in range(8)])
    status, _, said = filmed(film, "-o", out, "--retry-failed", "--draw", pictures)
    assert status == 0 and "b.mkv': the film has changed since it was looked at" in said and not pictures.exists()
    assert filmed(film, "-o", out, "--resume", "--draw", pictures)[0] == 0 and len(boxed(drawn(pictures))) == 8


@pytest.mark.parametrize("named", ["b.mkv", ".", "*.mkv", "@list"])
def test_a_film_of_the_same_name_in_another_folder_is_another(
    tmp_path: Path, filmed: Filmed, monkeypatch: pytest.MonkeyPatch, named: str
) -> None:
    """Rows call a film as the first run did, which began elsewhere."""
    out, pictures = tmp_path / "out.csv", tmp_path / "drawn"
    for place, frames in (("one", 8), ("two", 12)):
        (tmp_path / place).mkdir()
        save(tmp_path / place / "b.mkv", [passing(number) for number in range(frames)])
    (tmp_path / "one" / "list").write_text("b.mkv\n")
    monkeypatch.chdir(tmp_path / "one")
    assert filmed(named, "-o", out)[0] == 0
    monkeypatch.chdir(tmp_path / "two")
    made = DrawnFilms(pictures, FilmOptions())
    made.draw(str(out), lambda name, time: None)
    assert made.films.failures == [] and boxed(drawn(pictures)) == [*range(8)]
    (tmp_path / "one").rename(tmp_path / "gone")
    made = DrawnFilms(tmp_path / "none", FilmOptions())
    made.draw(str(out), lambda name, time: None)
    assert made.films.failures and not [*(tmp_path / "none").glob("*")]


def test_films_of_one_name_in_a_merged_table_are_two(
    tmp_path: Path, filmed: Filmed, monkeypatch: pytest.MonkeyPatch
) -> None:
    for place, frames in (("one", 8), ("two", 5)):
        (tmp_path / place).mkdir()
        save(tmp_path / place / "b.mkv", [passing(number) for number in range(frames)])
        monkeypatch.chdir(tmp_path / place)
        assert filmed("b.mkv", "-o", tmp_path / f"{place}.csv")[0] == 0
    merge_tables([tmp_path / "one.csv", tmp_path / "two.csv"], tmp_path / "all.csv")
    inputs = ["../one/b.mkv", "../two/b.mkv"]
    status, _, said = filmed(*inputs, "-o", tmp_path / "all.csv", "--resume", "--draw", tmp_path / "drawn")
    assert status == 0 and f"2 films in {tmp_path}/drawn" in said
    assert sorted(len(shown(path)) for path in (tmp_path / "drawn").iterdir()) == [5, 8]


def test_what_is_damaged_is_drawn_as_far_as_it_goes_and_what_is_no_film_is_not(
    folder: Path, tmp_path: Path, filmed: Filmed
) -> None:
    inputs = tmp_path / "inputs"
    inputs.mkdir()
    data = (folder / "b.mkv").read_bytes()
    (inputs / "b.mkv").write_bytes(data[: len(data) // 3])
    (inputs / "text.mp4").write_text("no film")
    status, _, said = filmed(inputs, "-o", tmp_path / "out.csv", "--draw", tmp_path / "drawn")
    assert status == 0 and "could not" not in said
    assert 0 < len(boxed(drawn(tmp_path / "drawn"))) < 20
    assert len([*(tmp_path / "drawn").iterdir()]) == 1


@pytest.mark.parametrize(("options", "frame"), [(FilmOptions(every="2f"), 1), (FilmOptions(end=2), 4)])
def test_a_table_of_other_frames_is_told_and_leaves_nothing(
    options: FilmOptions, frame: int, tmp_path: Path, filmed: Filmed
) -> None:
    out = tmp_path / "out.csv"
    assert filmed(save(tmp_path / "b.mkv", [passing(number) for number in range(8)]), "-o", out)[0] == 0
    made = DrawnFilms(tmp_path / "drawn", options)
    made.draw(str(out), lambda name, time: None)
    (told,) = made.films.failures
    assert f"b.mkv': the table has faces in frame {frame}, which the film does not have" in told
    assert made.films.saved == 0 and not [*(tmp_path / "drawn").iterdir()]


def test_a_disk_that_fails_meanwhile_leaves_no_short_film(
    tmp_path: Path, filmed: Filmed, monkeypatch: pytest.MonkeyPatch
) -> None:
    out, frames = tmp_path / "out.csv", Film.frames

    def failing(film: Film) -> Iterator[Frame]:
        for frame in frames(film):
            if frame.number == 3:
                film.fault = DecodeError(Status.FAILED, "Input/output error")
                return
            yield frame

    assert filmed(save(tmp_path / "b.mkv", [passing(number) for number in range(8)]), "-o", out)[0] == 0
    monkeypatch.setattr(Film, "frames", failing)
    made = DrawnFilms(tmp_path / "drawn", FilmOptions())
    made.draw(str(out), lambda name, time: None)
    assert "Input/output error" in made.films.failures[0] and not [*(tmp_path / "drawn").iterdir()]


def test_films_are_drawn_from_a_table_alone(folder: Path, tmp_path: Path, filmed: Filmed) -> None:
    status, out, said = filmed(folder / "b.mkv", "--draw", tmp_path / "drawn")
    assert (status, out) == (2, "") and "--draw draws films from the finished table: add -o OUT" in said
    assert not (tmp_path / "drawn").exists()


def test_a_full_disk_leaves_no_half_film_and_the_run_goes_on_from_there(tmp_path: Path, filmed: Filmed) -> None:
    random, noise = np.random.default_rng(0), tmp_path / "b.mkv"
    save_film(noise, (random.integers(0, 60, (96, 160, 3), np.uint8) for _ in range(40)))
    out, pictures = tmp_path / "out.csv", tmp_path / "drawn"
    arguments = ["classify", str(noise), "-o", str(out), "--draw", str(pictures)]
    environment = {**ENVIRONMENT, "SHADE_FINDER": "1", "PYTHONPATH": f"{HERE}:{ENVIRONMENT['PYTHONPATH']}"}
    command = [sys.executable, "-c", FULL, *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, env=environment)
    assert done.returncode == 1 and "cannot be written: File too large" in done.stderr, done.stderr
    assert "Traceback" not in done.stderr and not [*pictures.iterdir()]
    status, _, said = filmed(noise, "-o", out, "--draw", pictures, "--resume")
    assert status == 0 and f"1 film in {pictures}" in said
    assert len(shown(drawn(pictures))) == 40


@pytest.mark.parametrize("call", [1, 5])
def test_an_interrupt_that_comes_while_a_film_is_opened_is_one(
    tmp_path: Path, filmed: Filmed, monkeypatch: pytest.MonkeyPatch, interruptible: None, call: int
) -> None:
    """FFmpeg reads by Python's functions, and what is raised in those gets lost. Who waits for it hears nothing."""
    out, seek, calls = tmp_path / "out.csv", _Places.seek, count(1)

    def seeking(places: _Places, offset: int, whence: int = 0) -> int:
        if next(calls) == call:
            time.sleep(0.2)
            signal.pthread_kill(threading.get_ident(), signal.SIGINT)
        return seek(places, offset, whence)

    assert filmed(save(tmp_path / "b.mkv", [passing(number, 200) for number in range(200)]), "-o", out)[0] == 0
    monkeypatch.setattr(_Places, "seek", seeking)
    made = DrawnFilms(tmp_path / "drawn", FilmOptions())
    with pytest.raises(KeyboardInterrupt):
        made.draw(str(out), lambda name, seconds: time.sleep(0.05))  # so slowly that it is not done before that comes
    assert made.films.saved == made.films.failed == 0 and not [*(tmp_path / "drawn").glob("*")]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_who_stops_a_drawing_finds_it_made_whole_by_who_goes_on(
    number: int, tmp_path: Path, start: Callable[..., subprocess.Popen[str]], filmed: Filmed
) -> None:
    frames = [passing(number % 30) for number in range(900)]
    path = save(tmp_path / "b.mkv", frames, rate=25, key_every=100)
    out, pictures = tmp_path / "out.csv", tmp_path / "drawn"
    process = start(path, "-o", out, "--draw", pictures, SHADE_FINDER=1)
    while not [*pictures.glob(".b_*.partial")]:
        assert process.poll() is None, process.stderr.read() if process.stderr else ""
        time.sleep(0.005)
    process.send_signal(number)
    _, said = process.communicate(timeout=60)
    assert process.returncode in (130, -signal.SIGKILL) and out.exists()
    whole = [*pictures.glob("b_*")]  # where it was done before the signal was heard
    assert all(len(shown(film)) == 900 for film in whole)
    assert number == signal.SIGKILL or "interrupted; the table is finished, go on with --resume" in said
    status, _, told = filmed(path, "-o", out, "--draw", pictures, "--resume")
    assert status == 0 and (whole or f"1 film in {pictures}" in told) and len(shown(drawn(pictures))) == 900
