"""Films in runs that are broken off: section by section, the table is that of a run that nothing stopped."""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from itertools import chain, groupby
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from command_runs import ENVIRONMENT
from film_runs import classified, passing, save, save_photo
from tables import read

from fer_fast import DecodeError, OutputRefusedError, Status, merge_tables
from fer_fast.films.film import Film
from fer_fast.films.frame import Frame
from fer_fast.table import parts
from fer_fast.types import ItemRows

HERE = Path(__file__).parent
KILLS = int(os.environ.get("FER_FAST_KILLS", "20"))  # of each format
FRAMES = 110  # of 55 s: six sections


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("films") / "inputs"
    made.mkdir()
    save_photo(made / "a.png", [(120, 10, 10, 30)])
    save(made / "b.mkv", [passing(number, FRAMES) if number % 50 < 45 else [] for number in range(FRAMES)])
    save_photo(made / "c.png", [(220, 10, 10, 30)])
    return made


@pytest.fixture(autouse=True)
def a_part_for_each_write(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parts, "SECONDS", (0.0, 0.0))


class Stop(BaseException):
    """A kill, as near as one process can come to it."""


def stopping_after(items: int) -> Callable[[Sequence[ItemRows]], None]:
    """For `seen`: ends the run when so many items are in parts."""
    done: list[ItemRows] = []

    def seen(found: Sequence[ItemRows]) -> None:
        done.extend(found)
        if len(done) >= items:
            raise Stop

    return seen


def broken_off(folder: Path, out: Path, items: int, **options: Any) -> None:
    with pytest.raises(Stop):
        classified(folder, out, seen=stopping_after(items), **options)


@pytest.mark.parametrize(
    ("suffix", "options"),
    [
        (".csv", {"smooth": 3.0}),
        (".parquet", {"every": "3s", "empty_frames": True}),
        (".csv", {"find_every": 4, "smooth": 1.0}),
    ],
)
def test_a_run_goes_on_behind_any_section(folder: Path, tmp_path: Path, suffix: str, options: dict[str, Any]) -> None:
    whole = tmp_path / f"whole{suffix}"
    classified(folder, whole, **options)
    for items in range(1, 9):
        out = tmp_path / f"out{items}{suffix}"
        broken_off(folder, out, items, **options)
        summary = classified(folder, out, resume=True, **options)
        assert out.read_bytes() == whole.read_bytes(), f"behind {items} items"
        sections = min(max(items - 1, 0), 6)
        if "every" not in options:  # what is done is not looked at again
            assert summary.frames <= FRAMES - 20 * sections + (sections == 6) * 10
        assert (summary.films, summary.photos) == (1, 2)


def test_a_film_whose_state_is_missing_is_done_again_and_no_row_is_doubled(folder: Path, tmp_path: Path) -> None:
    classified(folder, tmp_path / "whole.csv")
    broken_off(folder, tmp_path / "out.csv", 4)
    states = [*(tmp_path / "out.csv.partial").glob("state-*")]
    assert len(states) == 1
    states[0].unlink()
    summary = classified(folder, tmp_path / "out.csv", resume=True)
    assert summary.kept >= 1 + 2 * 55 and summary.frames <= FRAMES - 60, "what was kept is not given to the table"
    assert (tmp_path / "out.csv").read_bytes() == (tmp_path / "whole.csv").read_bytes()


def test_a_part_that_ends_with_a_section_is_done_when_that_is(folder: Path, tmp_path: Path) -> None:
    classified(folder, tmp_path / "whole.csv", end=20)
    for items in (3, 4):
        out = tmp_path / f"out{items}.csv"
        broken_off(folder, out, items, end=20)
        classified(folder, out, resume=True, end=20)
        assert out.read_bytes() == (tmp_path / "whole.csv").read_bytes()
        assert classified(folder, out, resume=True, end=20).new == 0


