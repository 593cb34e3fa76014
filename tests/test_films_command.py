"""`fer-fast classify` with films: options, what is said, lists on standard input, Ctrl-C."""

from __future__ import annotations

import csv
import io
import re
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from command_runs import wait_for_rows
from film_runs import passing, save, save_photo
from shade_faces import SureFinder

from fer_fast.cli import run
from fer_fast.inputs.look import Films, films_among

FRAMES = 50


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A film of 25 seconds between two photos, in one of which nobody is seen."""
    made = tmp_path_factory.mktemp("films") / "inputs"
    made.mkdir()
    save_photo(made / "a.png", [(120, 10, 10, 30)])
    save(made / "b.mkv", [passing(number, FRAMES) for number in range(FRAMES)])
    save_photo(made / "c.png", [])
    return made


@pytest.fixture
def filmed(ended: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> Callable[..., tuple[int, str, str]]:
    """The command in this process, its finder that of squares."""
    monkeypatch.setattr("fer_fast.pipeline.faces._finder", lambda arguments: SureFinder(160))
    return ended


def rows(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text, newline="")))


def test_films_and_photos_are_counted_apart(folder: Path, filmed: Callable[..., tuple[int, str, str]]) -> None:
    status, out, said = filmed(folder, "--strict")
    assert status == 0 and len(rows(out)) == 102
    assert "101 faces in 2 photos and 1 film (50 frames looked at), 1 without one" in said
    assert "photos/s, " in said and " frames/s; " in said
    assert re.search(r", find \d+\.\d s ", said)


def test_options_are_those_of_the_run(folder: Path, filmed: Callable[..., tuple[int, str, str]]) -> None:
    part = ("--from", "0:00:18.5", "--to", "20.5", "--every", "2f", "--faces", "largest")
    _, out, said = filmed(folder / "b.mkv", *part, "--smooth", "2", "--empty-frames")
    found = rows(out)
    assert [(row["frame"], row["time"], row["track"]) for row in found] == [("38", "19.0", "0"), ("40", "20.0", "0")]
    assert all("smooth_neutral" in row and float(row["smooth_neutral"]) > 0 for row in found)
    assert "2 faces in 1 film (2 frames looked at)" in said and "photos/s" not in said


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["{}/b.mkv", "--faces", "none"], "faces must be all or largest, not 'none'"),
        (["{}", "--from", "1:00", "--to", "59"], "--to must be after --from, 60 s, not 59 s"),
        (["{}", "--every", "often"], "every must be as"),
        (["{}/a.png", "--from", "3"], "--from is for films, and there is none among the inputs"),
        (["{}/a.png", "--faces", "all", "--empty-frames"], "--empty-frames is for films"),
    ],
)
def test_the_callers_fault_is_one_sentence_and_two(
    arguments: list[str], message: str, folder: Path, tmp_path: Path, capsys: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert run(["classify", *(argument.format(folder) for argument in arguments), "-o", "out.csv"]) == 2
    shown = capsys.readouterr().err
    assert shown.startswith("fer-fast: ") and message in shown and shown.count("\n") == 1
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("text", ["x", "-1", "1:60", "1:2:3:4", "nan", "1e306", "9" * 400 + ":00:00"])
def test_a_time_is_seconds_or_of_a_clock(text: str, capsys: Any) -> None:
    with pytest.raises(SystemExit):
        run(["classify", ".", f"--from={text}"])
    assert "must be seconds, such as 90.5, or a time as 1:02:03" in capsys.readouterr().err


def test_films_are_told_from_names_alone(folder: Path, tmp_path: Path) -> None:
    film = str(folder / "b.mkv")
    (tmp_path / "list").write_text(f"{folder}/a.png\n{film}\n")
    (tmp_path / "none.MP4").touch()
    (tmp_path / "._none.MP4").touch()
    assert films_among([folder]) == Films(None, 1)
    assert films_among([tmp_path, str(folder / "*")]) == Films(film, 1)
    assert films_among([folder / "a.png"]) == Films() and not films_among([folder / "a.png"])
    assert films_among([f"@{tmp_path}/list"]) == Films(film, 0)
    assert films_among(["@/dev/fd/0"]) == Films(is_certain=False)


@pytest.mark.parametrize(
    ("names", "options", "films"),
    [
        (["b.mkv", "a.png"], [], 100),
        (["a.png", "b.mkv"], [], 0),
        (["a.png", "b.mkv"], ["--every", "5s"], 10),
    ],
)
def test_a_list_on_standard_input_has_films_if_its_first_path_or_an_option_says_so(
    names: list[str], options: list[str], films: int, folder: Path, start: Callable[..., subprocess.Popen[str]]
) -> None:
    process = start("-", *options, SHADE_FINDER=1, stdin=subprocess.PIPE)
    out, said = process.communicate("".join(f"{folder / name}\n" for name in names), timeout=120)
    found = rows(out)
    assert process.returncode == 0, said
    assert [row["status"] for row in found if row["status"] == "unsupported"] == ["unsupported"] * (not films)
    assert len(found) == (1 + films if films else 2) and ("frame" in found[0]) == bool(films)


def test_ctrl_c_in_a_film_keeps_its_sections(
    folder: Path, tmp_path: Path, start: Callable[..., subprocess.Popen[str]]
) -> None:
    out = tmp_path / "out.csv"
    process = start(folder, "-o", out, SHADE_FINDER=1, SHADE_DELAY=0.3)
    wait_for_rows(out, process, 41)
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 130 and "rows are kept, go on with --resume" in said
    again = start(folder, "-o", out, "--resume", SHADE_FINDER=1)
    _, said = again.communicate(timeout=120)
    assert again.returncode == 0 and ("41 of them kept" in said or "81 of them kept" in said), said
    assert len(rows(out.read_text())) == 102
