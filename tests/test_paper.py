"""The paper's rows and claims, what it reports of them, the page of a study, rank correlation."""

from __future__ import annotations

from math import isnan, sqrt
from pathlib import Path

import pytest

from fer_fast.models.fusion.config import SOURCES
from fer_fast.reproduction.claims import CLAIMS
from fer_fast.reproduction.page import page, spearman
from fer_fast.reproduction.paper import paper_rows, read_published
from fer_fast.train.recipe import load_recipe


def test_rows_are_the_papers() -> None:
    rows = paper_rows()
    assert [sum(row.table == table for row in rows) for table in (1, 2, 3)] == [5, 11, 15]
    assert len({row.sources for row in rows}) == len(rows) == 31 == 2**5 - 1, "every selection once"
    assert [row.sources for row in rows[:5]] == [(name,) for name in SOURCES]
    for row in rows:
        assert row.sources == tuple(name for name in SOURCES if name in row.sources)
        assert row.table == (1 if len(row.sources) == 1 else 3 if "image" in row.sources else 2)
        assert row.name == " + ".join(row.sources)
    assert rows[-1].name == "image + FM1 + FM2 + FM3 + FM4"


def test_published_results_of_the_package() -> None:
    published = read_published()
    assert list(published) == [row.name for row in paper_rows()]
    assert all(42 < each["test"] < 80 and each["test"] < each["train"] < 98 for each in published.values())
    assert published["FM4"] == {"train": 66.56, "test": 42.56}
    assert published["image + FM2 + FM3 + FM4"] == {"train": 97.88, "test": 79.21}


def test_claims_of_the_paper_hold_of_its_own_numbers_and_not_of_any() -> None:
    scores = {name: each["test"] for name, each in read_published().items()}
    assert [claim.check(scores) for claim in CLAIMS] == [*["yes"] * 4, "13 of 15, +3.70 points on average"]
    turned = {name: 100 - score for name, score in scores.items()}
    assert [claim.check(turned) for claim in CLAIMS] == [
        "no: FM4 (57.44 against 24.49)",
        "no: FM3 + FM4 (31.47 against 23.42)",
        "no: FM4 (57.44 against 20.79)",
        "no: image + FM2 + FM3 + FM4 (20.79 against 57.44)",
        "1 of 15, -3.70 points on average",
    ]
    del scores["image + FM2"]  # where a row is missing nothing is said of all
    assert [claim.check(scores) for claim in CLAIMS] == ["yes", "yes", "", "", ""], (
        "where a row is missing nothing is said"
    )


def test_published_results_of_ones_own(tmp_path: Path) -> None:
    path = tmp_path / "own.csv"
    path.write_text("sources,train,test\nFM1 + FM2,99.5,70\nimage,,60.25\n")
    assert read_published(path) == {"FM1 + FM2": {"train": 99.5, "test": 70.0}, "image": {"test": 60.25}}


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("sources,train,test\nFM5,1,2\n", "must hold rows of the paper, not 'FM5'"),
        ("sources,train,test\nFM2 + FM1,1,2\n", r"must hold rows of the paper, not 'FM2 \+ FM1'"),
        ("row,train,test\nFM1,1,2\n", "must hold rows of the paper, not None"),
        ("sources,test\nFM1,2\n", "must have numbers in train and test: 'train'"),
        ("sources,train,test\nFM1,high,2\n", "must have numbers in train and test: .*'high'"),
    ],
)
def test_wrong_published_results(tmp_path: Path, text: str, words: str) -> None:
    path = tmp_path / "wrong.csv"
    path.write_text(text)
    with pytest.raises(ValueError, match=words):
        read_published(path)


def test_page_of_an_unfinished_study() -> None:
    row = {"sources": ["FM4"], "reading": "mean", "train": 0.5, "test": 0.4, "test_leakage_free": 0.25, "steps": 10000}
    text = page([row], load_recipe("paper"), {"FM4": {"train": 60.0, "test": 42.5}})
    assert "| FM4 | 60.00 | 42.50 | 50.00 | 40.00 | 25.00 |  |  |  |" in text
    assert "as the paper's Figure 3 shows: mean distance to the paper 2.50 points over 1 row; " in text
    assert "a rank correlation needs three rows of the paper or more, 1 are known here" in text
    assert "on the token grid: no row; " in text and "iverged" not in text
    lost = row | dict.fromkeys(("train", "test", "test_leakage_free"))
    text = page([lost], load_recipe("paper"), {"FM4": {"train": 60.0, "test": 42.5}})
    assert "| FM4 | 60.00 | 42.50 | diverged | diverged | diverged |" in text
    assert "Diverged: the loss was no longer finite" in text and "Figure 3 shows: no row; " in text


def test_rank_correlation_by_hand() -> None:
    assert spearman([1, 2, 3], [10, 200, 201]) == pytest.approx(1.0)
    assert spearman([1, 2, 3], [3, 2, 1]) == pytest.approx(-1.0)
    # Ranks 1 2 3 4 5 and 2 1 4 3 5: 1 - 6 * 4 / (5 * 24).
    assert spearman([1, 2, 3, 4, 5], [20, 10, 40, 30, 50]) == pytest.approx(0.8)
    # Ties share ranks: 1 2.5 2.5 4 and 1 2 3 4; covariance 4.5, variances 4.5 and 5.
    assert spearman([1, 5, 5, 9], [1, 2, 3, 4]) == pytest.approx(4.5 / sqrt(4.5 * 5))
    assert isnan(spearman([1, 1, 1], [1, 2, 3]))