def test_what_ends_a_film_ends_it_again(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rgb = Frame.rgb

    def failing(self: Frame) -> Any:
        if self.number == 33:
            raise DecodeError(Status.UNSUPPORTED, "its pixels are of a kind that cannot be made RGB")
        return rgb(self)

    monkeypatch.setattr(Frame, "rgb", failing)
    classified(folder, tmp_path / "whole.csv")
    found = [row for row in read(tmp_path / "whole.csv") if row["path"].endswith(".mkv")]
    assert found[-1]["status"] == "unsupported" and int(found[-2]["frame"]) == 32
    for items in (2, 3):
        broken_off(folder, tmp_path / f"out{items}.csv", items)
        classified(folder, tmp_path / f"out{items}.csv", resume=True)
        assert (tmp_path / f"out{items}.csv").read_bytes() == (tmp_path / "whole.csv").read_bytes()


def test_a_part_that_is_damaged_is_done_again(folder: Path, tmp_path: Path) -> None:
    classified(folder, tmp_path / "whole.csv")
    broken_off(folder, tmp_path / "out.csv", 5)
    second = sorted((tmp_path / "out.csv.partial").glob("part-*"))[2]
    second.write_bytes(second.read_bytes()[:-1])
    classified(folder, tmp_path / "out.csv", resume=True)
    assert (tmp_path / "out.csv").read_bytes() == (tmp_path / "whole.csv").read_bytes()


def test_a_finished_table_keeps_films_that_are_as_they_were(folder: Path, tmp_path: Path) -> None:
    inputs, out = tmp_path / "inputs", tmp_path / "out.csv"
    shutil.copytree(folder, inputs)
    classified(inputs, out)
    first = out.read_bytes()
    summary = classified(inputs, out, resume=True)
    assert (summary.new, summary.frames, summary.films, summary.photos) == (0, 0, 1, 2)
    assert out.read_bytes() == first
    save(inputs / "a.mkv", [passing(number) for number in range(30)])
    summary = classified(inputs, out, resume=True)
    assert (summary.new_films, summary.frames, summary.films, summary.new) == (1, 30, 2, 60)
    save(inputs / "b.mkv", [passing(0)] * 3)
    os.utime(inputs / "b.mkv", (1, 1))
    summary = classified(inputs, out, resume=True)
    assert (summary.new_films, summary.frames, summary.changed) == (1, 3, 1)
    classified(inputs, tmp_path / "anew.csv")
    assert out.read_bytes() == (tmp_path / "anew.csv").read_bytes()
    (inputs / "b.mkv").unlink()
    (inputs / "a.mkv").unlink()
    summary = classified(inputs, out, resume=True)
    assert (summary.unlisted, summary.photos, len(read(out))) == (66, 2, 68), "it has films though the folder has none"


def test_a_film_that_changed_under_a_run_that_was_broken_off_is_done_anew(folder: Path, tmp_path: Path) -> None:
    inputs = tmp_path / "inputs"
    shutil.copytree(folder, inputs)
    broken_off(inputs, tmp_path / "out.csv", 5)
    save(inputs / "b.mkv", [passing(number) for number in range(30)])
    classified(inputs, tmp_path / "out.csv", resume=True)
    classified(inputs, tmp_path / "whole.csv")
    assert (tmp_path / "out.csv").read_bytes() == (tmp_path / "whole.csv").read_bytes()


def test_of_a_film_that_is_gone_there_is_all_or_nothing(folder: Path, tmp_path: Path, caplog: Any) -> None:
    """Where a run was broken off in it, or in another version of it."""
    inputs, out = tmp_path / "inputs", tmp_path / "out.csv"
    shutil.copytree(folder, inputs)
    broken_off(inputs, out, 4)
    (inputs / "b.mkv").rename(tmp_path / "b.mkv")
    save(inputs / "z.mkv", [passing(number, FRAMES) for number in range(FRAMES)])
    broken_off(inputs, out, 4, resume=True)
    summary = classified(inputs, out, resume=True)
    assert {Path(row["path"]).name for row in read(out)} == {"a.png", "c.png", "z.mkv"} and summary.unlisted == 0
    assert "110 kept rows are left out: of a film that is not among the inputs now" in caplog.text
    (tmp_path / "b.mkv").rename(inputs / "b.mkv")
    classified(inputs, out, resume=True)
    whole = out.read_bytes()
    save(inputs / "b.mkv", [passing(number) for number in range(60)])
    broken_off(inputs, out, 1, resume=True)
    (inputs / "b.mkv").unlink()
    summary = classified(inputs, out, resume=True)
    assert "b.mkv" not in out.read_text() and b"b.mkv" in whole
    assert (summary.films, summary.photos, summary.unlisted) == (1, 2, 0)


def test_where_a_film_is_damaged_is_known_behind_it(folder: Path, tmp_path: Path) -> None:
    inputs = tmp_path / "inputs"
    inputs.mkdir()
    frames = [passing(number, FRAMES) for number in range(FRAMES)]
    content = bytearray(save(inputs / "b.mkv", frames, codec="libx264", pix_fmt="yuv420p").read_bytes())
    place = len(content) // 4
    content[place : place + 150] = np.random.default_rng(0).bytes(150)
    (inputs / "b.mkv").write_bytes(content)
    classified(inputs, tmp_path / "whole.csv")
    last = read(tmp_path / "whole.csv")[-1]
    assert last["status"] == "corrupt" and float(last["error"].split()[1]) < 25
    broken_off(inputs, tmp_path / "out.csv", 4)
    classified(inputs, tmp_path / "out.csv", resume=True)
    assert (tmp_path / "out.csv").read_bytes() == (tmp_path / "whole.csv").read_bytes()


def test_a_film_of_which_reading_failed_is_done_anew(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    classified(folder, tmp_path / "whole.csv")
    frames = Film.frames

    def failing(self: Film) -> Iterator[Frame]:
        for frame in frames(self):
            if frame.number == 50:
                self.fault = DecodeError(Status.FAILED, "at 25.000 s: the disk is gone")
                return
            yield frame

    for number, option in enumerate(({"resume": True}, {"retry_failed": True})):
        out = tmp_path / f"out{number}.csv"
        with monkeypatch.context() as context:
            context.setattr(Film, "frames", failing)
            summary = classified(folder, out)
        assert (summary.frames, summary.statuses["failed"]) == (50, 1)
        summary = classified(folder, out, **option)
        assert (summary.new_photos, summary.frames) == (0, FRAMES)
        assert out.read_bytes() == (tmp_path / "whole.csv").read_bytes()


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"every": "5f"}, "every None, not '5f'"),
        ({"start": 1}, "from None, not 1"),
        ({"end": 9.5}, r"to None, not 9\.5"),
        ({"smooth": 2.0}, r"smooth 0\.0, not 2\.0"),
        ({"empty_frames": True}, "empty_frames False, not True"),
        ({"find_every": 2}, "find_every 1, not 2"),
        ({"films": False, "faces": "all"}, "films True, not False"),
    ],
)
def test_another_run_is_refused_by_name(folder: Path, tmp_path: Path, options: dict[str, Any], sentence: str) -> None:
    broken_off(folder, tmp_path / "out.csv", 2)
    with pytest.raises(OutputRefusedError, match=sentence):
        classified(folder, tmp_path / "out.csv", resume=True, **options)


