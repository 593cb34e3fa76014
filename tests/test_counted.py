"""Counts agree with their nouns and verbs."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from shades import save_shade

from fer_fast.types import counted

Ended = Callable[..., tuple[int, str, str]]


@pytest.mark.parametrize(("count", "said"), [(0, "0 rows are"), (1, "1 row is"), (2, "2 rows are")])
def test_one_is_singular(count: int, said: str) -> None:
    assert counted(count, "row is", "rows are") == said


@pytest.mark.parametrize(
    ("good", "bad", "said"),
    [
        (0, 1, "1 of 1 file has no prediction"),
        (1, 1, "1 of 2 files has no prediction"),
        (1, 2, "2 of 3 files have no prediction"),
    ],
)
def test_strict_says_how_many(tmp_path: Path, ended: Ended, good: int, bad: int, said: str) -> None:
    for number in range(good + bad):
        (tmp_path / f"{number}.png").write_text("no image")
    for number in range(good):
        save_shade(tmp_path / f"{number}.png", number)
    assert ended(tmp_path, "-q", "--strict")[::2] == (1, f"fer-fast: --strict: {said}\n")


def test_one_row_one_file(tmp_path: Path, ended: Ended) -> None:
    save_shade(tmp_path / "face.png", 1)
    out = tmp_path / "out.csv"
    assert ended(tmp_path, "-o", out)[2].startswith(f"1 row in {out}: ok 1\n")
    save_shade(tmp_path / "face.png", 200)
    (tmp_path / "notes.txt").touch()
    said = ended(tmp_path, "-o", out, "--resume")[2]
    assert said.startswith(f"1 row in {out}, 1 file has changed since: ok 1\n")
    assert "3 files in the folders are not called as images are: " in said  # the table and its manifest, too