@pytest.fixture
def forking() -> Iterator[Callable[..., int]]:
    process = subprocess.Popen(
        [sys.executable, str(HERE / "forking.py")],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=ENVIRONMENT,
        text=True,
    )
    assert process.stdin is not None and process.stdout is not None
    asked, answers = process.stdin, process.stdout

    def run(arguments: Sequence[object], folder: Path, kill_after: float | None = None) -> int:
        """Its status; killed if it has not ended after so many seconds."""
        environment = {"SHADE_DELAY": "0.01", "SHADE_PART_SECONDS": "0.01", "SHADE_FINDER": "1"}
        order = {"folder": str(folder), "environment": environment, "kill_after": kill_after}
        asked.write(json.dumps({"arguments": [str(each) for each in arguments], **order}) + "\n")
        asked.flush()
        return int(answers.readline())

    yield run
    process.kill()
    process.communicate()


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_random_kills_lose_double_and_tear_nothing(
    folder: Path, tmp_path: Path, forking: Callable[..., int], suffix: str
) -> None:
    rng = random.Random(suffix)
    command = ["classify", "inputs", "-q", "--smooth", "2"]
    begun = time.monotonic()
    assert forking([*command, "-o", tmp_path / f"whole{suffix}"], folder.parent) == 0
    length = time.monotonic() - begun
    kills = finishes = 0
    while kills < KILLS:
        out, resume, longest = tmp_path / f"out{finishes}{suffix}", [], length
        while (status := forking([*command, "-o", out, *resume], folder.parent, rng.uniform(0, longest))) != 0:
            assert status == -signal.SIGKILL
            kills += 1
            resume, longest = ["--resume"], 1.1 * longest  # a machine that became slower than it was comes to an end
        assert out.read_bytes() == (tmp_path / f"whole{suffix}").read_bytes(), f"after {kills} kills"
        assert not out.with_name(f"{out.name}.partial").exists()
        finishes += 1


def test_a_film_is_in_one_share_whole(folder: Path, tmp_path: Path) -> None:
    classified(folder, tmp_path / "whole.jsonl")
    rows = []
    for number in (1, 2, 3):
        out = tmp_path / f"{number}.jsonl"
        classified(folder, out, shard=f"{number}/3")
        rows.append(read(out))
    films = [{row["path"] for row in each if row["frame"] is not None} for each in rows]
    assert [len(each) for each in films if each] == [1]
    by_place = [sorted(each, key=str) for each in ([*chain(*rows)], read(tmp_path / "whole.jsonl"))]
    assert by_place[0] == by_place[1]


@pytest.mark.parametrize("suffix", [".csv", ".jsonl", ".parquet"])
def test_a_merge_of_a_run_that_was_broken_off_has_whole_films_alone(folder: Path, tmp_path: Path, suffix: str) -> None:
    """Behind a.png are six sections of b.mkv, its end, and c.png."""
    whole = tmp_path / f"whole{suffix}"
    classified(folder, whole)
    for items, films in ((4, 0), (8, 1)):
        out, joined = tmp_path / f"out{items}{suffix}", tmp_path / f"joined{items}{suffix}"
        broken_off(folder, out, items)
        merged = merge_tables([out], joined, incomplete=True)
        assert merged.lacking == (f"'{out}' is not finished",)
        rows = read(joined)
        ended = [Path(str(row["path"])).name for row in rows]
        assert set(ended) == ({"a.png", "b.mkv"} if films else {"a.png"})
        assert rows == [row for row in read(whole) if Path(str(row["path"])).name in ended]
        summary = classified(folder, joined, resume=True)
        assert joined.read_bytes() == whole.read_bytes() and summary.new_films == 1 - films


@pytest.mark.parametrize("merged", [True, False])
def test_rows_of_a_film_stand_together_whichever_runs_made_them(folder: Path, tmp_path: Path, merged: bool) -> None:
    inputs, out = tmp_path / "inputs", tmp_path / "out.csv"
    shutil.copytree(folder, inputs)
    broken_off(inputs, out, 3)
    save_photo(inputs / "a.png", [(170, 10, 10, 40)])  # made anew before the rest of the film
    broken_off(inputs, out, 6, resume=True)
    if merged:
        merge_tables([out], out := tmp_path / "merged.csv", incomplete=True)
    else:
        (inputs / "b.mkv").unlink()
        classified(inputs, out, resume=True)
    names = [Path(row["path"]).name for row in read(out)]
    assert [name for name, _ in groupby(names)] == (["a.png", "b.mkv"] if merged else ["a.png", "c.png", "b.mkv"])
    classified(folder / "b.mkv", tmp_path / "film.csv")
    told = ("frame", "track", "p_neutral")
    assert [[row[name] for name in told] for row in read(out) if row["path"].endswith("b.mkv")] == [
        [row[name] for name in told] for row in read(tmp_path / "film.csv")
    ]


@pytest.mark.parametrize("rows", [1, 1 << 16])
def test_a_film_that_two_tables_have_is_named(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, rows: int
) -> None:
    """Its end, by which it is known, has no row of its own, and may stand in another piece of the table."""
    monkeypatch.setattr(parts, "ROWS_AT_ONCE", rows)
    monkeypatch.setattr("fer_fast.table.finished.ROWS_AT_ONCE", rows)
    for name, inputs in (("one", folder), ("other", folder / "b.mkv")):
        classified(inputs, tmp_path / f"{name}.csv", every="5s")
    with pytest.raises(ValueError, match=r"1 file is there twice: .*/b.mkv in '.*one.csv' and '.*other.csv'$"):
        merge_tables([tmp_path / "one.csv", tmp_path / "other.csv"], tmp_path / "all.csv")
